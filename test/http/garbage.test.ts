import { ok } from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

/**
 * Nobody needs a request once it is answered. If something old still refers to it, though that is
 * dead itself, only a full garbage collection removes it, and every collection before copies it.
 */

/** Of a request, its response and its session; all of them together take 20 kB. */
const MOST_BYTES = 1_000;
const REQUESTS = 4_000;
const AT_ONCE = 16;

test("what waited for its store is collected with the young garbage: logins and writes", async (t) => {
  const server = fork(join(import.meta.dirname, "garbage-process.ts"), {
    execArgv: ["--conditions=sojourn-source", "--expose-gc", "--max-semi-space-size=2"],
  });
  t.after(() => server.kill());
  const [port] = await once(server, "message");
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  t.after(() => agent.destroy());
  const ask = (path: string) =>
    new Promise<string>((resolve, reject) => {
      get({ port: Number(port), path, agent }, (res) => text(res).then(resolve, reject)).on("error", reject);
    });
  const garbage = async () => Number(await ask("/garbage"));
  for (const path of ["/login", "/write"]) {
    // The first ones compile.
    for (const requests of [500, REQUESTS]) {
      await garbage();
      let left = requests;
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          while (left-- > 0) await ask(path);
        }),
      );
    }
    const bytes = (await garbage()) / REQUESTS;
    t.diagnostic(`${path}: ${bytes.toFixed(0)} bytes a request`);
    ok(bytes < MOST_BYTES, `${path}: ${bytes.toFixed(0)} bytes of each request outlived the young generation`);
  }
});
