import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import express, { type Express, type Request } from "express";
import { MemoryStore, type Sessions, session } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Cleanup, KINDS, listen, site } from "../support/site.ts";

const express4: typeof express = createRequire(import.meta.url)("express4"); // it has no types
const VERSIONS = [
  ["4", express4],
  ["5", express],
] as const;

function serve(t: Cleanup, app: Express, ...all: Sessions[]) {
  app.set("env", "test");
  return listen(t, createServer(app), {
    close: () => Promise.all(all.map((one) => one.close())).then(() => undefined),
  });
}

describe("req.session is a property of the request itself", () => {
  for (const [version, create] of VERSIONS) {
    const inner = () => {
      const app = create();
      app.use((req, res) => {
        Object.assign(req.session, { n: Number(Reflect.get(req.session, "n") ?? 0) + 1 });
        res.json([req.session, req.sessionID === req.session.id]);
      });
      return app;
    };

    test(`another application that takes the request over has it, Express ${version}`, async (t) => {
      for (const [name, mount] of Object.entries<(app: Express, taken: Express) => void>({
        // As vhost does it.
        "by a call": (app, taken) =>
          void app.use((req, res, next) => void Reflect.apply(taken, undefined, [req, res, next])),
        "without next": (app, taken) => void app.use((req, res) => void Reflect.apply(taken, undefined, [req, res])),
        "as a mounted application": (app, taken) => void app.use(taken),
      })) {
        const sessions = session({ clock: new ManualClock() });
        const outer = create();
        outer.use(sessions);
        mount(outer, inner());
        const one = (await serve(t, outer, sessions)).visitor();
        assert.equal((await one.get()).text, '[{"n":1},true]', name);
        assert.equal((await one.get()).text, '[{"n":2},true]', name);
      }
    });

    test(`the same session() again in the application that took over is no second one, Express ${version}`, async (t) => {
      const sessions = session({ clock: new ManualClock() });
      const [outer, taken] = [create(), create()];
      taken.use(sessions, inner());
      outer.use(sessions);
      outer.use((req, res) => void Reflect.apply(taken, undefined, [req, res]));
      const one = (await serve(t, outer, sessions)).visitor();
      assert.equal((await one.get()).setCookies.length, 1);
      assert.equal((await one.get()).text, '[{"n":2},true]');
    });

    test(`an application called from the one below keeps the session for later routes, Express ${version}`, async (t) => {
      const sessions = session({ clock: new ManualClock() });
      const [outer, taken] = [create(), create()];
      taken.use((req, _res, next) => {
        Object.assign(req.session, { seen: true });
        next();
      });
      outer.use(sessions);
      outer.use((req, res, next) => void Reflect.apply(taken, undefined, [req, res, next]));
      outer.use((req, res) => void res.json(req.session));
      const { visitor } = await serve(t, outer, sessions);
      assert.equal((await visitor().get()).text, '{"seen":true}');
    });
  }

  for (const kind of KINDS) {
    test(`own and enumerable, as with express-session (${kind})`, async (t) => {
      const { visitor } = await site(t, { kind }, async (req, res) => {
        assert.ok(Object.hasOwn(req, "session") && Object.keys(req).includes("session") && "session" in req);
        assert.equal({ ...req }.session, req.session);
        await req.session.login("alice");
        assert.equal({ ...req }.session.userId, "alice");
        const derived: typeof req = Object.create(req);
        assert.equal(derived.session, req.session);
        res.end("ok");
      });
      assert.equal((await visitor().get()).text, "ok");
    });
  }
});

describe("req.session = value", () => {
  for (const kind of KINDS) {
    test(`the session itself, or a plain object: the object's data takes the place of all others (${kind})`, async (t) => {
      const { visitor } = await site(t, { kind }, (req, res) => {
        if (req.url === "/same") Reflect.set(req, "session", req.session || {});
        if (req.url === "/begin") Reflect.set(req, "session", { a: 1, b: { c: [2] } });
        if (req.url === "/replace") Reflect.set(req, "session", Object.assign(Object.create(null), { b: 3, d: 4 }));
        res.end(JSON.stringify(req.session));
      });
      const one = visitor();
      assert.equal((await one.get("/same")).text, "{}");
      assert.equal((await one.get("/begin")).text, '{"a":1,"b":{"c":[2]}}');
      assert.equal((await one.get("/same")).text, '{"a":1,"b":{"c":[2]}}');
      await one.get("/replace");
      assert.deepEqual(JSON.parse((await one.get("/")).text), { b: 3, d: 4 });
    });

    test(`null or undefined ends the session, and reads as it was assigned (${kind})`, async (t) => {
      for (const value of [null, undefined]) {
        const { visitor, sessions } = await site(t, { kind }, async (req, res) => {
          if (req.url === "/login") await req.session.login("alice");
          if (req.url === "/end") {
            Reflect.set(req, "session", value);
            assert.equal(req.session, value);
            assert.equal(req.sessionID, undefined);
          }
          if (req.url === "/anew") {
            Reflect.set(req, "session", value);
            Reflect.set(req, "session", { fresh: true });
          }
          res.end(JSON.stringify([req.session, req.session?.userId]));
        });
        const one = visitor();
        await one.get("/login");
        const copy = one.clone();
        const { setCookies } = await one.get("/end");
        assert.match(setCookies[0] ?? "", /Max-Age=0/);
        assert.equal(await sessions.count(), 0);
        assert.equal((await copy.get("/")).text, "[{},null]");
        const other = visitor();
        await other.get("/login");
        assert.equal((await other.get("/anew")).text, '[{"fresh":true},null]');
        assert.equal((await other.get("/")).text, '[{"fresh":true},null]');
      }
    });
  }

  test("anything else is refused, and nothing changes", async (t) => {
    const { visitor } = await site(t, {}, async (req, res) => {
      Object.assign(req.session, { n: 1 });
      const stale = req.session;
      if (req.url === "/stale") await req.session.destroy();
      class Own {}
      for (const value of ["text", 1, true, false, [1], new Own(), new Date(), new Map(), () => {}, stale]) {
        if (value === req.session) continue;
        assert.throws(
          () => Reflect.set(req, "session", value),
          /^TypeError: req\.session can be set to a plain object.*regenerate\(\)/,
        );
      }
      assert.throws(() => Reflect.set(req, "session", { login: 1 }), TypeError);
      assert.throws(
        () => Reflect.set(req, "sessionID", "x"),
        /^TypeError: req\.sessionID can't be set.*regenerate\(\)/,
      );
      res.end(JSON.stringify(req.session));
    });
    assert.equal((await visitor().get("/")).text, '{"n":1}');
    assert.equal((await visitor().get("/stale")).text, "{}");
  });

  test("delete req.session ends nothing, and is the error handler's to tell", async (t) => {
    for (const kind of KINDS) {
      for (const isRead of [false, true]) {
        const { visitor, errors } = await site(t, { kind }, async (req, res) => {
          if (req.url === "/login") await req.session.login("alice");
          if (req.url === "/delete") {
            if (isRead) JSON.stringify(req.session);
            Reflect.deleteProperty(req, "session");
          }
          res.end(req.session?.userId ?? "nobody");
        });
        const one = visitor();
        await one.get("/login");
        const { status, setCookies } = await one.get("/delete");
        assert.deepEqual([status, setCookies], [500, []]);
        assert.match(String(errors[0]), /^TypeError: req\.session was deleted.*destroy\(\), or logout\(\)/);
        assert.equal((await one.get("/")).text, "alice");
      }
    }
  });
});

describe("a session that a test has put on the request", () => {
  const mocks: Record<string, (req: Request) => void> = {
    "its own property": (req) => void Object.assign(req, { session: { user: 1 } }),
    "a getter": (req) => void Object.defineProperty(req, "session", { get: () => ({ user: 1 }), configurable: true }),
  };
  for (const [name, mock] of Object.entries(mocks)) {
    test(`before the middleware is left alone: ${name}`, async (t) => {
      const sessions = session({ clock: new ManualClock() });
      const app = express();
      app.use((req, _res, next) => {
        mock(req);
        next();
      });
      app.use(sessions);
      app.use((req, res) => void res.json(req.session));
      const { visitor } = await serve(t, app, sessions);
      const { text, setCookies } = await visitor().get();
      assert.deepEqual([text, setCookies], ['{"user":1}', []]);
    });
  }

  test("on the application's requests is left alone", async (t) => {
    const sessions = session({ clock: new ManualClock() });
    const app = express();
    Object.assign(app.request, { session: { user: 1 } });
    app.use(sessions, (req, res) => void res.json(req.session));
    const { visitor } = await serve(t, app, sessions);
    assert.equal((await visitor().get()).text, '{"user":1}');
  });

  test("after the middleware is the session's data", async (t) => {
    const { visitor } = await site(t, { kind: "express5" }, (req, res) => {
      Object.assign(req, { session: { user: 1 } });
      res.end(JSON.stringify(req.session));
    });
    assert.equal((await visitor().get()).text, '{"user":1}');
  });
});

describe("a session() below another one", () => {
  test("with a name of its own has the request from there on, and both are saved", async (t) => {
    for (const [, create] of VERSIONS) {
      const [shop, admin] = [session({ name: "shop" }), session({ name: "admin" })];
      const app = create();
      app.use(shop);
      app.use((req, _res, next) => {
        Object.assign(req.session, { visits: Number(Reflect.get(req.session, "visits") ?? 0) + 1 });
        next();
      });
      app.use("/admin", admin, async (req, res) => {
        if (req.url === "/login") await req.session.login("root");
        Object.assign(req.session, { pages: Number(Reflect.get(req.session, "pages") ?? 0) + 1 });
        res.json([req.session, req.session.userId]);
      });
      app.use((req, res) => void res.json([req.session, req.session.userId]));
      const one = (await serve(t, app, shop, admin)).visitor();
      assert.equal((await one.get("/")).text, '[{"visits":1},null]');
      const login = await one.get("/admin/login");
      assert.equal(login.text, '[{"pages":1},"root"]');
      assert.deepEqual(
        login.setCookies.map((line) => line.split("=")[0]),
        ["admin"],
      );
      assert.equal((await one.get("/admin")).text, '[{"pages":2},"root"]');
      assert.equal((await one.get("/")).text, '[{"visits":4},null]');
      assert.deepEqual([await shop.count(), await admin.count("root")], [1, 1]);
    }
  });

  test("its cookie opens nothing under the other's name, with a secret or without", async (t) => {
    for (const secret of [undefined, "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-names"]) {
      const store = new MemoryStore();
      const keyed = secret !== undefined && { secret };
      const names = ["sid", "shop", "admin", undefined];
      const all = names.map((name) => session({ store, ...keyed, ...(name !== undefined && { name }) }));
      const app = express();
      all.forEach((one, n) => {
        app.use(`/${n}`, one, async (req: Request, res) => {
          if (req.url === "/login") await req.session.login("root");
          res.json([req.session.userId, req.session.transport]);
        });
      });
      const { visitor } = await serve(t, app, ...all);
      for (const [n, name] of names.entries()) {
        const one = visitor();
        await one.get(`/${n}/login`);
        const [token] = one.cookies.values();
        for (const [m, other] of names.entries()) {
          const { text } = await visitor().get(`/${m}`, { cookie: `${other ?? "sid"}=${token}` });
          const opens = (name ?? "sid") === (other ?? "sid");
          assert.equal(text, JSON.stringify([opens ? "root" : null, "cookie"]), `${name} under ${other}`);
        }
      }
    }
  });

  test("with the same name is refused with what to do", async (t) => {
    const [outer, inner] = [session(), session()];
    const app = express();
    app.use(outer, inner, (_req, res) => void res.end("reached"));
    const { visitor } = await serve(t, app, outer, inner);
    const { status, text } = await visitor().get();
    assert.equal(status, 500);
    assert.match(text, /two session\(\) on one request both use &quot;sid&quot;/);
  });

  test("on the same store is the same session", async (t) => {
    const store = new MemoryStore();
    const [outer, inner] = [session({ store }), session({ store })];
    const app = express();
    app.use(outer, inner, (req: Request, res) => {
      Object.assign(req.session, { n: 1 });
      res.json(req.session);
    });
    const { visitor } = await serve(t, app, outer, inner);
    const { text, setCookies } = await visitor().get();
    assert.deepEqual([text, setCookies.length], ['{"n":1}', 1]);
  });

  test("a secret that turns out to be undefined is refused", () => {
    assert.throws(
      () => session({ secret: process.env["NO_SUCH_SECRET"] }),
      /^TypeError: secret is undefined: set the environment variable/,
    );
  });
});

test("a request and a response that are no server's work as far as they go", async () => {
  const sessions = session();
  const req = Object.assign(Object.create(null), { headers: {}, url: "/", method: "GET" }) as IncomingMessage;
  const res = {} as ServerResponse;
  let calls = 0;
  sessions(req, res, () => calls++);
  assert.equal(calls, 1);
  assert.deepEqual({ ...Reflect.get(req, "session") }, {});
  await sessions.close();
});
