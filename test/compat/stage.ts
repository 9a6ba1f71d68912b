import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answer,
  type Any,
  type Cleanup,
  type Client,
  load,
  type Middleware,
  pairOf,
  recorded,
  serve,
} from "./world.ts";

/**
 * What applications do with express-session, played once with express-session itself and once with ours: all that can be seen
 * of it from outside is the same. The time stands still but where a scenario moves it, and IDs are counted.
 */
export const time = { now: 0 };
Date.now = () => time.now;
// Only now, because the clock is taken when it is loaded.
await import("../../src/compat/express-session.ts");

const libraries: Record<"theirs" | "ours", Any> = {
  theirs: load("express-session"),
  ours: load("../../src/compat/express-session.ts"),
};

export class Stage {
  readonly library: Any;
  readonly store: Any;
  readonly operations: string[];
  readonly lines: string[] = [];
  readonly #t: Cleanup;
  #ids = 0;

  constructor(t: Cleanup, library: Any) {
    this.#t = t;
    this.library = library;
    ({ store: this.store, operations: this.operations } = recorded(new library.MemoryStore()));
  }

  say(...things: unknown[]): void {
    this.lines.push(things.map((thing) => (typeof thing === "string" ? thing : JSON.stringify(thing))).join(" "));
  }

  middleware(options: object = {}): Middleware {
    const genid = () => `id${++this.#ids}`;
    return this.library({
      secret: "keyboard cat",
      resave: false,
      saveUninitialized: false,
      store: this.store,
      genid,
      ...options,
    });
  }

  /** A site whose answers are said, with the store's operations and the error handler's errors. */
  async site(
    middleware: Middleware,
    handler: (req: Any, res: Any) => unknown = count,
  ): Promise<(path?: string, headers?: Record<string, string>) => Promise<Answer>> {
    const errors: unknown[] = [];
    const client: Client = await serve(this.#t, middleware, handler, errors);
    return async (path = "/", headers = {}) => {
      const answer = await client.get(path, headers);
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      const { status, text, setCookies } = answer;
      this.say(path, status, text, setCookies, this.operations.splice(0), errors.splice(0).map(String));
      return answer;
    };
  }

  after(action: () => unknown): void {
    this.#t.after(action);
  }
}

export function count(req: Any, res: Any): void {
  req.session.views = (req.session.views ?? 0) + 1;
  res.end(`${req.session.views} ${req.sessionID}`);
}

export const cookieOf = ({ setCookies }: Answer): string =>
  pairOf(setCookies.find((line) => line.startsWith("connect.sid=")));

export function plays(name: string, play: (stage: Stage) => Promise<void>): void {
  test(name, async (t) => {
    const seen: Record<string, readonly string[]> = {};
    for (const [which, library] of Object.entries(libraries)) {
      time.now = Date.UTC(2030, 0, 1);
      const stage = new Stage(t, library);
      await play(stage);
      assert.ok(stage.lines.length > 0);
      seen[which] = stage.lines;
    }
    assert.deepEqual(seen["ours"], seen["theirs"]);
  });
}
