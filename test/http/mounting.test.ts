import assert from "node:assert/strict";
import { once } from "node:events";
import http, { createServer, IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import express, { type ErrorRequestHandler, type Express } from "express";
import { type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { hasSession, KINDS, site } from "../support/site.ts";

const express4: typeof express = createRequire(import.meta.url)("express4");

describe("options", () => {
  test("what can't work is refused at construction, by name and with the remedy", () => {
    const table: [unknown, RegExp][] = [
      [null, /options must be an object/],
      ["x", /options must be an object/],
      [{ resave: false }, /resave.*belongs to express-session; Sojourn needs no such option/],
      [{ saveUninitialized: true }, /belongs to express-session/],
      [{ rolling: true }, /belongs to express-session/],
      [{ genid: () => "x" }, /belongs to express-session/],
      [{ proxy: true }, /belongs to express-session/],
      [{ maxAge: 5 }, /session\(\{ maxAge \}\) is not an option: the options are store, secret,/],
      [{ Store: {} }, /is not an option/],
      [{ store: {} }, /store must have load, create, update/],
      [{ store: null }, /store must have load/],
      [{ store: "sqlite" }, /store must have load/],
      [{ store: { load() {}, create() {} } }, /store must have load/],
      [{ secret: "" }, /secret must be/],
      [{ secret: [] }, /secret must be/],
      [{ secret: null }, /secret must be/],
      [{ name: "a b" }, /name must be/],
      [{ name: "__Host-x", cookie: { path: "/a" } }, /must have the path/],
      [{ cookie: { maxAge: 5 } }, /cookie\.maxAge is not an option/],
      [{ cookie: { sameSite: "none", secure: false } }, /sameSite "none" needs/],
      [{ cookie: null }, /cookie must be an object/],
      [{ idleTimeout: 0 }, /idleTimeout must be/],
      [{ idleTimeout: "30 minutes" }, /idleTimeout must be/],
      [{ absoluteTimeout: -1 }, /absoluteTimeout must be/],
      [{ absoluteTimeout: true }, /absoluteTimeout must be/],
      [{ touchAfter: "1h" }, /touchAfter must be shorter/],
      [{ touchAfter: -5 }, /touchAfter must be/],
      [{ storeTimeout: { read: 0 } }, /storeTimeout\.read must be/],
      [{ storeTimeout: { commit: "soon" } }, /storeTimeout\.commit must be/],
      [{ onStoreError: "ignore" }, /onStoreError must be/],
      [{ maxBytes: 0 }, /maxBytes must be/],
      [{ maxBytes: "64k" }, /maxBytes must be/],
    ];
    for (const [options, message] of table) {
      assert.throws(
        () => Reflect.apply(session, undefined, [options]),
        (error: unknown) => error instanceof TypeError && message.test(error.message),
        JSON.stringify(options),
      );
    }
  });

  test("a weak secret is refused in production, and warned of elsewhere", async (t) => {
    const before = process.env["NODE_ENV"];
    t.after(() => {
      process.env["NODE_ENV"] = before ?? "test";
    });
    process.env["NODE_ENV"] = "production";
    const store = new MemoryStore({ acceptLossOnRestart: true });
    assert.throws(() => session({ store, secret: "keyboard cat" }), /^TypeError: secret is weak/);
    process.env["NODE_ENV"] = "development";
    const warned = once(process, "warning");
    await session({ store, secret: "keyboard cat" }).close();
    const [warning] = await warned;
    assert.match(String(warning), /secret is weak/);
  });

  test("no option at all works, and so does every option undefined but the secret", async () => {
    await session().close();
    await session({}).close();
    const names = [
      "store",
      "name",
      "cookie",
      "idleTimeout",
      "absoluteTimeout",
      "touchAfter",
      "trustProxy",
      "storeTimeout",
      "onStoreError",
      "maxBytes",
      "clock",
    ];
    const sessions: Sessions = Reflect.apply(session, undefined, [
      Object.fromEntries(names.map((name) => [name, undefined])),
    ]);
    await sessions.close();
  });

  test("an error of the cookie function, or in its result, reaches the error handler", async (t) => {
    const options = { cookie: (req: IncomingMessage) => (req.url === "/bad" ? { path: "no slash" } : {}) };
    for (const kind of ["express4", "express5"] as const) {
      const { visitor } = await site(t, { kind, ...options }, (req, res) => res.end(JSON.stringify(req.session)));
      assert.equal((await visitor().get("/")).status, 200);
      assert.equal((await visitor().get("/bad")).status, 500);
    }
  });
});

describe("where the middleware stands", () => {
  test("mounted twice: the first has the request, and nothing is committed twice", async (t) => {
    const store = new MemoryStore();
    const options: SessionOptions = { store, clock: new ManualClock() };
    const [first, second] = [session(options), session(options)];
    for (const create of [express4, express]) {
      const app = create();
      app.use(first);
      app.use(second);
      app.use(first);
      app.get("/", (req, res) => {
        Object.assign(req.session, { n: Number(Reflect.get(req.session, "n") ?? 0) + 1 });
        res.json(req.session);
      });
      const { get, cookies } = await serve(t, app);
      const { headers } = await get("/");
      assert.equal(headers["set-cookie"]?.length, 1);
      assert.deepEqual(await get("/", cookies(headers)).then(({ text }) => text), '{"n":2}');
    }
    await first.close();
    await second.close();
  });

  test("in a router, a sub-application, behind an error and with a session used before and after", async (t) => {
    for (const create of [express4, express]) {
      const sessions = session({ clock: new ManualClock() });
      const app = create();
      const sub = create();
      sub.use(sessions);
      sub.get("/n", (req, res) => {
        Object.assign(req.session, { n: 1 });
        res.json({ path: req.path, url: req.originalUrl });
      });
      sub.get("/fail", (req, _res, next) => {
        Object.assign(req.session, { n: 2 });
        next(new Error("of the handler"));
      });
      app.use("/sub", sub);
      app.get("/outside", (req, res) => {
        res.json([typeof req.session, typeof req.sessionID]);
      });
      app.get("/another", (req, res) => {
        // Another library's session, where ours is not: express-session assigns it, cookie-session defines it.
        Object.assign(req, { session: { theirs: 1 }, sessionID: "theirs" });
        res.json([req.session, req.sessionID]);
      });
      app.use(((_error, req, res, _next) => {
        res.end(`above: ${JSON.stringify(req.session)}`);
      }) satisfies ErrorRequestHandler);
      const { get } = await serve(t, app);
      const answer = await get("/sub/n");
      assert.equal(answer.headers["set-cookie"]?.length, 1);
      assert.equal(answer.text, '{"path":"/n","url":"/sub/n"}');
      assert.equal((await get("/outside")).text, '["undefined","undefined"]');
      assert.equal((await get("/another")).text, '[{"theirs":1},"theirs"]');
      assert.equal(
        (await get("/sub/fail")).text,
        'above: {"n":2}',
        "the application above sees it after the mounted one is done",
      );
      await sessions.close();
    }
  });

  test("a cookie's path covers whole segments; outside of it there is no session", async (t) => {
    for (const kind of KINDS) {
      const { port } = await site(t, { kind, cookie: { path: "/app" } }, (req, res) => {
        Object.assign(req.session, { n: 1 });
        res.end("session");
      });
      const table: [string, boolean][] = [
        ["/app", true],
        ["/app/", true],
        ["/app/x?y=/z", true],
        ["/app?x", true],
        ["/app%2fx", false],
        ["/application", false],
        ["/", false],
        ["/x/app", false],
        ["/App", false],
        ["http://example.com/app/x", true],
        ["http://example.com/application", false],
        ["http://example.com", false],
      ];
      for (const [path, covered] of table) {
        const { status, headers } = await request(port, path);
        // Where the middleware made no session, the test's own handler fails.
        assert.equal(status === 200, covered, `${kind} ${path}`);
        assert.equal(headers["set-cookie"] !== undefined, covered, `${kind} ${path}`);
      }
    }
  });

  test("a path of its own, mounted below another: the request's full path counts", async (t) => {
    for (const create of [express4, express]) {
      const sessions = session({ clock: new ManualClock(), cookie: { path: "/admin" } });
      const app = create();
      app.use("/admin", sessions);
      app.get("/admin/x", (req, res) => {
        Object.assign(req.session, { n: 1 });
        res.json("ok");
      });
      const { get } = await serve(t, app);
      assert.match((await get("/admin/x")).headers["set-cookie"]?.[0] ?? "", /^sid=.*; Path=\/admin;/);
      await sessions.close();
    }
  });

  test("two middlewares of different paths and names live side by side", async (t) => {
    const [shop, admin] = [
      session({ name: "shop", cookie: { path: "/shop" } }),
      session({ name: "admin", cookie: { path: "/admin" } }),
    ];
    const app = express();
    app.use(shop, admin);
    app.get("/:which", (req, res) => {
      Object.assign(req.session, { n: req.params.which });
      res.json(req.session);
    });
    const { get } = await serve(t, app);
    assert.match((await get("/shop")).headers["set-cookie"]?.[0] ?? "", /^shop=/);
    assert.match((await get("/admin")).headers["set-cookie"]?.[0] ?? "", /^admin=/);
    await Promise.all([shop.close(), admin.close()]);
  });

  test("req.session is the current one after login and destroy, wherever it is read from", async (t) => {
    for (const kind of KINDS) {
      const { visitor } = await site(t, { kind }, async (req, res) => {
        const derived: typeof req = Object.create(req);
        const first = req.session;
        await first.login("alice");
        assert.equal(req.session, first);
        assert.equal(derived.session, req.session);
        assert.equal(req.session.userId, "alice");
        await req.session.destroy();
        assert.notEqual(req.session, first);
        assert.equal(derived.session, req.session);
        assert.equal(derived.session.userId, null);
        res.end("ok");
      });
      assert.equal((await visitor().get()).text, "ok");
    }
  });
});

describe("called without a real response", () => {
  const responses: unknown[] = [
    {},
    Object.create(null),
    { end: "no function" },
    { end() {} },
    { writeHead() {}, setHeader() {} },
    undefined,
    null,
  ];

  test("as for an upgrade or a job: the session opens, save() commits, nothing breaks", async (t) => {
    const store = new MemoryStore();
    const { visitor, sessions } = await site(t, { store }, (req, res) => {
      Object.assign(req.session, { n: 1 });
      res.end();
    });
    const browser = visitor();
    await browser.get();
    for (const res of responses) {
      const req = new IncomingMessage(new Socket());
      req.headers.cookie = `sid=${browser.token}`;
      let calls = 0;
      Reflect.apply(sessions, undefined, [
        req,
        res,
        () => {
          calls += 1;
        },
      ]);
      assert.equal(calls, 1);
      hasSession(req);
      const n = Number(Reflect.get(req.session, "n"));
      Object.assign(req.session, { n: n + 1 });
      await req.session.save();
      assert.deepEqual((await sessions.get(req.sessionID))?.data, { n: n + 1 });
      await req.session.touch();
      await assert.rejects(req.session.login("alice"), { code: "HEADERS_SENT" });
      await assert.rejects(req.session.regenerate(), { code: "HEADERS_SENT" });
    }
    assert.equal(store.count(), 1);
  });

  test("a stranger's session is not stored, because nobody could ever have its token", async (t) => {
    const store = new MemoryStore();
    const { sessions } = await site(t, { store }, () => {});
    for (const res of responses) {
      const req = new IncomingMessage(new Socket());
      Reflect.apply(sessions, undefined, [req, res, () => {}]);
      hasSession(req);
      Object.assign(req.session, { n: 1 });
      assert.deepEqual({ ...req.session }, { n: 1 });
      await assert.rejects(req.session.save(), { code: "HEADERS_SENT" });
      await assert.rejects(req.session.login("alice"), { code: "HEADERS_SENT" });
      await req.session.destroy();
    }
    assert.equal(store.count(), 0);
  });

  test("an upgrade request reads its session by the cookie", async (t) => {
    const clock = new ManualClock();
    const sessions = session({ clock });
    const server = createServer((req, res) => {
      sessions(req, res, () => {
        hasSession(req);
        Object.assign(req.session, { name: "Alice" });
        res.end();
      });
    });
    server.on("upgrade", (req, socket) => {
      const res = new ServerResponse(req);
      sessions(req, res, () => {
        hasSession(req);
        socket.end(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\nX-Name: ${Reflect.get(req.session, "name")}\r\n\r\n`,
        );
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
      return sessions.close();
    });
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const { headers } = await request(address.port, "/");
    const [cookie = ""] = headers["set-cookie"] ?? [];
    const req = http.get({
      port: address.port,
      host: "127.0.0.1",
      headers: { connection: "upgrade", upgrade: "test", cookie: cookie.split(";")[0] ?? "" },
    });
    const [res, socket]: [IncomingMessage, Socket] = await new Promise((resolve) =>
      req.on("upgrade", (...both) => resolve([both[0], both[1]])),
    );
    socket.destroy();
    assert.equal(res.headers["x-name"], "Alice");
  });
});

interface Reply {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

function request(port: number, path: string, headers: http.OutgoingHttpHeaders = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, host: "127.0.0.1", path, headers, agent: false }, async (res) => {
        let text = "";
        for await (const chunk of res) text += chunk;
        resolve({ status: res.statusCode ?? 0, headers: res.headers, text });
      })
      .on("error", reject);
  });
}

async function serve(t: { after(action: () => unknown): void }, app: Express) {
  app.set("env", "test");
  const server = createServer(app);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const { port } = address;
  return {
    get: (path: string, headers?: http.OutgoingHttpHeaders) => request(port, path, headers),
    cookies: (headers: http.IncomingHttpHeaders) => ({
      cookie: (headers["set-cookie"] ?? []).map((line) => line.split(";")[0]).join("; "),
    }),
  };
}
