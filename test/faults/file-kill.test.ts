import { deepEqual, equal, ok } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { FileStore } from "../../src/stores/file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { nextVersion, recordOf } from "./sqlite-history.ts";

interface Other {
  readonly process: ChildProcess;
  readonly lines: AsyncIterator<string>;
  /** With its exit code; `null` if it was killed. */
  readonly ended: Promise<unknown>;
}

function start(task: string, folder: string): Other & { tell(): void } {
  const child = spawn(process.execPath, ["--no-warnings", join(import.meta.dirname, "file-child.ts"), task, folder], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "sojourn-test-compile-cache") },
  });
  return {
    process: child,
    lines: createInterface({ input: child.stdout })[Symbol.asyncIterator](),
    ended: once(child, "close").then(([code]) => code),
    tell: () => child.stdin.write("go\n"),
  };
}

test("kill -9 of a process that writes, ten times: no acknowledged write is lost, and none is torn", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const handles = Array.from({ length: 6 }, (_, n) => `handle${n}`);
  const known = new Map(handles.map((handle) => [handle, 0]));
  let acknowledged = 0;
  for (let kill = 0; kill < 10; kill++) {
    const writer = start("writeUntilKilled", folder);
    let isFirst = true;
    for (let line = await writer.lines.next(); line.done !== true; line = await writer.lines.next()) {
      // Anywhere between two steps of the disk; a new start is what takes the time.
      if (isFirst) setTimeout(() => writer.process.kill("SIGKILL"), Math.random() * 25);
      isFirst = false;
      const [handle = "", version] = line.value.split(" ");
      known.set(handle, Number(version));
      acknowledged++;
    }
    equal(await writer.ended, null, "the writer was killed, and did not fail");

    const store = new FileStore(folder);
    for (const [handle, last] of known) {
      const record = await store.load(handle);
      const version = record?.version ?? 0;
      // The last write may have taken effect without anyone hearing of it.
      ok(version === last || version === nextVersion(last), `${handle}: ${version} after ${last} was acknowledged`);
      if (record !== undefined) deepEqual(record, recordOf(handle, version));
      const { sessions } = await store.list({ userId: `user of ${handle}` });
      equal(sessions.length, version === 0 ? 0 : 1, "the index agrees");
      known.set(handle, version);
    }
    await store.close();
  }
  // Whatever was left half done goes with the sessions themselves.
  const store = new FileStore(folder);
  for (const handle of handles) {
    if ((await store.load(handle)) === undefined) await store.create(handle, recordOf(handle, 1));
    const record = await store.load(handle);
    ok(record);
    equal(await store.update(handle, recordOf(handle, record.version + 1), record.version), "ok");
  }
  for (const session of globSync(join(folder, "sessions/*/*")))
    equal(readdirSync(session).length, 2, "state and payload");
  equal(await store.deleteAll({}), handles.length);
  deepEqual(globSync(join(folder, "sessions/*/*")), []);
  deepEqual(globSync(join(folder, "users/*/*/*")), []);
  ok(existsSync(folder));
  await store.close();
  t.diagnostic(`${acknowledged} acknowledged writes`);
});

test("two processes that count together lose no increment", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const store = new FileStore(folder);
  equal(await store.create("counter", { ...recordOf("counter", 1), payload: "0" }), true);
  const others = [start("increment", folder), start("increment", folder)];
  for (const other of others) equal((await other.lines.next()).value, "ready");
  for (const other of others) other.tell();
  for (const other of others) equal(await other.ended, 0);
  const record = await store.load("counter");
  deepEqual([record?.payload, record?.version], ["200", 201]);
  const [session = ""] = globSync(join(folder, "sessions/*/*"));
  equal(readdirSync(session).length, 2, "no loser has left anything");
  await store.close();
});
