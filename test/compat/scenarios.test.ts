import { once } from "node:events";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { describe } from "node:test";
import { selfSigned } from "../support/certificate.ts";
import { cookieOf, count, plays, time } from "./stage.ts";
import { type Any, type Middleware, pairOf } from "./world.ts";

describe("which session a request has", () => {
  plays("none is made where there is one, and req.session is left alone", async (stage) => {
    const inner = stage.middleware();
    const get = await stage.site(
      (req, res, next) => inner(Object.assign(req, { session: { own: true } }), res, next),
      (req, res) => res.end(JSON.stringify([req.session, "sessionStore" in req])),
    );
    await get();
  });

  plays("one that expired is another, under a new ID, and its record is gone", async (stage) => {
    const get = await stage.site(stage.middleware({ cookie: { maxAge: 1000 } }));
    const cookie = cookieOf(await get());
    time.now += 999;
    await get("/", { cookie });
    time.now += 1000;
    await get("/", { cookie });
    stage.say(Object.keys(stage.store.sessions));
  });

  plays("an unknown one, an unsigned one and a forged one: the store is asked for the first alone", async (stage) => {
    const get = await stage.site(stage.middleware());
    const cookie = cookieOf(await get());
    stage.store.clear();
    await get("/", { cookie });
    await get("/", { cookie: cookie.replace("s%3A", "") });
    await get("/", { cookie: `${cookie}x` });
    await get("/", { cookie: cookie.replace("id1", "id2") });
    await get("/", { cookie: "connect.sid=%" });
    await get("/", { cookie: "other=1; connect.sid=" });
  });

  for (const [what, error] of Object.entries({
    "an error": new Error("boom!"),
    ENOENT: Object.assign(new Error("none"), { code: "ENOENT" }),
  })) {
    plays(`${what} of the store's get`, async (stage) => {
      const get = await stage.site(stage.middleware());
      const cookie = cookieOf(await get());
      stage.store.get = (_id: string, callback: (error: unknown) => void) => callback(error);
      await get("/", { cookie });
    });
  }

  for (const miss of [null, undefined, false, 0, ""]) {
    plays(`a store that answers ${JSON.stringify(miss)}`, async (stage) => {
      const get = await stage.site(stage.middleware());
      const cookie = cookieOf(await get());
      stage.store.get = (_id: string, callback: (error: unknown, data: unknown) => void) => callback(null, miss);
      await get("/", { cookie });
    });
  }

  plays("a record with names of methods, of the prototype and of the session's own", async (stage) => {
    const get = await stage.site(stage.middleware(), (req, res) => {
      const names: string[] = [];
      for (const name in req.session) names.push(name);
      res.end(JSON.stringify([names, Object.keys(req.session), typeof req.session.save, req.session.id, req.session]));
    });
    const first = await stage.site(stage.middleware());
    const cookie = cookieOf(await first());
    stage.store.sessions["id1"] =
      '{"cookie":{"path":"/","unknown":1},"save":1,"reload":2,"touch":3,"id":"x","req":5,"hasOwnProperty":6,"constructor":7,"__proto__":{"polluted":1},"user":"ada"}';
    await get("/", { cookie });
    stage.say(Object.hasOwn(Object.prototype, "polluted"));
  });

  plays("no session at all while the store says it is away", async (stage) => {
    const middleware = stage.middleware();
    const get = await stage.site(middleware, (req, res) => res.end(String(req.session === undefined)));
    stage.store.emit("disconnect");
    await get();
    stage.store.emit("connect");
    await get();
  });

  plays("two middlewares in a row, of different names: the first one's", async (stage) => {
    const [outer, inner] = [stage.middleware({ name: "outer" }), stage.middleware({ name: "inner" })];
    const get = await stage.site((req, res, next) => outer(req, res, () => inner(req, res, next)));
    await get();
  });

  plays("the secret of cookie-parser, where there is none of its own", async (stage) => {
    const middleware = stage.middleware({ secret: undefined });
    const with_ =
      (secret?: string): Middleware =>
      (req, res, next) =>
        middleware(Object.assign(req, { secret }), res, next);
    const cookie = cookieOf(await (await stage.site(with_("parser")))());
    await (await stage.site(with_("parser")))("/", { cookie });
    await (await stage.site(with_("another")))("/", { cookie });
    await (await stage.site(with_()))("/", { cookie });
  });

  plays("cookie-parser's cookies, where the header is gone", async (stage) => {
    const { store } = stage;
    const cookie = cookieOf(await (await stage.site(stage.middleware()))());
    const raw = decodeURIComponent(cookie.slice("connect.sid=".length));
    for (const [cookies, signedCookies] of [
      [{ "connect.sid": raw }, undefined],
      [{ "connect.sid": raw.slice(2) }, undefined],
      [{ "connect.sid": `${raw}x` }, undefined],
      [undefined, { "connect.sid": "id1" }],
      [undefined, { "connect.sid": false }],
      [{ "connect.sid": raw }, { "connect.sid": "id2" }],
    ]) {
      const middleware = stage.middleware({ store });
      const get = await stage.site((req, res, next) =>
        middleware(Object.assign(req, { cookies, signedCookies }), res, next),
      );
      await get();
    }
  });

  for (const [secret, others] of [
    ["one", ["one", ["one", "two"], ["two", "one"], "two"]],
    [Buffer.from("bytes"), [Buffer.from("bytes"), [Buffer.from("bytes")], "bytes"]],
  ] as const) {
    plays(`signed with ${secret}, read with others`, async (stage) => {
      const cookie = cookieOf(await (await stage.site(stage.middleware({ secret })))());
      for (const other of others) await (await stage.site(stage.middleware({ secret: other })))("/", { cookie });
    });
  }

  for (const path of ["/foo", "/foo/", "/foo?a=/b", "/foobar", "/fo", "/FOO", "//foo", "/%66oo"]) {
    plays(`the cookie's path is /foo, the request's ${path}`, async (stage) => {
      const get = await stage.site(stage.middleware({ cookie: { path: "/foo" } }), (req, res) => {
        if (req.session) count(req, res);
        else res.end("none");
      });
      await get(path);
    });
  }

  plays("a mounted middleware, and an empty URL", async (stage) => {
    const middleware = stage.middleware({ cookie: { path: "/app" } });
    const mounted: Middleware = (req, res, next) => {
      Object.assign(req, { originalUrl: req.url, url: req.url?.slice("/app".length) ?? "" });
      middleware(req, res, next);
    };
    await (await stage.site(mounted))("/app");
    await (await stage.site(mounted))("/app/x?y");
    const empty = stage.middleware();
    const get = await stage.site((req, res, next) => empty(Object.assign(req, { url: "" }), res, next));
    await get();
  });
});

describe("over TLS", () => {
  for (const cookie of [
    { secure: true },
    { secure: "auto" },
    { secure: "auto", sameSite: "auto" },
    { secure: false },
  ]) {
    for (const proxy of [undefined, true, false]) {
      plays(`${JSON.stringify(cookie)}, proxy ${proxy}`, async (stage) => {
        const middleware = stage.middleware({ cookie, proxy });
        const server = createServer(selfSigned(), (req, res) => middleware(req, res, () => count(req, res)));
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        stage.after(() => server.close());
        const { port } = server.address() as AddressInfo;
        for (const headers of [{}, { "X-Forwarded-Proto": "http" }]) {
          const sent = request({ port, host: "127.0.0.1", headers, agent: false, rejectUnauthorized: false }).end();
          const [response] = await once(sent, "response");
          response.resume();
          stage.say(response.statusCode, response.headers["set-cookie"]);
          await once(response, "end");
        }
      });
    }
  }

  for (const secure of [undefined, true, false]) {
    for (const proxy of [undefined, true, false]) {
      plays(`Express says req.secure is ${secure}, proxy ${proxy}`, async (stage) => {
        const middleware = stage.middleware({ cookie: { secure: true }, proxy });
        const get = await stage.site((req, res, next) => middleware(Object.assign(req, { secure }), res, next));
        for (const proto of ["https", "http", "HTTPS", " https ", "https, http", "http, https", ","]) {
          await get("/", { "X-Forwarded-Proto": proto });
        }
        await get();
      });
    }
  }
});

describe("the end of a response", () => {
  const ends: Record<string, (res: Any) => unknown> = {
    twice: (res) => [res.end("Hello, world!"), res.end()],
    "twice, with bodies": (res) => [res.end("Hello, world!"), res.end("again")],
    "of null": (res) => res.end(null),
    "of nothing": (res) => res.end(),
    "of a buffer": (res) => res.end(Buffer.from("Hello, world!")),
    "of an empty string": (res) => res.end(""),
    "of null after a write": (res) => [res.write("Hello, "), res.end(null)],
    "after writes": (res) => [res.write("Hello, "), res.write("world"), res.end("!")],
    "with a length, after a write": (res) => [
      res.setHeader("Content-Length", 13),
      res.write("Hello, "),
      res.end("world!"),
    ],
    "with a length, of hexadecimal digits": (res) => [res.setHeader("Content-Length", 2), res.end("6869", "hex")],
    "with a length of 0": (res) => [res.setHeader("Content-Length", 0), res.end()],
    "with a length, all written before": (res) => [res.setHeader("Content-Length", 5), res.write("Hello"), res.end()],
    "after writeHead": (res) => [res.writeHead(201, { "Content-Length": 2 }), res.end("hi")],
    "of 204": (res) => [res.writeHead(204), res.end()],
    "of 304": (res) => [res.writeHead(304), res.end()],
  };
  for (const [name, end] of Object.entries(ends)) {
    plays(name, async (stage) => {
      const get = await stage.site(stage.middleware(), (req, res) => {
        if (req.url === "/write") req.session.x = Number(req.session.x ?? 0) + 1;
        end(res);
      });
      const cookie = cookieOf(await get("/write"));
      await get("/write", { cookie });
      await get("/read", { cookie });
      stage.say(stage.store.sessions);
    });
  }

  plays("patched before and after, as compression and loggers do it", async (stage) => {
    const middleware = stage.middleware();
    const patch = (res: Any, name: string): void => {
      const { write, end } = res;
      res.write = (...args: unknown[]) => {
        stage.say(name, "write", String(args[0]));
        return write.apply(res, args);
      };
      res.end = (...args: unknown[]) => {
        stage.say(name, "end", String(args[0]));
        return end.apply(res, args);
      };
    };
    const get = await stage.site(
      (req, res, next) => {
        patch(res, "before");
        middleware(req, res, () => {
          patch(res, "after");
          next();
        });
      },
      (req, res) => {
        req.session.x = 1;
        res.write("a");
        res.end("b");
      },
    );
    const { text } = await get();
    // How often a patch beneath is called is the business of whoever holds the response.
    stage.lines.splice(0, stage.lines.length, text, ...stage.lines.filter((line) => line.startsWith("after")));
  });

  for (const header of [undefined, "a=1", ["a=1", "b=2"]]) {
    for (const where of ["before", "writeHead", "writeHead with a reason", "writeHead of an array"]) {
      plays(`another Set-Cookie, ${JSON.stringify(header)}, ${where}`, async (stage) => {
        const get = await stage.site(stage.middleware(), (req, res) => {
          req.session.x = 1;
          if (header === undefined) res.writeHead(200);
          else if (where === "before") res.setHeader("Set-Cookie", header);
          else if (where === "writeHead") res.writeHead(200, { "Set-Cookie": header });
          else if (where === "writeHead with a reason") res.writeHead(200, "OK", { "set-cookie": header });
          else
            res.writeHead(
              200,
              [header].flat().flatMap((value) => ["Set-Cookie", value]),
            );
          res.end("cookies");
        });
        await get();
      });
    }
  }
});

describe("the options", () => {
  plays("genid is given the request, and its ID is encoded", async (stage) => {
    const get = await stage.site(stage.middleware({ genid: (req: Any) => `${req.url};=% é` }));
    const cookie = cookieOf(await get("/x"));
    await get("/y", { cookie });
  });

  for (const options of [{ name: "a" }, { key: "b" }, { name: "a", key: "b" }, { name: "a b" }, { name: "" }]) {
    plays(JSON.stringify(options), async (stage) => {
      const get = await stage.site(stage.middleware(options));
      const { setCookies } = await get();
      if (setCookies[0] !== undefined) await get("/", { cookie: pairOf(setCookies[0]) });
    });
  }

  for (const rolling of [true, false]) {
    for (const saveUninitialized of [true, false]) {
      for (const cookie of [{}, { maxAge: 5000 }]) {
        plays(JSON.stringify({ rolling, saveUninitialized, cookie }), async (stage) => {
          const get = await stage.site(stage.middleware({ rolling, saveUninitialized, cookie }), (req, res) =>
            req.url === "/write" ? count(req, res) : res.end("read"),
          );
          await get("/read");
          const sent = { cookie: cookieOf(await get("/write")) };
          time.now += 1000;
          await get("/read", sent);
          time.now += 1000;
          await get("/write", sent);
        });
      }
    }
  }

  for (const cookie of [
    (req: Any) => ({ path: req.url, maxAge: 1000 }),
    () => ({ httpOnly: false, secure: false }),
    () => ({}),
  ]) {
    plays(`cookie is ${cookie}`, async (stage) => {
      const get = await stage.site(stage.middleware({ cookie }));
      const sent = { cookie: cookieOf(await get("/one")) };
      await get("/one", sent);
      await get("/two", sent);
    });
  }

  plays("unset: destroy", async (stage) => {
    const get = await stage.site(stage.middleware({ unset: "destroy" }), (req, res) => {
      if (req.url === "/null") req.session = null;
      else if (req.url === "/delete") delete req.session;
      else if (req.url === "/undefined") req.session = undefined;
      else if (req.url === "/write-null") {
        req.session.x = 1;
        req.session = null;
      } else return count(req, res);
      res.end("gone");
    });
    for (const path of ["/null", "/delete", "/undefined", "/write-null"]) {
      await get(path);
      const cookie = cookieOf(await get("/"));
      await get(path, { cookie });
      await get("/", { cookie });
    }
  });

  for (const [method, path] of [
    ["set", "/write"],
    ["touch", "/read"],
    ["destroy", "/null"],
  ] as const) {
    plays(`${method} fails at the end: the response completes, and the error handler is told`, async (stage) => {
      const get = await stage.site(stage.middleware({ unset: "destroy" }), (req, res) => {
        if (req.url === "/write") return count(req, res);
        if (req.url === "/null") req.session = null;
        res.end("answered");
      });
      const cookie = cookieOf(await get("/write"));
      stage.store[method] = (...args: Any[]) => args.at(-1)(new Error(`no ${method}`));
      await get(path, { cookie });
    });
  }
});

describe("an error at the end is passed on once the headers have left", () => {
  /** Calls back after some turns of the event loop, as a server does. */
  const later = (call: () => unknown, turns = 10): unknown =>
    turns === 0 ? call() : setImmediate(later, call, turns - 1);

  const ends: Record<string, (res: Any) => unknown> = {
    "end(text)": (res) => res.end("text"),
    "end()": (res) => res.end(),
    "write, then end": (res) => [res.write("te"), res.end("xt")],
    "writeHead, then end": (res) => [res.writeHead(201), res.end("text")],
  };
  const cases: [options: object, failing: "set" | "touch" | "destroy" | undefined][] = [
    [{ cookie: { expires: new Date(Number.NaN) } }, undefined],
    [{ cookie: { domain: "exa mple.com" } }, undefined],
    [{ cookie: { sameSite: "nowhere" } }, undefined],
    [{ name: "no name" }, undefined],
    [{}, "set"],
    [{}, "touch"],
    [{ unset: "destroy" }, "destroy"],
    [{ cookie: { path: "/;" } }, "set"],
  ];

  for (const [options, failing] of cases) {
    for (const [how, end] of Object.entries(ends)) {
      const name = JSON.stringify(options, (_key, value) => (Number.isNaN(value) ? "NaN" : value));
      plays(`${name}, ${failing ?? "nothing"} fails, ${how}`, async (stage) => {
        const { store } = stage;
        const set = store.set.bind(store);
        store.set = (id: string, session: object, done: Any) => later(() => set(id, session, done));
        const middleware = stage.middleware(options);
        const sentTo = (res: Any) => [Boolean(res._header), res.headersSent, res.statusCode];
        const get = await stage.site(
          (req, res, next) =>
            middleware(req, res, (error) => {
              if (error) stage.say("next", String(error), sentTo(res));
              // Whoever looks at Node's own state before answering must not answer a second time.
              if (error && !Reflect.get(res, "_header")) res.end("second answer");
              else next(error);
            }),
          (req, res) => {
            if (req.url === "/null") req.session = null;
            else if (req.url !== "/read") req.session.views = (req.session.views ?? 0) + 1;
            end(res);
          },
        );
        const { setCookies } = await get("/write");
        const [line] = setCookies;
        if (failing !== undefined) store[failing] = (...args: Any[]) => later(() => args.at(-1)(new Error("refused")));
        const sent = line === undefined ? {} : { cookie: pairOf(line) };
        for (const path of ["/write", "/read", "/null"]) await get(path, sent);
      });
    }
  }
});
