import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryStore } from "../../src/compat/express-session.ts";
import { cookieSession, expressSession } from "../../src/compat/legacy.ts";
import { type SessionOptions, session } from "../../src/index.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { type Cleanup, hasSession, load, pairOf, recorded, serve } from "./world.ts";

const SECRET = "keyboard cat";

/** A session that express-session itself made, and its store. */
async function expressVisitor(t: Cleanup, data: object) {
  const theirs = load("express-session");
  const { store, operations } = recorded(new theirs.MemoryStore());
  const old = await serve(t, theirs({ secret: SECRET, store, resave: false, saveUninitialized: false }), (req, res) => {
    hasSession(req);
    Object.assign(req.session, data);
    res.end();
  });
  const cookie = pairOf((await old.get("/")).setCookies[0]);
  operations.length = 0;
  return { cookie, store: store as MemoryStore, operations };
}

async function cookieVisitor(t: Cleanup, data: object): Promise<string> {
  const old = await serve(t, load("cookie-session")({ keys: ["a"] }), (req, res) => {
    Object.assign(req, { session: data });
    res.end();
  });
  return (await old.get("/")).setCookies.map(pairOf).join("; ");
}

async function site(t: Cleanup, options: SessionOptions) {
  const sessions = session(options);
  const client = await serve(t, sessions as Parameters<typeof serve>[1], async (req, res) => {
    hasSession(req);
    if (req.url === "/unread") return res.end("unread");
    if (req.url === "/destroy") await req.session.destroy(() => {});
    if (req.url === "/write") req.session["cart"] = ["book"];
    return res.end(JSON.stringify(req.session));
  });
  t.after(() => sessions.close());
  return { ...client, sessions };
}

describe("a visitor with a session of express-session", () => {
  test("keeps it as ours from the first request on; the old one is destroyed and its cookie cleared", async (t) => {
    const { cookie, store, operations } = await expressVisitor(t, { user: "ada", cart: ["lamp"] });
    const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
    const first = await get("/write", { cookie });
    assert.deepEqual(JSON.parse(first.text), { user: "ada", cart: ["book"] });
    const [clearing, token] = first.setCookies;
    assert.match(token ?? "", /^sid=/);
    assert.equal(clearing, "connect.sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly");
    assert.deepEqual(
      operations.map((line) => line.split(" ")[0]),
      ["get", "destroy"],
    );

    const second = await get("/", { cookie: pairOf(token) });
    assert.deepEqual(JSON.parse(second.text), { user: "ada", cart: ["book"] });
    assert.deepEqual(second.setCookies, []);
    // The old cookie opens nothing any more.
    assert.equal((await get("/", { cookie })).text, "{}");
  });

  test("keeps it though the application reads no session", async (t) => {
    const { cookie, store } = await expressVisitor(t, { user: "ada" });
    const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
    const first = await get("/unread", { cookie });
    assert.equal((await get("/", { cookie: pairOf(first.setCookies.at(-1)) })).text, '{"user":"ada"}');
  });

  test("that has expired is a stranger, though the old store still has it; one without a deadline is not", async (t) => {
    const { cookie, store } = await expressVisitor(t, { user: "ada" });
    const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
    const stored = { user: "ada", cookie: { expires: new Date(Date.now() - 1), originalMaxAge: 60_000 } as object };
    const asked: string[] = [];
    store.get = (_id, callback) => {
      asked.push("get");
      Reflect.apply(callback, undefined, [null, stored]);
    };
    store.destroy = () => asked.push("destroy");
    for (const expires of [new Date(Date.now() - 1), new Date(0), "2020-01-01T00:00:00.000Z", 1]) {
      stored.cookie = { expires };
      const { text, setCookies } = await get("/", { cookie });
      assert.deepEqual([text, setCookies], ["{}", []], String(expires));
    }
    assert.deepEqual(asked, ["get", "get", "get", "get"], "nor is it ended");
    store.destroy = (_id, callback) => callback?.();
    for (const expires of [undefined, null, false, new Date(Date.now() + 60_000), "2100-01-01T00:00:00.000Z"]) {
      stored.cookie = { expires };
      assert.equal((await get("/", { cookie })).text, '{"user":"ada"}', String(expires));
    }
  });

  test("keeps what else the answer sets, and gets nothing for a session with nothing in it", async (t) => {
    const { cookie, store, operations } = await expressVisitor(t, { user: "ada" });
    const sessions = session({ accept: [expressSession({ secret: SECRET, store })] });
    t.after(() => sessions.close());
    const { get } = await serve(t, sessions as Parameters<typeof serve>[1], (_req, res) => {
      res.setHeader("Set-Cookie", ["theme=dark", "lang=de"]);
      res.end();
    });
    const { setCookies } = await get("/", { cookie });
    assert.deepEqual(setCookies.map((line) => line.split("=")[0]).sort(), ["connect.sid", "lang", "sid", "theme"]);
    operations.length = 0;
    store.get = (_id, callback) => callback(null, { cookie: {} } as never);
    const empty = await get("/", { cookie });
    assert.deepEqual(empty.setCookies, ["theme=dark", "lang=de"]);
    assert.deepEqual(operations, [], "the old one is left to itself");
  });

  test("is listed among their user's devices", async (t) => {
    const { cookie, store } = await expressVisitor(t, { passport: { user: 7 } });
    const userId = (data: Readonly<Record<string, unknown>>) => Object(data["passport"]).user;
    const { get, sessions } = await site(t, { accept: [expressSession({ secret: SECRET, store, userId })] });
    await get("/", { cookie });
    assert.equal((await sessions.list("7")).length, 1);
  });

  test("who logs out at once is logged out of both", async (t) => {
    const { cookie, store, operations } = await expressVisitor(t, { user: "ada" });
    const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
    const answer = await get("/destroy", { cookie });
    assert.equal(answer.setCookies.length, 1);
    assert.match(answer.setCookies[0] ?? "", /^connect\.sid=;/);
    assert.deepEqual(
      operations.map((line) => line.split(" ")[0]),
      ["get", "destroy"],
    );
  });

  test("who logs out while the old store is down is told so, and loses the old cookie all the same", async (t) => {
    for (const failing of ["get", "destroy"] as const) {
      const { cookie, store } = await expressVisitor(t, { user: "ada" });
      const down = (_id: string, callback?: (error: Error) => void) => callback?.(new Error("down"));
      Object.assign(store, { [failing]: down });
      const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
      const answer = await get("/destroy", { cookie });
      assert.ok(answer.status >= 500, failing);
      assert.equal(answer.setCookies.length, 1);
      assert.match(answer.setCookies[0] ?? "", /^connect\.sid=; .*1970/);
    }
  });

  test("loses nothing where the new session can't be stored", async (t) => {
    const { cookie, store, operations } = await expressVisitor(t, { user: "ada" });
    const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })], maxBytes: 10 });
    const answer = await get("/", { cookie });
    assert.equal(answer.status, 500);
    assert.deepEqual(answer.setCookies, []);
    assert.deepEqual(
      operations.map((line) => line.split(" ")[0]),
      ["get"],
    );
  });

  test("is told so where nobody knows", async (t) => {
    const { cookie, store } = await expressVisitor(t, { user: "ada" });
    store.get = (_id, callback) => callback(new Error("down"));
    const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
    const answer = await get("/", { cookie });
    assert.ok(answer.status >= 500);
    assert.doesNotMatch(answer.text, /ada|{}/);
    assert.deepEqual(answer.setCookies, []);
  });

  test("stays a stranger with a forged or expired one, or after its time", async (t) => {
    const { cookie, store, operations } = await expressVisitor(t, { user: "ada" });
    const forged = cookie.slice(0, -1) + (cookie.endsWith("A") ? "B" : "A");
    const reader = expressSession({ secret: SECRET, store });
    const { get } = await site(t, { accept: [reader] });
    for (const wrong of [forged, "connect.sid=x", "connect.sid=s%3Aapple.x", "connect.sid="]) {
      assert.equal((await get("/", { cookie: wrong })).text, "{}");
    }
    assert.deepEqual(operations, []);
    const over = await site(t, { accept: [expressSession({ secret: SECRET, store, until: "2020-01-01" })] });
    assert.equal((await over.get("/", { cookie })).text, "{}");
  });
});

describe("a visitor with a session of cookie-session", () => {
  test("keeps it as ours, and both cookies are cleared", async (t) => {
    const cookie = await cookieVisitor(t, { user: "ada" });
    const { get } = await site(t, {
      accept: [cookieSession({ keys: ["new", "a"], cookie: { domain: "example.com" } })],
    });
    const first = await get("/", { cookie });
    assert.equal(first.text, '{"user":"ada"}');
    assert.deepEqual(first.setCookies.slice(0, -1), [
      "session=; Domain=example.com; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly",
      "session.sig=; Domain=example.com; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly",
    ]);
    assert.equal((await get("/", { cookie: pairOf(first.setCookies.at(-1)) })).text, '{"user":"ada"}');
  });

  test("an unsigned or forged one is nobody's", async (t) => {
    const { get } = await site(t, { accept: [cookieSession({ keys: ["a"] })] });
    const value = Buffer.from('{"user":"eve"}').toString("base64");
    for (const cookie of [`session=${value}`, `session=${value}; session.sig=x`, `session=${value}; session.sig=`]) {
      assert.equal((await get("/", { cookie })).text, "{}");
    }
  });
});

test("a visitor's own session of ours goes before any other", async (t) => {
  const { cookie, store, operations } = await expressVisitor(t, { user: "ada" });
  const { get } = await site(t, { accept: [expressSession({ secret: SECRET, store })] });
  const own = pairOf((await get("/write")).setCookies[0]);
  assert.equal((await get("/", { cookie: `${own}; ${cookie}` })).text, '{"cart":["book"]}');
  assert.equal((await get("/", { cookie: `sid=junk; ${cookie}` })).text, "{}");
  assert.deepEqual(operations, []);
});

test("a request with the cookie of a stricter reader is not left to a weaker one", async (t) => {
  const { store } = await expressVisitor(t, { user: "ada" });
  const weak = await cookieVisitor(t, { user: "eve" });
  const { get } = await site(t, {
    accept: [expressSession({ secret: SECRET, store }), cookieSession({ keys: ["a"] })],
  });
  assert.equal((await get("/", { cookie: `connect.sid=s%3Aforged.x; ${weak}` })).text, "{}");
  assert.equal((await get("/", { cookie: weak })).text, '{"user":"eve"}');
});

test("without a reader nobody's session is read, and each reader reads its own format only", async (t) => {
  const { cookie, store } = await expressVisitor(t, { user: "ada" });
  const plain = await cookieVisitor(t, { user: "eve" });
  const own = { secret: "0123456789abcdefghijklmnopqrstuvwxyzABCDEF" };
  const readers = [expressSession({ secret: SECRET, store }), cookieSession({ keys: ["a"] })] as const;
  const sites: [SessionOptions, string[]][] = [
    [own, [cookie, plain]],
    [{ store: new SealedStore(own) }, [cookie, plain]],
    [{ accept: [readers[0]] }, [plain]],
    [{ accept: [readers[1]] }, [cookie]],
  ];
  for (const [options, cookies] of sites) {
    const { get } = await site(t, options);
    for (const one of cookies) {
      const value = one.slice(one.indexOf("=") + 1);
      // Under its own name, and in the place of our cookie.
      for (const sent of [one, `sid=${value}`]) assert.equal((await get("/", { cookie: sent })).text, "{}", sent);
    }
  }
});

test("readers that can't work are refused at once", () => {
  const store = new MemoryStore();
  assert.throws(() => expressSession({ secret: [], store }), /secret/);
  assert.throws(() => Reflect.apply(expressSession, undefined, [{ secret: SECRET }]), /store/);
  assert.throws(() => cookieSession({ keys: [] }), /keys/);
  assert.throws(() => cookieSession({ keys: ["a"], until: "soon" }), /until/);
  assert.throws(
    () => session({ accept: [cookieSession({ keys: ["a"] }), cookieSession({ keys: ["b"] })] }),
    /one cookie's name/,
  );
});
