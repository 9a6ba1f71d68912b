import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";

const root = join(import.meta.dirname, "../..");

/** Runs a program that has `session`, in a process of its own, and a count of the functions of ours that ran; returns what it prints. */
function run(program: string): unknown {
  const { NODE_V8_COVERAGE: _, ...env } = process.env;
  const text = `
    import { Session as Inspector } from "node:inspector/promises";
    const inspector = new Inspector();
    inspector.connect();
    await inspector.post("Profiler.enable");
    await inspector.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    const { session } = await import("sojourn");
    const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    /** How often the login began, its record was made, and its cookie was written. */
    async function calls() {
      const { result } = await inspector.post("Profiler.takePreciseCoverage");
      const count = (file, name) => {
        const functions = result.find(({ url }) => url.endsWith(file))?.functions ?? [];
        return functions.find(({ functionName }) => functionName === name)?.ranges[0].count ?? 0;
      };
      return [count("session/login.ts", "login"), count("session/content.ts", "encodePayload"), count("http/cookies.ts", "setCookie")];
    }
    ${program}`;
  const options = ["--conditions=sojourn-source", "--input-type=module", "--eval", text];
  return JSON.parse(execFileSync(process.execPath, options, { cwd: root, env, encoding: "utf8", timeout: 60_000 }));
}

describe("before the first visitor comes", () => {
  test("three logins have run to their end, once in a process, whichever session() came first", () => {
    const counts = run(`
      session();
      session({ secret: "the application's own secret, of 40 bytes", name: "other" });
      const before = await calls();
      await turn();
      const after = await calls();
      session();
      await turn();
      console.log(JSON.stringify([before, after, await calls()]));`);
    assert.deepEqual(counts, [
      [0, 0, 0],
      [3, 3, 3],
      [0, 0, 0],
    ]);
  });

  test("those logins are nobody's: the application's store, events and warnings know nothing of them", () => {
    const seen = run(`
      const { MemoryStore } = await import("sojourn/memory");
      const seen = [];
      process.on("warning", ({ message }) => seen.push(message));
      const store = new MemoryStore();
      const watched = new Proxy(store, {
        get(target, name) {
          const value = Reflect.get(target, name);
          return typeof value !== "function" ? value : (...args) => {
            seen.push(name);
            return value.apply(target, args);
          };
        },
      });
      const sessions = session({ store: watched });
      for (const event of ["create", "login", "cookie-not-sent", "store-error"]) sessions.on(event, () => seen.push(event));
      await turn();
      console.log(JSON.stringify([await calls(), seen]));`);
    assert.deepEqual(seen, [[3, 3, 3], []]);
  });

  test("a process that only makes a session() ends without it", () => {
    const counts = run(`
      session();
      process.on("exit", () => console.log("[]"));`);
    assert.deepEqual(counts, []);
  });
});
