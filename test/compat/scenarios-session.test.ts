import { describe } from "node:test";
import { inherits } from "node:util";
import { cookieOf, count, plays, time } from "./stage.ts";
import { type Any, pairOf, recorded } from "./world.ts";

describe("the session's methods", () => {
  plays("are not among its names, and neither are its id and request", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      req.session.a = 1;
      const names: string[] = [];
      for (const name in req.session) names.push(name);
      const own = Object.getOwnPropertyDescriptors(req.session);
      const describe = ["id", "req", "cookie"].map((name) => [name, own[name]?.enumerable, own[name]?.writable]);
      res.end(JSON.stringify([names, Object.keys(req.session), describe, req.session.req === req, { ...req.session }]));
    });
    await get();
  });

  plays("regenerate: another ID, and the old record is gone", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      if (req.url === "/") return count(req, res);
      const [before, { id }] = [req.session, req.session];
      req.session.regenerate((error: unknown) =>
        res.end(JSON.stringify([error, id, req.sessionID, req.session.id, before === req.session, req.session])),
      );
    });
    const cookie = cookieOf(await get());
    await get("/regenerate", { cookie });
    stage.say(Object.keys(stage.store.sessions));
    await get("/", { cookie });
  });

  plays("regenerate: a failing destroy is told, and there is a session all the same", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      if (req.url === "/") return count(req, res);
      req.session.regenerate((error: unknown) => res.end(`${error} ${req.sessionID}`));
    });
    const cookie = cookieOf(await get());
    stage.store.destroy = (_id: string, callback: (error: unknown) => void) => callback(new Error("no destroy"));
    await get("/regenerate", { cookie });
  });

  plays("destroy: no session, no cookie, no record; with and without a callback", async (stage) => {
    const get = await stage.site(stage.middleware({ unset: "keep" }), (req, res) => {
      if (req.url === "/") return count(req, res);
      if (req.url === "/silent") req.session.destroy();
      if (req.url === "/silent") return res.end(`${req.session}`);
      req.session.destroy((error: unknown) => res.end(`${error} ${req.session} ${req.sessionID}`));
    });
    for (const path of ["/silent", "/told"]) {
      const cookie = cookieOf(await get());
      await get(path, { cookie });
      await get("/", { cookie });
    }
  });

  plays("reload: another object with what is stored; an error where nothing is", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      if (req.url === "/") return count(req, res);
      const before = req.session;
      before.unsaved = true;
      if (req.url === "/gone") delete stage.store.sessions[req.sessionID];
      before.reload((error: unknown) => res.end(`${error} ${before === req.session} ${JSON.stringify(req.session)}`));
    });
    const cookie = cookieOf(await get());
    await get("/reload", { cookie });
    await get("/gone", { cookie });
  });

  plays("reload: one that the application put there in its place survives an error", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      if (req.url === "/") return count(req, res);
      const { session } = req;
      const { reload } = session;
      let calls = 0;
      session.reload = (callback: unknown) => {
        calls += 1;
        return reload.call(session, callback);
      };
      delete stage.store.sessions[req.sessionID];
      session.reload(() =>
        session.reload((error: Error) => res.end(`${calls} ${error.message} ${req.session === session}`)),
      );
    });
    const cookie = cookieOf(await get());
    await get("/reload", { cookie });
  });

  plays("save: at once, then not again; after a reload neither", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      req.session.x = Number(req.session.x ?? 0) + 1;
      req.session.save((error: unknown) => {
        if (req.url === "/") return res.end(`${error}`);
        if (req.url === "/then-change") req.session.y = true;
        if (req.url !== "/then-reload") return res.end(`${error}`);
        req.session.reload((failed: unknown) => res.end(`${error} ${failed} ${req.session.x}`));
      });
    });
    const cookie = cookieOf(await get());
    for (const path of ["/", "/then-change", "/then-reload"]) await get(path, { cookie });
  });

  plays("save: its error is the callback's", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      req.session.x = 1;
      req.session.save((error: unknown) => res.end(String(error)));
    });
    stage.store.set = (_id: string, _data: unknown, callback: (error: unknown) => void) =>
      callback(new Error("no set"));
    await get();
  });

  plays("touch: the full time again, counted from now", async (stage) => {
    const get = await stage.site(stage.middleware({ cookie: { maxAge: 10_000 } }), (req, res) => {
      if (req.url === "/") return count(req, res);
      const before = req.session.cookie.maxAge;
      res.end(JSON.stringify([before, req.session.touch() === req.session, req.session.cookie.maxAge]));
    });
    const cookie = cookieOf(await get());
    time.now += 4000;
    await get("/touch", { cookie });
  });

  plays("that end or prolong a session return it", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      const { session } = req;
      const same = [session.touch(), session.resetMaxAge()];
      same.push(session.regenerate(() => same.push(req.session.destroy(() => answer()))));
      const answer = () => res.end(JSON.stringify(same.map((value) => value === session)));
    });
    await get();
  });

  plays("a bogus req.sessionID saves nothing", async (stage) => {
    for (const bogus of [undefined, null, 42, ""]) {
      const get = await stage.site(stage.middleware(), (req, res) => {
        req.session.x = 1;
        req.sessionID = bogus;
        res.end("bogus");
      });
      await get();
    }
  });
});

describe("the session's cookie", () => {
  const changes: Record<string, (cookie: Any) => void> = {
    maxAge: (cookie) => (cookie.maxAge = 7000),
    "maxAge of a Date": (cookie) => (cookie.maxAge = new Date(time.now + 8000)),
    "maxAge null": (cookie) => (cookie.maxAge = null),
    "maxAge false": (cookie) => (cookie.maxAge = false),
    "maxAge undefined": (cookie) => (cookie.maxAge = undefined),
    expires: (cookie) => (cookie.expires = new Date(time.now + 9000)),
    "expires null": (cookie) => (cookie.expires = null),
    originalMaxAge: (cookie) => (cookie.originalMaxAge = 1234),
    "a shorter maxAge": (cookie) => (cookie.maxAge = 1),
    "path, domain and the rest": (cookie) =>
      Object.assign(cookie, { path: "/p", domain: "example.com", httpOnly: false, sameSite: "none", unknown: 1 }),
    "an impossible path": (cookie) => (cookie.path = "/;"),
    "an impossible expires": (cookie) => (cookie.expires = new Date(Number.NaN)),
  };
  for (const [name, change] of Object.entries(changes)) {
    for (const cookie of [{}, { maxAge: 5000 }]) {
      plays(`${name}, of ${JSON.stringify(cookie)}, changed with data and alone`, async (stage) => {
        const get = await stage.site(stage.middleware({ cookie }), (req, res) => {
          const [, what, data] = req.url.split("/");
          if (what === "change") change(req.session.cookie);
          if (data !== undefined) req.session.x = Number(req.session.x ?? 0) + 1;
          res.end(JSON.stringify([req.session.cookie, req.session.cookie.maxAge, req.session.cookie.expires]));
        });
        const sent = { cookie: cookieOf(await get("/read/data")) };
        for (const path of ["/change/data", "/read", "/change", "/read", "/read/data"]) {
          time.now += 100;
          await get(path, sent);
        }
        stage.say(stage.store.sessions);
        await get("/change/data");
      });
    }
  }

  plays("is counted from the end of a slow request, if its headers were not sent before", async (stage) => {
    const get = await stage.site(stage.middleware({ cookie: { maxAge: 5000 } }), async (req, res) => {
      req.session.x = Number(req.session.x ?? 0) + 1;
      if (req.url === "/stream") res.write("a");
      time.now += 2000;
      res.end("b");
    });
    const cookie = cookieOf(await get());
    await get("/", { cookie });
    await get("/stream", { cookie });
    stage.say(stage.store.sessions);
  });
});

describe("stores", () => {
  const methods = (data: Map<string, string>): Record<string, (...args: Any[]) => unknown> => ({
    get: (id, callback) => callback(null, data.has(id) ? JSON.parse(data.get(id) ?? "") : undefined),
    set: (id, session, callback) => callback(null, data.set(id, JSON.stringify(session)) === undefined),
    destroy: (id, callback) => callback?.(null, data.delete(id)),
  });
  /** In each of the ways in which stores are made, answering at once. */
  const makers: Record<string, (library: Any, own: object) => object> = {
    "Store.call and util.inherits": (library, own) => {
      function Mine(this: object) {
        library.Store.call(this, {});
      }
      inherits(Mine, library.Store);
      Object.assign(Mine.prototype, own);
      return Reflect.construct(Mine, []);
    },
    "Store.call and __proto__": (library, own) => {
      function Mine(this: object) {
        library.Store.call(this);
      }
      Object.setPrototypeOf(Mine.prototype, library.Store.prototype);
      Object.assign(Mine.prototype, own);
      return Reflect.construct(Mine, []);
    },
    extends: (library, own) => {
      class Mine extends library.Store {}
      Object.assign(Mine.prototype, own);
      return new Mine();
    },
    "an object that was given the prototype": (library, own) =>
      Object.assign(Object.create(library.Store.prototype), { _events: {}, _eventsCount: 0 }, own),
  };
  for (const [name, make] of Object.entries(makers)) {
    plays(`that answer at once, made by ${name}`, async (stage) => {
      const data = new Map<string, string>();
      const { store, operations } = recorded(make(stage.library, methods(data)));
      const get = await stage.site(stage.middleware({ store }), (req, res) => {
        if (req.url === "/out") return req.session.destroy((error: unknown) => res.end(`bye ${error}`));
        if (req.url === "/new") return req.session.regenerate((error: unknown) => res.end(`new ${error}`));
        if (req.url === "/again") return req.session.reload((error: unknown) => res.end(`again ${error}`));
        count(req, res);
      });
      let cookie = cookieOf(await get());
      for (const path of ["/", "/again", "/new", "/", "/out", "/"]) {
        const { setCookies } = await get(path, { cookie });
        cookie = setCookies[0] === undefined ? cookie : pairOf(setCookies[0]);
      }
      stage.say(operations, Object.fromEntries(data));
    });
  }

  plays("methods that are replaced on the instance later count; a touch that comes later doesn't", async (stage) => {
    const data = new Map<string, string>();
    const store: Any = makers["extends"]?.(stage.library, methods(data));
    const get = await stage.site(stage.middleware({ store }), (req, res) =>
      req.url === "/read" ? res.end("read") : count(req, res),
    );
    const cookie = cookieOf(await get());
    for (const name of ["get", "set", "destroy"]) {
      const method = store[name];
      store[name] = (...args: unknown[]) => {
        stage.say("late", name);
        return method.apply(store, args);
      };
    }
    store.touch = () => stage.say("touched");
    await get("/", { cookie });
    await get("/read", { cookie });
  });

  plays("generate, createSession and load, as sockets and jobs use them", async (stage) => {
    const get = await stage.site(stage.middleware({ cookie: { maxAge: 5000 } }));
    const cookie = cookieOf(await get());
    stage.say(typeof stage.store.generate);
    const loaded: Any = await new Promise((resolve) =>
      stage.store.load("id1", (_e: unknown, one: unknown) => resolve(one)),
    );
    stage.say(
      loaded,
      loaded.id,
      loaded instanceof stage.library.Session,
      loaded.cookie instanceof stage.library.Cookie,
    );
    loaded.views = 100;
    await new Promise((resolve) => loaded.save(resolve));
    await get("/", { cookie });
    const req: Any = { sessionID: "id9", sessionStore: stage.store };
    const raw = { cookie: { expires: new Date(time.now + 1).toISOString(), originalMaxAge: 77, secure: true }, x: 1 };
    const created = stage.store.createSession(req, raw);
    stage.say(
      created === req.session,
      created,
      raw.cookie instanceof stage.library.Cookie,
      created.cookie.originalMaxAge,
    );
    stage.store.generate(req);
    stage.say(req.session, req.sessionID, req.session.id);
    const missing = await new Promise((resolve) => stage.store.load("nobody", (...args: unknown[]) => resolve(args)));
    stage.say(missing);
  });

  plays("MemoryStore: all, length, clear, and what has expired", async (stage) => {
    const { store } = stage;
    const ask = (method: string, ...args: unknown[]) =>
      new Promise((resolve) => store[method](...args, (...answer: unknown[]) => resolve(answer)));
    const cookie = new stage.library.Cookie({ maxAge: 1000 });
    stage.say(
      await ask("set", "a", { cookie, x: 1 }),
      await ask("set", "b", { cookie: new stage.library.Cookie(), y: 1 }),
    );
    stage.say(await ask("all"), await ask("length"), await ask("get", "a"), await ask("get", "none"));
    time.now += 1000;
    stage.say(await ask("all"), await ask("length"), Object.keys(store.sessions));
    stage.say(await ask("touch", "b", { cookie, y: 2 }), await ask("touch", "none", { cookie }), store.sessions);
    stage.say(await ask("destroy", "b"), await ask("destroy", "b"), await ask("clear"), await ask("length"));
    for (const name of ["set", "touch"]) store[name]("c", { cookie });
    for (const name of ["all", "clear"]) store[name]();
    store.destroy("c");
    stage.say(store.sessions);
  });
});

describe("classes", () => {
  plays("Session", async (stage) => {
    const { Session } = stage.library;
    for (const data of [
      undefined,
      null,
      "text",
      5,
      { a: 1, save: 2, cookie: 3 },
      Object.create({ inherited: 1 }),
      [1],
    ]) {
      const session = new Session({ sessionID: "id" }, data);
      stage.say(session, Object.keys(session), session.id, session.req, typeof session.save);
    }
    for (const name of ["touch", "resetMaxAge", "save", "reload", "destroy", "regenerate"]) {
      const { value, ...flags } = Object.getOwnPropertyDescriptor(Session.prototype, name) ?? {};
      stage.say(name, typeof value, flags);
    }
  });

  plays("Cookie", async (stage) => {
    const { Cookie } = stage.library;
    const lines: unknown[] = [];
    for (const options of [
      undefined,
      null,
      {},
      { expires: new Date(5) },
      { maxAge: 5, expires: new Date(6) },
      { expires: new Date(6), maxAge: 5 },
      { expires: "tomorrow" },
      { originalMaxAge: 9 },
      { path: "", httpOnly: false, secure: 1, extra: {}, data: 1, _expires: new Date(7) },
      Object.create({ domain: "inherited" }),
      5,
      "text",
      [],
    ]) {
      try {
        const cookie = new Cookie(options);
        lines.push(
          cookie,
          Object.keys(cookie),
          cookie.data,
          Object.keys(cookie.data),
          cookie.maxAge,
          cookie.originalMaxAge,
        );
        lines.push(cookie.serialize("name", "va lue;"));
      } catch (error) {
        lines.push(String(error));
      }
    }
    for (const maxAge of ["1", true, {}, [], Number.NaN, 0, -1, "", new Date(9)]) {
      try {
        lines.push(new Cookie({ maxAge }));
      } catch (error) {
        lines.push(String(error));
      }
    }
    const names = Object.getOwnPropertyNames(Cookie.prototype);
    lines.push(["data", "expires", "maxAge", "serialize", "toJSON"].map((name) => names.includes(name)));
    stage.say(...lines);
  });
});
