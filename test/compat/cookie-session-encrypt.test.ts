import assert from "node:assert/strict";
import { test } from "node:test";
import cookieSession, { type CookieSessionOptions } from "../../src/compat/cookie-session.ts";
import { cookieSession as legacyCookieSession } from "../../src/compat/legacy.ts";
import { session } from "../../src/index.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { type Any, type Cleanup, type Client, type Middleware, pairOf, serve } from "./world.ts";

const OLD = "old-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
const NEW = "new-zYxWvUtSrQpOnMlKjIhGfEdCbA9876543210";

function site(t: Cleanup, options: CookieSessionOptions = {}): Promise<Client> {
  const middleware = cookieSession({ keys: [OLD], encrypt: true, ...options }) as Middleware;
  return serve(t, middleware, (req: Any, res) => {
    if (req.url === "/destroy") req.session = null;
    else if (req.url !== "/read") req.session.views = (req.session.views ?? 0) + 1;
    if (req.url === "/long") req.session.text = "x".repeat(3000);
    res.end(String(req.session?.views));
  });
}

const cookieOf = async (client: Client, path = "/", headers = {}) =>
  pairOf((await client.get(path, headers)).setCookies[0]);

test("is one cookie that nobody can read, and is read back", async (t) => {
  const client = await site(t);
  const { setCookies } = await client.get("/");
  assert.equal(setCookies.length, 1);
  const cookie = pairOf(setCookies[0]);
  assert.match(cookie, /^session=[\w-]{50,}$/);
  assert.doesNotMatch(Buffer.from(cookie.slice("session=".length), "base64url").toString("latin1"), /views/);
  assert.match(setCookies[0] ?? "", /; path=\/; httponly$/);
  assert.equal((await client.get("/", { cookie })).text, "2");
  const unchanged = await client.get("/read", { cookie });
  assert.deepEqual([unchanged.text, unchanged.setCookies], ["1", []]);
});

test("opens under its own name, kind and key only; nothing weaker is read instead", async (t) => {
  const client = await site(t);
  const signed = await serve(t, cookieSession({ keys: [OLD] }) as Middleware, (req: Any, res) => {
    req.session.views = 50;
    res.end();
  });
  const store = session({ name: "session", store: new SealedStore({ secret: OLD }) });
  t.after(() => store.close());
  const sealed = await serve(t, store as Middleware, (req: Any, res) => {
    req.session.views = 50;
    res.end();
  });
  const good = await cookieOf(client);
  const foreign = [
    (await signed.get("/")).setCookies.map(pairOf).join("; "),
    await cookieOf(sealed),
    (await cookieOf(await site(t, { name: "other" }))).replace("other=", "session="),
    await cookieOf(await site(t, { keys: [NEW] })),
    good.slice(0, -1),
    good.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
    `session=${Buffer.from('{"views":50}').toString("base64")}`,
  ];
  for (const cookie of foreign) assert.equal((await client.get("/", { cookie })).text, "1", cookie);
  assert.equal((await client.get("/", { cookie: `${foreign[3]}; ${good}` })).text, "2");
});

test("is sealed anew with the newest key, though nothing changed", async (t) => {
  const cookie = await cookieOf(await site(t));
  const rotated = await site(t, { keys: [NEW, OLD] });
  const fresh = await cookieOf(rotated, "/read", { cookie });
  assert.notEqual(fresh, cookie);
  assert.deepEqual((await rotated.get("/read", { cookie: fresh })).setCookies, []);
  assert.equal((await (await site(t, { keys: [NEW] })).get("/read", { cookie: fresh })).text, "1");
});

test("is cleared like any other, and told of where it is too long once sealed", async (t) => {
  const client = await site(t);
  const { setCookies } = await client.get("/destroy", { cookie: await cookieOf(client) });
  assert.deepEqual(setCookies, ["session=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly"]);
  const warned = t.mock.method(process, "emitWarning", () => {});
  await client.get("/long");
  assert.match(String(warned.mock.calls[0]?.arguments[0]), /longer than 4096 bytes/);
});

test("moves to sojourn by accept, and a signed one does not while encrypted ones are accepted", async (t) => {
  const sessions = session({ accept: [legacyCookieSession({ keys: [OLD], encrypt: true })] });
  t.after(() => sessions.close());
  const client = await serve(t, sessions as Middleware, (req: Any, res) => res.end(String(req.session.views)));
  assert.equal((await client.get("/", { cookie: await cookieOf(await site(t)) })).text, "1");
  const signed = await (await site(t, { encrypt: false })).get("/");
  assert.equal((await client.get("/", { cookie: signed.setCookies.map(pairOf).join("; ") })).text, "undefined");
});

test("keys that can't encrypt are refused", (t) => {
  const keygrip = { sign: () => "", index: () => 0 };
  assert.throws(() => cookieSession({ encrypt: true }), /\.keys required/);
  assert.throws(() => cookieSession({ encrypt: true, keys: keygrip }), /keys as an array, not a Keygrip/);
  const { NODE_ENV } = process.env;
  t.after(() => {
    process.env["NODE_ENV"] = NODE_ENV;
  });
  process.env["NODE_ENV"] = "production";
  assert.throws(() => cookieSession({ encrypt: true, keys: ["short"] }), { name: "TypeError", message: /weak/ });
});
