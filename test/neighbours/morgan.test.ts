import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Any, aWhile, type Cleanup, express, kinds, listen, load, native, natives, sayError } from "./world.ts";

const { faulty } = load("sojourn/testing");
const { MemoryStore } = load("sojourn");

/** https://www.npmjs.com/package/morgan: a log line for each request, with a token of one's own that says who it was. */
interface Logged {
  app: Any;
  lines: string[];
  /** When this many lines have been written. */
  written(count: number): Promise<void>;
}

function logged(sessions: Any, configure: (app: Any) => void): Logged {
  const morgan = load("morgan");
  const lines: string[] = [];
  // The token is looked up when the answer has left, or the client has.
  morgan.token("user", (req: Any) => req.session?.userId ?? req.session?.user ?? "-");
  const app = load("express")();
  app.use(
    morgan(":method :url :status :user", { stream: { write: (line: string) => void lines.push(line.trimEnd()) } }),
  );
  app.use(sessions);
  configure(app);
  app.use(sayError);
  return {
    app,
    lines,
    async written(count) {
      for (let patience = 1_000; lines.length < count && patience > 0; patience--) await aWhile();
      assert.equal(lines.length, count, lines.join("\n"));
    },
  };
}

const pages = (app: Any) => {
  app.get("/login", (req: Any, res: Any) => {
    req.session.user = "ada";
    res.send("in");
  });
  app.get("/", (_req: Any, res: Any) => res.send("home"));
  app.get("/read", (req: Any, res: Any) => res.send(String(req.session.user)));
};

for (const [kind, open] of Object.entries(kinds)) {
  test(`the log says whose request it was, also where the page did not ask (${kind})`, async (t) => {
    const { app, lines, written } = logged(open(t), pages);
    const browser = await listen(t, app);
    for (const path of ["/", "/login", "/", "/read"]) await browser.get(path);
    await written(4);
    assert.deepEqual(lines, ["GET / 200 -", "GET /login 200 ada", "GET / 200 ada", "GET /read 200 ada"]);
    // What the log looked at began nothing.
    assert.equal((await browser.stranger().get("/")).setCookies.length, 0);
  });
}

for (const [kind, open] of Object.entries(natives)) {
  test(`after a login the log has the user (${kind})`, async (t) => {
    const { app, lines, written } = logged(open(t), (app) => {
      app.post("/login", async (req: Any, res: Any) => {
        await req.session.login("ada");
        res.send("in");
      });
      app.get("/", (_req: Any, res: Any) => res.send("home"));
    });
    const browser = await listen(t, app);
    await browser.ask("/login", { method: "POST" });
    await browser.get("/");
    await written(2);
    assert.deepEqual(lines, ["POST /login 200 ada", "GET / 200 ada"]);
  });

  test(`a request that runs while the sessions are closed is logged, and nothing is thrown (${kind})`, async (t) => {
    const sessions = open(t);
    const { app, lines, written } = logged(sessions, (app) => {
      pages(app);
      app.get("/slow", async (_req: Any, res: Any) => {
        await sessions.close();
        res.send("done");
      });
    });
    const browser = await listen(t, app);
    await browser.get("/login");
    assert.equal((await browser.get("/slow")).text, "done");
    await written(2);
    assert.match(lines[1] ?? "", /^GET \/slow 200 /);
  });
}

describe("where the session can't be loaded", () => {
  const stores: Record<string, (t: Cleanup) => Any> = {
    "that answers at once": () => faulty(new MemoryStore()),
    "that answers later": () => faulty(new MemoryStore(), { synchronousLoad: false }),
  };
  for (const [name, open] of Object.entries(stores)) {
    for (const path of ["/", "/read"]) {
      test(`on a store ${name}, ${path} is logged and nothing is thrown`, async (t) => {
        const { store, fail } = open(t);
        const { app, lines, written } = logged(native(t, store), pages);
        const browser = await listen(t, app);
        await browser.get("/login");
        fail("load", { kind: "error" }, Number.POSITIVE_INFINITY);
        const { status } = await browser.get(path);
        await written(2);
        assert.match(lines[1] ?? "", new RegExp(`^GET ${path} ${status} -$`));
        if (path === "/read") assert.equal(status, 503);
      });
    }
  }

  test("a log line that is written at the request's beginning throws nothing either", async (t) => {
    const { store, fail } = faulty(new MemoryStore(), { synchronousLoad: false });
    const lines: string[] = [];
    const morgan = load("morgan");
    morgan.token("user", (req: Any) => req.session?.userId ?? "-");
    const app = express(native(t, store), (app) => {
      app.use(
        morgan(":url :user", { immediate: true, stream: { write: (line: string) => void lines.push(line.trim()) } }),
      );
      pages(app);
    });
    const browser = await listen(t, app);
    await browser.get("/login");
    fail("load", { kind: "error" });
    assert.equal((await browser.get("/")).status, 503);
    assert.equal((await browser.get("/")).status, 200);
    assert.deepEqual(new Set(lines), new Set(["/login -", "/ -"]));
  });
});
