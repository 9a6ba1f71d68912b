import assert from "node:assert/strict";
import http, { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { SessionStore } from "../../src/contract/store.ts";
import { bearer, cookie, header, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { type Handler, hasSession, type SiteOptions, site } from "../support/site.ts";

const A = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");

const app: Handler = async (req, res) => {
  if (req.url === "/login") await req.session.login("alice");
  if (req.url === "/logout") await req.session.logout();
  if (req.url === "/cached") res.setHeader("Cache-Control", "public, max-age=60");
  if (req.url === "/cached") await req.session.regenerate({ keep: true });
  if (req.url?.startsWith("/set") === true) Reflect.set(req.session, "n", 1);
  res.end(JSON.stringify({ user: req.session.userId, ...req.session }));
};

const shop = (t: TestContext, options: SiteOptions = {}) =>
  site(t, { transport: [cookie(), bearer()], ...options }, app);

/** A store that answers with promises. */
function asynchronous(store: MemoryStore): SessionStore {
  return {
    load: async (handle) => store.load(handle),
    create: async (handle, record) => store.create(handle, record),
    update: async (handle, record, version) => store.update(handle, record, version),
    touch: async (handle, touchedAt, expiresAt) => store.touch(handle, touchedAt, expiresAt),
    delete: async (handle) => store.delete(handle),
    close: () => store.close(),
  };
}

const kinds: [string, () => SiteOptions][] = [
  ["a synchronous store", () => ({})],
  ["a synchronous store and a key", () => ({ secret: A })],
  ["an asynchronous store", () => ({ store: asynchronous(new MemoryStore()), secret: A })],
  ["sealed sessions", () => ({ store: new SealedStore({ secret: A }) })],
];

for (const [name, options] of kinds) {
  test(`a client without a cookie jar logs in and works by bearer token: ${name}`, async (t) => {
    const one = await shop(t, options());
    const client = () => one.visitor();
    const login = await client().get("/login", { "x-session-transport": "bearer" });
    assert.deepEqual(login.setCookies, [], "no cookie for who asked for none");
    assert.equal(login.headers["cache-control"], "no-store");
    assert.match(String(login.headers.vary), /Cookie/);
    assert.match(String(login.headers.vary), /Authorization/);
    const token = String(login.headers["x-session-token"]);
    const headers = { authorization: `Bearer ${token}` };
    const set = await client().get("/set", headers);
    const latest = String(set.headers["x-session-token"] ?? token);
    const authorization = `bearer ${latest}`;
    const again = await client().get("/", { authorization });
    assert.equal(again.text, '{"user":"alice","n":1}');
    assert.equal(again.headers["x-session-token"], undefined, "never echoed");
    assert.equal((await client().get("/", { authorization: `Bearer ${latest}x` })).text, '{"user":null}');
    assert.equal((await client().get("/", { authorization: `Basic ${latest}` })).text, '{"user":null}');
    const rotated = await client().get("/cached", { authorization });
    assert.equal(rotated.headers["cache-control"], "no-store", "whatever the application said");
    const next = { authorization: `Bearer ${rotated.headers["x-session-token"]}` };
    assert.equal((await client().get("/", next)).text, '{"user":"alice","n":1}');
    const gone = await client().get("/logout", next);
    assert.equal(gone.headers["x-session-token"], undefined);
    assert.deepEqual(one.errors, []);
  });

  test(`a token works by its own transport alone: ${name}`, async (t) => {
    const one = await shop(t, options());
    const refused: unknown[] = [];
    one.sessions.on("transport-refused", (event) => refused.push(event));
    const browser = one.visitor();
    await browser.get("/login");
    const { token = "" } = browser;
    assert.equal((await one.visitor().get("/", { authorization: `Bearer ${token}` })).text, '{"user":null}');
    const login = await one.visitor().get("/login", { "x-session-transport": "bearer" });
    const thief = one.visitor();
    thief.cookies.set("sid", String(login.headers["x-session-token"]));
    assert.equal((await thief.get("/")).text, '{"user":null}');
    // With a key the token itself is bound to its transport; without, the session remembers.
    assert.equal(refused.length, name === "a synchronous store" ? 2 : 0);
    assert.doesNotMatch(JSON.stringify(refused), /secret|\./);
  });

  test(`cookie and bearer token of different sessions: 400; beside a dead one the other works: ${name}`, async (t) => {
    const one = await shop(t, options());
    const browser = one.visitor();
    await browser.get("/login");
    const login = await one.visitor().get("/login", { "x-session-transport": "bearer" });
    const authorization = `Bearer ${login.headers["x-session-token"]}`;
    const mixed = await browser.get("/", { authorization });
    assert.equal(mixed.status, 400);
    assert.equal(Reflect.get(Object(one.errors[0]), "code"), "MIXED_TOKENS");
    const stale = one.visitor();
    stale.cookies.set("sid", `${"A".repeat(22)}.${"b".repeat(32)}`);
    assert.equal((await stale.get("/", { authorization })).text, '{"user":"alice"}');
    assert.equal((await browser.get("/", { authorization: "Bearer junk" })).text, '{"user":"alice"}');
    assert.equal(one.errors.length, 1);
  });
}

for (const [name, options] of kinds) {
  test(`an outage may be answered without a session, but two sessions at once never are: ${name}`, async (t) => {
    const one = await site(
      t,
      { transport: [cookie(), bearer()], onStoreError: "anonymous", ...options() },
      (req, res) => {
        if (req.url === "/unread") return res.end("unread");
        return app(req, res);
      },
    );
    const browser = one.visitor();
    await browser.get("/login");
    const login = await one.visitor().get("/login", { "x-session-transport": "bearer" });
    const authorization = `Bearer ${login.headers["x-session-token"]}`;
    for (const path of ["/", "/unread", "/logout"]) {
      const { status, setCookies } = await browser.get(path, { authorization });
      assert.deepEqual([status, setCookies], [400, []], path);
    }
    assert.equal((await browser.get("/")).text, '{"user":"alice"}');
  });
}

for (const [name, options] of kinds) {
  test(`a session says by which transport it travels, so that only cookies need a CSRF check: ${name}`, async (t) => {
    const transport = [cookie(), bearer(), header("X-My-Token")];
    const one = await site(t, { transport, ...options() }, async (req, res) => {
      const before = req.session.transport;
      if (req.url === "/login") await req.session.login("alice");
      if (req.url === "/regenerate") await req.session.regenerate();
      if (req.url === "/logout") await req.session.logout();
      assert.throws(() => Reflect.set(req.session, "transport", "cookie"), /is a member of the session/);
      assert.deepEqual(Object.keys(req.session), []);
      res.end(`${before} ${req.session.transport} ${req.session.userId}`);
    });
    assert.equal((await one.visitor().get("/")).text, "cookie cookie null");
    for (const [via, field, prefix] of [
      ["bearer", "authorization", "Bearer "],
      ["x-my-token", "x-my-token", ""],
    ] as const) {
      const login = await one.visitor().get("/login", { "x-session-transport": via });
      assert.equal(login.text, `${via} ${via} alice`);
      const headers = { [field]: `${prefix}${login.headers["x-session-token"]}` };
      assert.equal((await one.visitor().get("/", headers)).text, `${via} ${via} alice`);
      assert.equal((await one.sessions.openToken(String(login.headers["x-session-token"])))?.transport, via);
      assert.equal((await one.visitor().get("/regenerate", headers)).text, `${via} ${via} null`);
    }
    const browser = one.visitor();
    await browser.get("/login");
    assert.equal((await browser.get("/")).text, "cookie cookie alice");
    assert.equal((await browser.get("/logout")).text, "cookie cookie null");
    assert.deepEqual(one.errors, []);
  });
}

test("a client without cookies that has nothing in its session gets no token", async (t) => {
  const one = await site(t, { transport: [cookie(), bearer()] }, async (req, res) => {
    await req.session.regenerate();
    await req.session.regenerate({ keep: true });
    res.end("nothing");
  });
  for (const headers of [{}, { "x-session-transport": "bearer" }]) {
    const answer = await one.visitor().get("/", headers);
    assert.deepEqual([answer.headers["x-session-token"], answer.setCookies], [undefined, []]);
  }
  assert.equal(await one.sessions.count(), 0);
});

test("exactly one Authorization header, of the grammar and at most 4 KiB", async (t) => {
  const one = await shop(t, { transport: bearer() });
  const login = await one.visitor().get("/login");
  const token = String(login.headers["x-session-token"]);
  const ask = (...values: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const req = http.request({
        host: "127.0.0.1",
        port: one.port,
        headers: ["Host", "x", ...values.flatMap((v) => ["Authorization", v])],
      });
      req.on("error", reject);
      req.on("response", (res) => {
        let text = "";
        res.setEncoding("utf8").on("data", (chunk) => {
          text += chunk;
        });
        res.on("end", () => resolve(text));
      });
      req.end();
    });
  const good = [`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`];
  for (const value of good) assert.equal(await ask(value), '{"user":"alice"}', value);
  const bad = [
    [`Bearer ${token}`, `Bearer ${token}`],
    [`Bearer ${token}`, "Basic eA=="],
    ["Basic eA==", `Bearer ${token}`],
    [`Bearer ${token}, Bearer ${token}`],
    [`Bearer "${token}"`],
    [`Bearer\t${token}`],
    [`Bearer${token}`],
    [`Bearer ${token} x`],
    [`Bearer ${token}${"=".repeat(4_096)}`],
    ["Bearer"],
    [token],
    ["Bearer =="],
  ];
  for (const values of bad) assert.equal(await ask(...values), '{"user":null}', values.join(" | ").slice(0, 60));
  assert.deepEqual(one.errors, []);
});

test("a header of one's own", async (t) => {
  const one = await shop(t, { transport: [header("X-My-Token"), cookie()] });
  const login = await one.visitor().get("/login");
  const token = String(login.headers["x-session-token"]);
  assert.deepEqual(login.setCookies, [], "the first transport is the preferred one");
  assert.equal((await one.visitor().get("/", { "x-my-token": token })).text, '{"user":"alice"}');
  const browser = one.visitor();
  await browser.get("/login", { "x-session-transport": "cookie" });
  assert.equal((await browser.get("/")).text, '{"user":"alice"}');
});

test("impossible transports are refused", () => {
  assert.throws(() => session({ transport: [] }), TypeError);
  assert.throws(() => session({ transport: [cookie(), cookie()] }), TypeError);
  assert.throws(() => Reflect.apply(session, undefined, [{ transport: "bearer" }]), TypeError);
  for (const name of ["", "Authorization", "cookie", "a b", "x:y"]) assert.throws(() => header(name), TypeError);
});

describe("a token in headers that Node did not parse", () => {
  const options = { transport: [bearer(), header("x-my-token")], secret: A };
  /** A token, and whom the middleware finds by headers as an adapter, a mock or an earlier middleware leaves them. */
  async function played(t: TestContext) {
    const one = await shop(t, options);
    const tokens: Record<string, string> = {};
    for (const via of ["bearer", "x-my-token"]) {
      const { headers } = await one.visitor().get("/login", { "x-session-transport": via });
      tokens[via] = String(headers["x-session-token"]);
    }
    const find = (parts: { headers: object; rawHeaders?: string[] | undefined }) => {
      const req = new IncomingMessage(new Socket());
      Object.defineProperty(req, "headers", { value: parts.headers });
      Object.defineProperty(req, "rawHeaders", { value: parts.rawHeaders });
      Reflect.apply(one.sessions, undefined, [req, new ServerResponse(req), () => {}]);
      hasSession(req);
      return req.session.userId;
    };
    return { find, bearerToken: `Bearer ${tokens["bearer"]}`, own: String(tokens["x-my-token"]) };
  }

  test("counts where rawHeaders are missing, empty, or lack it", async (t) => {
    const { find, bearerToken, own } = await played(t);
    for (const rawHeaders of [undefined, [], ["Host", "x"]]) {
      assert.equal(find({ headers: { authorization: bearerToken }, rawHeaders }), "alice");
      assert.equal(find({ headers: { authorization: [bearerToken] }, rawHeaders }), "alice", "a list of one");
      assert.equal(find({ headers: { "x-my-token": own }, rawHeaders }), "alice");
      assert.equal(find({ headers: { authorization: [bearerToken, bearerToken] }, rawHeaders }), null);
      assert.equal(find({ headers: { "x-my-token": `${own}, ${own}` }, rawHeaders }), null);
      assert.equal(find({ headers: {}, rawHeaders }), null);
    }
  });

  test("that an earlier middleware replaced is what it says, and one that came twice is none", async (t) => {
    const { find, bearerToken } = await played(t);
    const other = `Bearer ${"A".repeat(22)}.${"A".repeat(32)}`;
    assert.equal(find({ headers: { authorization: bearerToken }, rawHeaders: ["Authorization", other] }), "alice");
    assert.equal(find({ headers: { authorization: other }, rawHeaders: ["Authorization", bearerToken] }), null);
    const twice = ["Authorization", bearerToken, "AUTHORIZATION", bearerToken];
    assert.equal(find({ headers: { authorization: bearerToken }, rawHeaders: twice }), null);
  });
});

test("a page of another origin may read the token's header, beside those that the application names", async (t) => {
  const expose = "access-control-expose-headers";
  const tables: [string | string[] | undefined, string][] = [
    [undefined, "X-Session-Token"],
    ["", "X-Session-Token"],
    ["ETag", "ETag, X-Session-Token"],
    ["ETag,x-session-token", "ETag,x-session-token"],
    [["ETag", "Link"], "ETag, Link, X-Session-Token"],
    ["*", "*, X-Session-Token"],
  ];
  for (const [own, expected] of tables) {
    for (const how of ["setHeader", "writeHead"]) {
      const one = await site(t, { transport: bearer() }, async (req, res) => {
        if (own !== undefined && how === "setHeader") res.setHeader(expose, own);
        if (req.url === "/login") await req.session.login("alice");
        if (own !== undefined && how === "writeHead") res.writeHead(200, { [expose]: [own].flat().join(", ") });
        res.end();
      });
      const origin = "https://app.example";
      const answer = await one.visitor().get("/login", { origin });
      assert.ok(answer.headers["x-session-token"] !== undefined);
      assert.equal(answer.headers[expose], expected, how);
      const same = (await one.visitor().get("/login")).headers[expose];
      assert.equal(same, own === undefined ? undefined : [own].flat().join(", "), "without an origin");
      const without = (await one.visitor().get("/", { origin })).headers[expose];
      assert.equal(without, own === undefined ? undefined : [own].flat().join(", "), "without a token");
    }
  }
});
