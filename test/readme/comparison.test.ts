import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import express, { type RequestHandler } from "express";
import { MemoryStore, type SessionRecord, session } from "../../src/index.ts";

/** What README.md says of us beside express-session and cookie-session, shown on all three. */

type Bag = Record<string, unknown>;
interface PeerStore {
  get: (id: string, done: (error?: unknown, session?: unknown) => void) => void;
  set: (id: string, session: unknown, done: (error?: unknown) => void) => void;
  touch: (id: string, session: unknown, done: (error?: unknown) => void) => void;
}
const require = createRequire(import.meta.url);
const expressSession: ((options: object) => RequestHandler) & {
  MemoryStore: new () => PeerStore;
} = require("express-session");
const cookieSession: (options: object) => RequestHandler = require("cookie-session");

const SECRET = "a secret of more than thirty-two characters";
const WRITERS = 64;
const peerOptions = { secret: SECRET, resave: false, saveUninitialized: false };

const contenders: Record<string, () => RequestHandler> = {
  sojourn: () => session({ secret: SECRET }),
  "express-session": () => expressSession({ ...peerOptions, store: new expressSession.MemoryStore() }),
  "cookie-session": () => cookieSession({ keys: [SECRET] }),
};

/** A gate that opens for all once `count` have arrived, or by hand. */
function gate(count = Number.POSITIVE_INFINITY): { pass(): Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let arrived = 0;
  return {
    pass() {
      arrived += 1;
      if (arrived === count) resolve();
      return promise;
    },
    open: resolve,
  };
}

/** A browser's cookies, as far as needed: the last value of each name. */
class Browser {
  readonly #base: string;
  readonly cookies = new Map<string, string>();

  constructor(base: string) {
    this.#base = base;
  }

  async get(path: string): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(this.#base + path, { headers: { cookie }, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      const [name = "", ...value] = pair.split("=");
      if (/expires=thu, 01 jan 1970/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value.join("="));
    }
    return response;
  }

  async json(path: string): Promise<Bag> {
    return (await this.get(path)).json() as Promise<Bag>;
  }
}

async function serve(
  t: TestContext,
  sessions: RequestHandler,
  routes: Record<string, RequestHandler>,
): Promise<Browser> {
  const app = express();
  app.use(sessions);
  for (const [path, handler] of Object.entries(routes)) app.get(path, handler);
  app.use(((_error, _req, res, _next) => {
    if (!res.headersSent) res.status(500).send("failed");
  }) satisfies express.ErrorRequestHandler);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const bag = (req: express.Request): Bag => req.session as unknown as Bag;
const routes: Record<string, RequestHandler> = {
  "/login": (req, res) => {
    bag(req)["user"] = "alice";
    res.send("in");
  },
  "/look": (req, res) => {
    res.json(bag(req) ?? {});
  },
};

for (const [name, make] of Object.entries(contenders)) {
  test(`${name}: parallel requests that each set another property`, async (t) => {
    const all = gate(WRITERS);
    const browser = await serve(t, make(), {
      ...routes,
      "/set/:n": async (req, res) => {
        const data = bag(req);
        void data["user"];
        await all.pass();
        data[`n${req.params["n"]}`] = 1;
        res.send("set");
      },
    });
    await browser.get("/login");
    await Promise.all(Array.from({ length: WRITERS }, (_, n) => browser.get(`/set/${n}`)));
    const kept = Object.keys(await browser.json("/look")).filter((key) => /^n\d+$/.test(key));
    assert.equal(kept.length, name === "sojourn" ? WRITERS : 1);
  });

  test(`${name}: a slow request writes after the logout`, async (t) => {
    const started = gate(1);
    const slow = gate();
    const browser = await serve(t, make(), {
      ...routes,
      "/slow": async (req, res) => {
        const data = bag(req);
        void data["user"];
        started.open();
        await slow.pass();
        data["late"] = true;
        res.send("late");
      },
      "/logout": async (req, res) => {
        const data = req.session as unknown as { destroy?: (done: () => void) => unknown };
        if (data.destroy === undefined) Reflect.set(req, "session", null);
        else await new Promise<void>((done) => data.destroy?.(done));
        res.send("out");
      },
    });
    await browser.get("/login");
    const before = new Map(browser.cookies);
    const late = browser.get("/slow");
    await started.pass();
    await browser.get("/logout");
    slow.open();
    await late;
    // What the browser holds after the late answer, or what somebody copied before the logout.
    for (const [key, value] of before) if (!browser.cookies.has(key)) browser.cookies.set(key, value);
    const { user } = await browser.json("/look");
    assert.equal(user, name === "sojourn" ? undefined : "alice");
  });

  // express-session never answers such a request; how it fails to save in a store is shown below.
  if (name === "express-session") continue;
  test(`${name}: what can't be saved`, async (t) => {
    const browser = await serve(t, make(), {
      "/fail": (req, res) => {
        bag(req)["big"] = 1n;
        res.send("saved");
      },
    });
    assert.equal((await browser.get("/fail")).status, name === "sojourn" ? 500 : 200);
  });
}

test("express-session: the store fails to save, and the response says 200", async (t) => {
  class Failing extends expressSession.MemoryStore {
    constructor() {
      super();
      this.set = (_id, _session, done) => setImmediate(done, new Error("disk full"));
    }
  }
  const browser = await serve(t, expressSession({ ...peerOptions, store: new Failing() }), routes);
  assert.equal((await browser.get("/login")).status, 200);
});

test("sojourn: the store fails to save, and the error handler answers", async (t) => {
  class Failing extends MemoryStore {
    override create(): boolean {
      throw new Error("disk full");
    }
  }
  const browser = await serve(t, session({ store: new Failing() }), routes);
  const response = await browser.get("/login");
  assert.equal(response.status, 500);
  assert.equal(browser.cookies.size, 0);
});

test("express-session: a redirect reaches the browser before the save", async (t) => {
  const saving = gate();
  class Slow extends expressSession.MemoryStore {
    constructor() {
      super();
      const save = this.set.bind(this);
      this.set = (id, data, done) => void saving.pass().then(() => save(id, data, done));
    }
  }
  const browser = await serve(t, expressSession({ ...peerOptions, store: new Slow() }), {
    "/go": (req, res) => {
      bag(req)["user"] = "alice";
      res.redirect("/look");
    },
  });
  const response = await browser.get("/go");
  assert.equal(response.status, 302); // and nothing is saved yet
  saving.open();
  await response.text();
});

test("sojourn: a redirect reaches the browser after the save", async (t) => {
  const order: string[] = [];
  const started = gate(1);
  const saving = gate();
  const store = new MemoryStore();
  const slowly = {
    load: (handle: string) => store.load(handle),
    create: async (handle: string, record: SessionRecord) => {
      started.open();
      await saving.pass();
      order.push("saved");
      return store.create(handle, record);
    },
    update: store.update.bind(store),
    touch: store.touch.bind(store),
    delete: store.delete.bind(store),
    close: store.close.bind(store),
  };
  const browser = await serve(t, session({ store: slowly }), {
    "/go": (req, res) => {
      bag(req)["user"] = "alice";
      res.redirect("/look");
    },
  });
  const answered = browser.get("/go").then((response) => order.push(String(response.status)));
  await started.pass();
  saving.open();
  await answered;
  assert.deepEqual(order, ["saved", "302"]);
});

test("a request that never reads its session: what is asked of the store", async (t) => {
  const asked: string[] = [];
  class Counting extends expressSession.MemoryStore {
    constructor() {
      super();
      for (const method of ["get", "set", "touch"] as const) {
        const real = this[method].bind(this) as (...given: unknown[]) => void;
        Reflect.set(this, method, (...given: unknown[]) => {
          asked.push(method);
          real(...given);
        });
      }
    }
  }
  const untouched: Record<string, RequestHandler> = { ...routes, "/none": (_req, res) => void res.send("none") };
  const peer = await serve(t, expressSession({ ...peerOptions, store: new Counting() }), untouched);
  await peer.get("/login");
  asked.length = 0;
  await peer.get("/none");
  assert.deepEqual(asked, ["get", "touch"]);

  class Ours extends MemoryStore {
    override load(handle: string): SessionRecord | undefined {
      asked.push("load");
      return super.load(handle);
    }
  }
  const ours = await serve(t, session({ store: new Ours() }), untouched);
  await ours.get("/login");
  await ours.get("/none"); // seen for the first time: its last use may be due
  asked.length = 0;
  await ours.get("/none");
  assert.deepEqual(asked, []);
});
