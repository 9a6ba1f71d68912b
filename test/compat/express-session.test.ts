import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { IncomingMessage, request, type ServerResponse } from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createConnection, Socket } from "node:net";
import { describe, mock, test } from "node:test";
import { inherits } from "node:util";
import session, { Cookie, MemoryStore, Session, type SessionOptions, Store } from "../../src/compat/express-session.ts";
import { type Cleanup, hasSession, load, type Middleware, pairOf, recorded, serve } from "./world.ts";

const QUIET = { secret: "keyboard cat", resave: false, saveUninitialized: false };

function site(t: Cleanup, options: SessionOptions, handler: Parameters<typeof serve>[2], errors: unknown[] = []) {
  return serve(t, session({ ...QUIET, ...options }) as Middleware, handler, errors);
}

const write: Parameters<typeof serve>[2] = (req, res) => {
  hasSession(req);
  req.session["views"] = Number(req.session["views"] ?? 0) + 1;
  res.end(`${req.session["views"]}`);
};

/** A store whose answers to one method wait until they are let go. */
function gated(method: "set" | "touch" | "get" | "destroy") {
  const store = new MemoryStore();
  const waiting: (() => void)[] = [];
  const arrived = new EventEmitter();
  const original = Reflect.get(store, method);
  let isOpen = true;
  Reflect.set(store, method, (...args: unknown[]) => {
    const go = () => Reflect.apply(original, store, args);
    if (isOpen) return go();
    waiting.push(go);
    arrived.emit("call");
  });
  return {
    store,
    close: () => (isOpen = false),
    called: () => once(arrived, "call"),
    open() {
      isOpen = true;
      for (const go of waiting.splice(0)) go();
    },
  };
}

describe("what the module is", () => {
  test("required, the function itself with its classes; imported, all of them by name", async () => {
    const required = load("../../src/compat/express-session.ts");
    assert.equal(required, session);
    assert.equal(required.Store, Store);
    assert.equal(required.Cookie, Cookie);
    assert.equal(required.Session, Session);
    assert.equal(required.MemoryStore, MemoryStore);
    const imported = await import("../../src/compat/express-session.ts");
    assert.equal(imported.default, session);
    assert.equal(imported.Store, Store);
  });

  test("a store may be made by extends, by util.inherits with call, or by __proto__", () => {
    class Extending extends Store {
      get() {}
      set() {}
      destroy() {}
    }
    function Inheriting(this: object) {
      Reflect.apply(Store, this, [{}]);
    }
    inherits(Inheriting, Store);
    function Proto(this: object) {
      Reflect.apply(Store, this, []);
    }
    Object.setPrototypeOf(Proto.prototype, Store.prototype);
    for (const Class of [Extending, Inheriting, Proto, MemoryStore]) {
      const store = Reflect.construct(Class, []);
      assert.ok(store instanceof Store && store instanceof EventEmitter, Class.name);
      assert.equal(typeof store.createSession, "function");
      store.on("connect", () => {});
      assert.equal(store.listenerCount("connect"), 1);
    }
    const called = Object.create(MemoryStore.prototype);
    Reflect.apply(MemoryStore, called, []);
    assert.deepEqual(Object.keys(called.sessions), []);
    assert.throws(() => Reflect.apply(Store, undefined, []), TypeError);
  });
});

describe("options that can't work", () => {
  const wrong: [object, RegExp][] = [
    [{ genid: "id" }, /genid.*must/],
    [{ unset: "wash" }, /unset.*must/],
    [{ secret: [] }, /secret option array/],
  ];
  for (const [options, message] of wrong) {
    test(`${JSON.stringify(options)}`, () => {
      assert.throws(() => session({ ...QUIET, ...options }), { name: "TypeError", message });
    });
  }

  test("no secret at all is told when a request comes, unless cookie-parser has one", async (t) => {
    const middleware = session({ resave: false, saveUninitialized: false }) as Middleware;
    const bare = await serve(t, middleware, write);
    assert.equal((await bare.get("/")).text, "secret option required for sessions");
    const parsed = await serve(
      t,
      (req, res, next) => middleware(Object.assign(req, { secret: "s" }), res, next),
      write,
    );
    assert.equal((await parsed.get("/")).text, "1");
  });

  for (const value of [{ user: "ada" }, [], "ada", 5]) {
    test(`req.session = ${JSON.stringify(value)} is an error that says what to do, and nothing is stored`, async (t) => {
      const store = new MemoryStore();
      const { get } = await site(t, { store }, (req, res) => {
        Object.assign(req, { session: value });
        res.end("replaced");
      });
      const { status, text, setCookies } = await get("/");
      assert.deepEqual([status, setCookies, Object.keys(store.sessions)], [500, [], []]);
      assert.match(text, /^req\.session was replaced.*regenerate\(\)/);
    });
  }

  test("an attribute that can't be sent is the error handler's; the session is saved", async (t) => {
    const errors: unknown[] = [];
    const store = new MemoryStore();
    const { get } = await site(t, { store, cookie: { expires: new Date(Number.NaN) } }, write, errors);
    await get("/");
    await new Promise(setImmediate);
    assert.match(String(errors[0]), /option expires is invalid/);
    assert.equal(Object.keys(store.sessions).length, 1);
  });

  for (const options of [{ cookie: 5 }, { cookie: { maxAge: "1000" } }]) {
    test(`the cookie of ${JSON.stringify(options)}`, async (t) => {
      const { get } = await site(t, Object(options), write);
      assert.match((await get("/")).text, /argument options must be a object|maxAge must be a number or Date/);
    });
  }
});

describe("IDs", () => {
  test("are 192 bits that nobody can guess, each another", async (t) => {
    const ids = new Set<string>();
    const { get } = await site(t, {}, (req, res) => {
      hasSession(req);
      for (let i = 0; i < 1000; i += 1) {
        Reflect.get(req.sessionStore, "generate")(req);
        ids.add(req.sessionID);
      }
      res.end();
    });
    await get("/");
    assert.equal(ids.size, 1000);
    for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{32}$/);
    for (let at = 0; at < 32; at += 1) assert.ok(new Set([...ids].map((id) => id[at])).size > 32);
  });

  test("that the server did not issue are never adopted", async (t) => {
    const { get } = await site(t, { genid: () => "fresh" }, (req, res) => {
      hasSession(req);
      res.end(req.sessionID);
    });
    const { text } = await get("/", {
      cookie: "connect.sid=s%3Aapple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCU",
    });
    assert.equal(text, "fresh");
    const { store, operations } = recorded(new MemoryStore());
    const strict = await site(t, { store }, write);
    const signed = "apple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCU";
    for (const value of ["apple", "s:apple", "s:apple.", `x:${signed}`, signed, `S:${signed}`, "s:.", "s:"]) {
      await strict.get("/", { cookie: `connect.sid=${value}` });
    }
    assert.ok(operations.every((line) => line.startsWith("set ") && line !== "set apple"));
  });

  test("with characters that a cookie can't hold are encoded", async (t) => {
    const { get } = await site(t, { genid: () => "a;b c=é.%41" }, write);
    const first = await get("/");
    assert.equal((await get("/", { cookie: pairOf(first.setCookies[0]) })).text, "2");
  });
});

describe("the cookie object", () => {
  test("has its accessors on the prototype, and what is stored in this order", () => {
    const cookie = new Cookie({ maxAge: 5000, secure: true, domain: "example.com", sameSite: "lax" });
    assert.deepEqual(Object.keys(new Cookie()), ["path", "_expires", "originalMaxAge", "httpOnly"]);
    assert.deepEqual(Object.keys(cookie.toJSON()), [
      ..."originalMaxAge partitioned priority expires secure httpOnly domain path sameSite".split(" "),
    ]);
    assert.equal(
      JSON.stringify({ cookie: new Cookie() }),
      '{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}}',
    );
    assert.equal(Object.hasOwn(cookie, "expires"), false);
    assert.ok(cookie.expires instanceof Date && typeof cookie.maxAge === "number" && cookie.maxAge > 4900);
  });

  test("takes inherited options and unknown ones, but stores no unknown one", () => {
    const cookie = new Cookie(Object.create({ path: "/app", whatever: 1, data: "x" }));
    assert.equal(cookie.path, "/app");
    assert.equal(Reflect.get(cookie, "whatever"), 1);
    assert.equal("whatever" in cookie.data, false);
  });

  test("is serialised as the package cookie does it", () => {
    const cookie = new Cookie({ domain: "example.com", expires: new Date(0), secure: true, sameSite: true });
    Object.assign(cookie, { partitioned: true, priority: "LOW" });
    assert.equal(
      cookie.serialize("n", "v w"),
      "n=v%20w; Domain=example.com; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; Partitioned; Priority=Low; SameSite=Strict",
    );
  });
});

describe("the store", () => {
  test("loads a live session from outside of any request, its expiry a date", async () => {
    const store = new MemoryStore();
    store.sessions["a"] = JSON.stringify({
      cookie: { expires: "2100-01-01T00:00:00.000Z", originalMaxAge: 5 },
      user: "ada",
      save: 1,
    });
    const [error, loaded] = await new Promise<unknown[]>((resolve) => store.load("a", (...args) => resolve(args)));
    assert.equal(error, null);
    assert.ok(loaded instanceof Session);
    assert.equal(Reflect.get(loaded, "user"), "ada");
    assert.equal(loaded.cookie.expires?.toISOString(), "2100-01-01T00:00:00.000Z");
    assert.equal(loaded.cookie.originalMaxAge, 5);
    assert.equal(typeof loaded.save, "function");
    await loaded.save();
    assert.deepEqual(await new Promise((resolve) => store.load("none", (...args) => resolve(args))), []);
  });

  test("MemoryStore answers on another turn, touches the cookie alone, and brings nothing back", async () => {
    const store = new MemoryStore();
    const order: string[] = [];
    const data = { cookie: new Cookie(), user: "ada" };
    await new Promise<void>((resolve) => {
      store.set("a", data, () => {
        order.push("set");
        resolve();
      });
      order.push("after");
    });
    assert.deepEqual(order, ["after", "set"]);
    const touched = { cookie: new Cookie({ maxAge: 1000 }), user: "eve" };
    store.touch("a", touched);
    store.touch("b", touched);
    assert.equal(Object.keys(store.sessions).join(), "a");
    const { user, cookie } = JSON.parse(store.sessions["a"] ?? "");
    assert.equal(user, "ada");
    assert.equal(cookie.originalMaxAge, touched.cookie.originalMaxAge);
    assert.equal(await new Promise((resolve) => store.length((_error, length) => resolve(length))), 1);
  });

  test("MemoryStore touches records as a whole parse and stringification would", () => {
    const store = new MemoryStore();
    const cookie = new Cookie({ maxAge: 1000, domain: 'a"}{.example', path: "/\\" });
    const before = { cookie: new Cookie({ path: '/}"\\"{', domain: "\\" }), text: '"}', nested: { cookie: 1 } };
    const late = { text: "t", cookie: new Cookie({ path: "/}" }) };
    for (const record of [before, late]) {
      store.set("a", record);
      store.touch("a", { cookie });
      assert.equal(store.sessions["a"], JSON.stringify({ ...record, cookie }));
    }
    for (const broken of ['{"cookie":{"path":"/', '{"cookie":{,}}', "{"]) {
      store.sessions["a"] = broken;
      store.touch("a", { cookie });
      assert.equal("a" in store.sessions, false);
    }
    store.set("a", { cookie: new Cookie({ expires: new Date(0) }) });
    store.touch("a", { cookie });
    assert.equal("a" in store.sessions, false, "an expired session is not brought back");
  });

  test("a damaged text in MemoryStore is no session", async (t) => {
    const store = new MemoryStore();
    const { get } = await site(t, { store }, write);
    const cookie = pairOf((await get("/")).setCookies[0]);
    for (const damaged of ["{", "", "null", '"text'])
      for (const id of Object.keys(store.sessions)) {
        store.sessions[id] = damaged;
        assert.equal((await get("/", { cookie })).text, "1");
      }
  });

  test("a record without cookie is the error handler's", async (t) => {
    const store = new MemoryStore();
    const { get } = await site(t, { store }, write);
    const cookie = pairOf((await get("/")).setCookies[0]);
    store.get = (_id, callback) => callback(null, Object({ user: "ada" }));
    assert.match((await get("/", { cookie })).text, /Cannot read prop/);
  });

  test("is left alone while it says that it is disconnected", async (t) => {
    const store = new MemoryStore();
    const { get } = await site(t, { store }, (req, res) => res.end(String("session" in req)));
    store.emit("disconnect");
    assert.equal((await get("/")).text, "false");
    store.emit("connect");
    assert.equal((await get("/")).text, "true");
  });

  test("gets one pair of listeners however many middlewares share it", () => {
    const store = new MemoryStore();
    for (let i = 0; i < 100; i += 1) session({ ...QUIET, store });
    assert.equal(store.listenerCount("disconnect"), 1);
    assert.equal(store.listenerCount("connect"), 1);
  });

  test("an error that it reads with destroys nothing", async (t) => {
    const { store, operations } = recorded(new MemoryStore());
    const { get } = await site(t, { store, unset: "destroy" }, write);
    const cookie = pairOf((await get("/")).setCookies[0]);
    store.get = (_id, callback) => callback(new Error("down"));
    operations.length = 0;
    assert.equal((await get("/", { cookie })).text, "down");
    assert.deepEqual(operations, []);
  });

  test("may be shared by two middlewares: each request keeps its own's options", async (t) => {
    const store = new MemoryStore();
    const a = session({ ...QUIET, store, name: "a", genid: () => `a${Math.random()}`, cookie: { path: "/a" } });
    const b = session({ ...QUIET, store, name: "b", genid: () => `b${Math.random()}`, cookie: { path: "/b" } });
    const { get } = await serve(
      t,
      (req, res, next) => a(req, res, (error) => (error ? next(error) : b(req, res, next))),
      (req, res) => {
        hasSession(req);
        req.session.regenerate(() => {
          hasSession(req);
          req.session["x"] = 1;
          res.end(`${req.sessionID[0]} ${req.session.cookie["path"]}`);
        });
      },
    );
    assert.equal((await get("/a")).text, "a /a");
    const { text, setCookies } = await get("/b");
    assert.equal(text, "b /b");
    assert.match(setCookies[0] ?? "", /^b=s%3Ab.*; Path=\/b/);
  });

  for (const [method, path] of [
    ["set", "/write"],
    ["touch", "/read"],
    ["destroy", "/unset"],
  ] as const) {
    test(`an error of ${method} is the error handler's, and the response completes`, async (t) => {
      const errors: unknown[] = [];
      const store = new MemoryStore();
      const { get } = await site(
        t,
        { store, unset: "destroy" },
        (req, res) => {
          hasSession(req);
          if (req.url === "/write") req.session["x"] = Math.random();
          if (req.url === "/unset") Object.assign(req, { session: null });
          res.end("answered");
        },
        errors,
      );
      const cookie = pairOf((await get("/write")).setCookies[0]);
      Reflect.set(store, method, (...args: unknown[]) =>
        Reflect.apply(args.at(-1) as Middleware, undefined, [new Error("boom!")]),
      );
      assert.equal((await get(path, { cookie })).text, "answered");
      await new Promise(setImmediate);
      assert.deepEqual(errors.map(String), ["Error: boom!"]);
    });
  }
});

describe("nothing leaves before it is saved", () => {
  const answers: [string, (res: ServerResponse) => unknown][] = [
    ["a redirect", (res) => res.writeHead(302, { Location: "/" }).end()],
    ["a redirect with a body", (res) => res.setHeader("Content-Length", 2).writeHead(302, { Location: "/" }).end("go")],
    ["JSON", (res) => res.setHeader("Content-Length", 2).end("{}")],
    ["a body of no known length", (res) => res.end("body")],
    ["a body in pieces", (res) => res.write("a") || res.end("b")],
    ["nothing", (res) => res.end()],
  ];
  for (const [name, answer] of answers) {
    test(name, async (t) => {
      const gate = gated("set");
      const { port } = await site(t, { store: gate.store }, (req, res) => {
        hasSession(req);
        req.session["x"] = 1;
        answer(res);
      });
      gate.close();
      const socket = createConnection(port, "127.0.0.1");
      t.after(() => socket.destroy());
      let bytes = "";
      socket.on("data", (chunk) => (bytes += chunk));
      const called = gate.called();
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      await called;
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      assert.equal(bytes, "");
      gate.open();
      await once(socket, "close");
      assert.match(bytes, /^HTTP\/1\.1 (?:200|302) /);
      assert.match(bytes, /\r\nset-cookie: connect\.sid=/i);
    });
  }

  test("an answer without a body says so, instead of coming in chunks", async (t) => {
    const { get } = await site(t, {}, (req, res) => {
      hasSession(req);
      req.session["x"] = 1;
      res.end();
    });
    const { headers } = await get("/");
    assert.equal(headers["transfer-encoding"], undefined);
    assert.equal(headers["content-length"], "0");
  });

  test("what changes while a stream runs is saved at its end", async (t) => {
    const { store, operations } = recorded(new MemoryStore());
    const { get } = await site(t, { store, genid: () => "id" }, (req, res) => {
      hasSession(req);
      req.session["before"] = true;
      res.write("a");
      if (req.url === "/more") req.session["during"] = true;
      res.end("b");
    });
    await get("/");
    assert.deepEqual(operations.splice(0), ["set id"]);
    await get("/more");
    assert.deepEqual(operations, ["set id", "set id"]);
    assert.deepEqual(Object.keys(JSON.parse(store.sessions["id"] ?? "")), ["cookie", "before", "during"]);
  });

  test("a session that JSON can't hold is an error before the response, not a request that hangs", async (t) => {
    const { get } = await site(t, {}, (req, res) => {
      hasSession(req);
      req.session["loop"] = req.session;
      res.end("never");
    });
    const { status, text, setCookies } = await get("/");
    assert.equal(status, 500);
    assert.match(text, /circular/i);
    assert.deepEqual(setCookies, []);
  });
});

describe("the end of a response", () => {
  test("calls back, whatever came before the callback, and returns the response", async (t) => {
    const { get } = await site(t, {}, (req, res) => {
      hasSession(req);
      req.session["x"] = req.url;
      const told = new Promise<void>((resolve) => {
        const returned =
          req.url === "/1"
            ? res.end(resolve)
            : req.url === "/2"
              ? res.end("x", resolve)
              : res.end("78", "hex", resolve);
        assert.equal(returned, res);
      });
      return told;
    });
    for (const path of ["/1", "/2", "/3"]) await get(path);
  });

  test("works over HTTP/2", async (t) => {
    const middleware = session(QUIET);
    const server = createHttp2Server((req, res) => {
      const pair = { req, res };
      Reflect.apply(middleware, undefined, [
        pair.req,
        pair.res,
        () => {
          const { session: current } = Object(req);
          current.views = (current.views ?? 0) + 1;
          res.end(`${current.views}`);
        },
      ]);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    t.after(() => {
      client.destroy();
      server.close();
    });
    const ask = async (headers: Record<string, string>) => {
      const stream = client.request({ ":path": "/", ...headers });
      const [head] = await once(stream, "response");
      let text = "";
      for await (const chunk of stream) text += chunk;
      return { text, cookie: pairOf([head["set-cookie"] ?? []].flat()[0] ?? "none") };
    };
    const first = await ask({});
    assert.equal(first.text, "1");
    assert.equal((await ask({ cookie: first.cookie })).text, "2");
  });

  test("twice is no more than once", async (t) => {
    const errors: unknown[] = [];
    const { get } = await site(t, {}, (req, res) => {
      hasSession(req);
      req.session["x"] = 1;
      res.end("once");
      try {
        res.setHeader("Content-Length", "3");
      } catch (error) {
        errors.push(error);
      }
      res.end("twice");
    });
    assert.equal((await get("/")).text, "once");
    assert.equal(Object(errors[0]).code, "ERR_HTTP_HEADERS_SENT");
  });
});

describe("several cookies of one name", () => {
  test("are all tried: the first that opens a session counts", async (t) => {
    const { store, operations } = recorded(new MemoryStore());
    const { get } = await site(t, { store }, write);
    const dead = pairOf((await get("/")).setCookies[0]);
    store.clear();
    const good = pairOf((await get("/")).setCookies[0]);
    const orders = [
      `${dead}; ${good}`,
      `${good}; ${dead}`,
      `connect.sid=junk; ${good}`,
      `connect.sid=s%3Ax.y; ${dead}; ${good}`,
    ];
    for (const [position, cookie] of orders.entries()) {
      const { text, setCookies } = await get("/", { cookie });
      assert.equal(text, `${position + 2}`);
      assert.deepEqual(setCookies, []);
    }
    operations.length = 0;
    await get("/", { cookie: Array(9).fill("connect.sid=s%3Ax.y").join("; ") });
    assert.deepEqual(
      operations.map((line) => line.split(" ")[0]),
      ["set"],
    );
  });

  test("one request costs one get, as long as there is one cookie", async (t) => {
    const { store, operations } = recorded(new MemoryStore());
    const { get } = await site(t, { store }, (_req, res) => res.end());
    const made = await site(t, { store }, write);
    const cookie = pairOf((await made.get("/")).setCookies[0]);
    operations.length = 0;
    await get("/", { cookie: `${cookie}; ${cookie}` });
    assert.deepEqual(
      operations.map((line) => line.split(" ")[0]),
      ["get", "touch"],
    );
  });
});

describe("cookie options that are a function", () => {
  test("may say auto", async (t) => {
    const options: SessionOptions = { proxy: true, cookie: () => ({ secure: "auto", sameSite: "auto" }) };
    const { get } = await site(t, options, write);
    assert.match((await get("/")).setCookies[0] ?? "", /; Path=\/; HttpOnly; SameSite=Lax$/);
    const secure = await get("/", { "X-Forwarded-Proto": "https" });
    assert.match(secure.setCookies[0] ?? "", /; Path=\/; HttpOnly; Secure; SameSite=None$/);
  });

  test("are asked for each request", async (t) => {
    const { get } = await site(t, { cookie: (req) => ({ path: req.url ?? "/" }) }, write);
    assert.match((await get("/x")).setCookies[0] ?? "", /Path=\/x;/);
    assert.match((await get("/y")).setCookies[0] ?? "", /Path=\/y;/);
  });
});

describe("a session that was destroyed stays so", () => {
  /** One request is held in its handler, or by its store, while another one logs out. */
  async function race(t: Cleanup, gate: ReturnType<typeof gated>, options: SessionOptions = {}) {
    const slow = new EventEmitter();
    const saves: unknown[] = [];
    const site = await serve(
      t,
      session({ ...QUIET, store: gate.store, ...options }) as Middleware,
      async (req, res) => {
        hasSession(req);
        const { session: current } = req;
        if (req.url === "/login") current["user"] = "ada";
        const bye = () => res.end("bye");
        if (req.url === "/logout") return void current.destroy(bye);
        if (req.url === "/logout-by-regenerate") return void current.regenerate(bye);
        if (req.url === "/slow" || req.url === "/slow-save") {
          slow.emit("arrived");
          await once(slow, "go");
          current["slow"] = true;
          if (req.url === "/slow-save")
            await new Promise<void>((resolve) => current.save((error) => resolve(void saves.push(error))));
        }
        res.end("done");
      },
    );
    const cookie = pairOf((await site.get("/login")).setCookies[0]);
    return { site, cookie, slow, saves };
  }

  for (const logout of ["/logout", "/logout-by-regenerate"]) {
    for (const path of ["/slow", "/slow-save"]) {
      test(`${path} ends after ${logout}`, async (t) => {
        const gate = gated("set");
        const { site, cookie, slow, saves } = await race(t, gate);
        const arrived = once(slow, "arrived");
        const answer = site.get(path, { cookie });
        await arrived;
        await site.get(logout, { cookie });
        const set = mock.method(gate.store, "set");
        slow.emit("go");
        assert.equal((await answer).text, "done");
        assert.doesNotMatch(JSON.stringify(gate.store.sessions), /ada|slow/);
        assert.equal(set.mock.callCount(), 0);
        if (path === "/slow-save") assert.equal(Object(saves[0]).code, "SESSION_GONE");
      });
    }
  }

  test("a write that is on its way when the session is destroyed", async (t) => {
    const gate = gated("set");
    const { site, cookie, slow } = await race(t, gate);
    const arrived = once(slow, "arrived");
    const answer = site.get("/slow", { cookie });
    await arrived;
    gate.close();
    const called = gate.called();
    slow.emit("go");
    await called;
    await site.get("/logout", { cookie });
    gate.open();
    await answer;
    assert.deepEqual(gate.store.sessions, Object.create(null));
  });

  test("a session of the same ID that begins later is another one", async (t) => {
    const gate = gated("set");
    const { site, cookie } = await race(t, gate, { genid: () => "same" });
    await site.get("/logout", { cookie });
    await site.get("/login");
    assert.equal(JSON.parse(gate.store.sessions["same"] ?? "{}").user, "ada");
    await site.get("/login", { cookie });
  });

  test("by another process, if the store is asked again", async (t) => {
    const gate = gated("set");
    const { site, cookie, slow } = await race(t, gate, { recheck: true });
    const arrived = once(slow, "arrived");
    const answer = site.get("/slow", { cookie });
    await arrived;
    gate.store.clear();
    slow.emit("go");
    assert.equal((await answer).text, "done");
    assert.deepEqual(gate.store.sessions, Object.create(null));
  });

  test("unless the store refused to destroy it", async (t) => {
    const store = new MemoryStore();
    const { get } = await site(t, { store }, (req, res) => {
      hasSession(req);
      const current = req.session;
      if (req.url === "/") return void write(req, res);
      const { destroy } = store;
      store.destroy = (_id, callback) => callback?.(new Error("down"));
      current.destroy((error) => {
        store.destroy = destroy;
        current["still"] = true;
        current.save((failed) => res.end(`${error} ${failed}`));
      });
    });
    const cookie = pairOf((await get("/")).setCookies[0]);
    assert.equal((await get("/destroy", { cookie })).text, "Error: down undefined");
  });
});

test("what reload finds of another request is not written again", async (t) => {
  const { store, operations } = recorded(new MemoryStore());
  const { get } = await site(t, { store, genid: () => "id" }, async (req, res) => {
    hasSession(req);
    if (req.url === "/") return void write(req, res);
    const other = JSON.parse(store.sessions["id"] ?? "");
    store.sessions["id"] = JSON.stringify({ ...other, other: true });
    await Object(req.session).reload();
    res.end(JSON.stringify(Object(req.session).other));
  });
  const cookie = pairOf((await get("/")).setCookies[0]);
  operations.length = 0;
  assert.equal((await get("/reload", { cookie })).text, "true");
  assert.deepEqual(operations, ["get id", "get id", "touch id"]);
});

test("what the session is when the response is asked to end counts, not what a listener on its headers makes of it", async (t) => {
  const { store } = recorded(new MemoryStore());
  const { get } = await site(t, { store, genid: () => "id" }, (req, res) => {
    hasSession(req);
    const { session: current } = req;
    current["before"] = true;
    const { writeHead } = res;
    // As the package on-headers does it.
    Reflect.set(res, "writeHead", (...args: Parameters<typeof writeHead>) => {
      current["late"] = true;
      return Reflect.apply(writeHead, res, args);
    });
    res.end();
  });
  await get("/");
  assert.deepEqual(Object.keys(JSON.parse(store.sessions["id"] ?? "")), ["cookie", "before"]);
});

describe("methods without a callback", () => {
  test("return promises; with one, the session", async (t) => {
    const { get } = await site(t, {}, async (req, res) => {
      hasSession(req);
      const first = req.session;
      assert.equal(
        first.save(() => {}),
        first,
      );
      const asked: Record<"save" | "reload" | "regenerate" | "destroy", () => Promise<void>> = Object(first);
      first["kept"] = 1;
      await asked.save.call(first);
      await asked.reload.call(first);
      hasSession(req);
      assert.notEqual(req.session, first);
      assert.equal(req.session["kept"], 1);
      await Object(req.session).regenerate();
      hasSession(req);
      assert.equal("kept" in req.session, false);
      await Object(req.session).destroy();
      assert.equal("session" in req, false);
      res.end("all");
    });
    assert.equal((await get("/")).text, "all");
  });

  test("never bring the process down, awaited or not", async (t) => {
    const store = new MemoryStore();
    const { get } = await site(t, { store }, async (req, res) => {
      hasSession(req);
      const current = Object(req.session);
      store.set = (_id, _session, callback) => callback?.(new Error("down"));
      store.destroy = (_id, callback) => callback?.(new Error("down"));
      current.save();
      await assert.rejects(current.save(), /down/);
      await assert.rejects(current.reload(), /failed to load session/);
      current.destroy();
      await new Promise(setImmediate);
      res.end("alive");
    });
    assert.equal((await get("/")).text, "alive");
  });

  test("a callback is called once, though the store calls twice; what it throws is not lost", async () => {
    const thrown: unknown[] = [];
    const listener = (error: unknown) => thrown.push(error);
    const listeners = process.rawListeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", listener);
    try {
      const store = new MemoryStore();
      // As a store that calls back within its own try.
      store.set = (_id, _session, callback) => {
        try {
          callback?.();
        } catch (error) {
          callback?.(error);
        }
      };
      const req = { sessionID: "a", sessionStore: store };
      let calls = 0;
      new Session(req).save(() => {
        calls += 1;
        throw new Error("mine");
      });
      await new Promise(setImmediate);
      assert.equal(calls, 1);
      assert.deepEqual(thrown.map(String), ["Error: mine"]);
    } finally {
      process.off("uncaughtException", listener);
      for (const known of listeners) process.on("uncaughtException", known as () => void);
    }
  });
});

describe("beside a server", () => {
  test("a request with half a response, or none, has a session that save() writes", async () => {
    const store = new MemoryStore();
    // The last one is like Socket.IO's for a WebSocket handshake, which has no status.
    for (const res of [undefined, {}, { end() {} }, { writeHead() {} }, { end() {}, writeHead() {}, setHeader() {} }]) {
      const req = new IncomingMessage(new Socket());
      req.url = "/";
      Reflect.apply(session({ ...QUIET, store }), undefined, [req, res, () => {}]);
      hasSession(req);
      req.session["socket"] = true;
      await new Promise<void>((resolve, reject) => req.session.save((error) => (error ? reject(error) : resolve())));
      assert.ok(req.sessionID in store.sessions);
    }
  });

  test("a cookie function or genid that throws is told to next, where no framework would catch it", () => {
    const fail = () => {
      throw new Error("the application's");
    };
    for (const options of [{ cookie: fail }, { genid: fail }]) {
      const errors: unknown[] = [];
      const req = new IncomingMessage(new Socket());
      req.url = "/";
      Reflect.apply(session({ ...QUIET, ...options }), undefined, [req, {}, (error: unknown) => errors.push(error)]);
      assert.deepEqual(errors.map(String), ["Error: the application's"]);
    }
  });

  test("a request that has a session keeps it", async (t) => {
    const outer = session({ ...QUIET, name: "outer" });
    const inner = session({ ...QUIET, name: "inner" });
    const { get } = await serve(t, (req, res, next) => outer(req, res, () => inner(req, res, next)), write);
    assert.deepEqual(
      (await get("/")).setCookies.map((line) => line.split("=")[0]),
      ["outer"],
    );
  });

  test("the path is the client's, whatever is mounted where", async (t) => {
    const { port } = await site(t, { cookie: { path: "/admin" } }, (req, res) => res.end(String("session" in req)));
    const targets = {
      "/admin": "true",
      "/administrator": "true",
      "/": "false",
      "http://a/admin?x": "true",
      "/x?/admin": "false",
    };
    for (const [target, expected] of Object.entries(targets)) {
      const sent = request({ port, host: "127.0.0.1", path: target, agent: false }).end();
      const [response] = await once(sent, "response");
      let text = "";
      for await (const chunk of response) text += chunk;
      assert.equal(text, expected, target);
    }
  });

  test("the default store warns in production", (t) => {
    const { NODE_ENV } = process.env;
    const warned = mock.method(console, "warn", () => {});
    t.after(() => {
      warned.mock.restore();
      if (NODE_ENV === undefined) delete process.env["NODE_ENV"];
      else process.env["NODE_ENV"] = NODE_ENV;
    });
    process.env["NODE_ENV"] = "production";
    session(QUIET);
    assert.match(String(warned.mock.calls[0]?.arguments[0]), /leak\s+memory.*single process/s);
  });

  test("missing options are told once", async () => {
    const warnings: string[] = [];
    const listener = (warning: Error) => warnings.push(`${warning.name}: ${warning.message}`);
    process.on("warning", listener);
    for (let i = 0; i < 3; i += 1) session();
    await new Promise(setImmediate);
    process.off("warning", listener);
    assert.deepEqual(warnings, [
      "DeprecationWarning: express-session: undefined resave option; provide resave option",
      "DeprecationWarning: express-session: undefined saveUninitialized option; provide saveUninitialized option",
    ]);
  });

  test("deprecations are silenced as those of the original are", async (t) => {
    const { NO_DEPRECATION } = process.env;
    const warned = mock.method(process, "emitWarning", () => {});
    t.after(() => {
      warned.mock.restore();
      if (NO_DEPRECATION === undefined) delete process.env["NO_DEPRECATION"];
      else process.env["NO_DEPRECATION"] = NO_DEPRECATION;
    });
    process.env["NO_DEPRECATION"] = "other,express-session";
    Object.assign(new Cookie(), { maxAge: new Date(5) });
    assert.equal(warned.mock.callCount(), 0);
  });
});
