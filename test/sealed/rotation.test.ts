import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

const A = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const B = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu";
const VISITORS = 12;
const REQUESTS = 40;

async function start(t: TestContext): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(join(import.meta.dirname, "rotating-process.ts"), [A]);
  t.after(() => child.kill());
  const [{ port }] = await once(child, "message");
  return { child, url: `http://127.0.0.1:${port}/` };
}

/** The steps that docs/guides/encryption-at-rest.md names: every process reads the new key before any of them writes with it. */
const STEPS = [[A, B], [B, A], [B]];

test("three processes rotate keys one after the other under load, and no session is lost", async (t) => {
  const processes = await Promise.all([start(t), start(t), start(t)]);
  let asked = 0;
  let rotation: Promise<void> = Promise.resolve();
  const rotate = (step: number): void => {
    rotation = rotation.then(async () => {
      for (const { child } of processes) {
        child.send(STEPS[step] ?? []);
        await once(child, "message");
      }
    });
  };
  async function visit(number: number): Promise<void> {
    let cookie = "";
    for (let request = 1; request <= REQUESTS; request += 1) {
      asked += 1;
      if (asked === 100) rotate(0);
      if (asked === 200) rotate(1);
      const { url } = processes[(number + request) % processes.length] ?? assert.fail();
      const res = await fetch(url, { headers: { cookie } });
      assert.equal(await res.text(), String(request), `visitor ${number}`);
      cookie = res.headers.get("set-cookie")?.split(";")[0] ?? cookie;
      if (request === REQUESTS - 5) {
        // Everybody has been here since the new key writes; now the old one goes.
        arrived += 1;
        if (arrived === VISITORS) {
          rotate(2);
          allArrived();
        }
        await everybody;
        await rotation;
      }
    }
  }
  let arrived = 0;
  let allArrived = (): void => {};
  const everybody = new Promise<void>((resolve) => {
    allArrived = resolve;
  });
  await Promise.all(Array.from({ length: VISITORS }, (_, number) => visit(number)));
  assert.equal(asked, VISITORS * REQUESTS);
});
