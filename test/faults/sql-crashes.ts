import { equal, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { IndexedStore } from "../../src/contract/store.ts";
import { recordAt } from "../support/sql-records.ts";

/** How often a crash is repeated; more find more. */
export const rounds = Number(process.env["SOJOURN_FAULT_ROUNDS"] ?? 2);

/**
 * Several writers, each with a session of its own, write until the server is gone. Returns what each of them was told is saved.
 *
 * @param kill ends the server; called in the middle
 */
export async function writeUntilKilled(store: IndexedStore, kill: () => Promise<void>): Promise<Map<string, number>> {
  const acknowledged = new Map<string, number>();
  let enough: () => void = () => {};
  const underWay = new Promise<void>((resolve) => {
    enough = resolve;
  });
  let writes = 0;
  const write = async (handle: string): Promise<void> => {
    await store.delete(handle);
    const record = recordAt(Date.now(), { payload: payloadOf(1) });
    equal(await store.create(handle, record), true);
    for (let version = 1; ; version++) {
      acknowledged.set(handle, version);
      // All of them are at it: the crash is to meet updates, not what comes before.
      if (++writes >= 40 && acknowledged.size === 4) enough();
      try {
        const next = { ...record, version: version + 1, payload: payloadOf(version + 1) };
        equal(await store.update(handle, next, version), "ok");
      } catch {
        return;
      }
    }
  };
  const writers = Promise.all(["a", "b", "c", "d"].map(write));
  await Promise.race([underWay, writers]);
  await kill();
  await writers;
  return acknowledged;
}

/** Whatever was acknowledged is there, whole; at most the write that was under way is there too. */
export async function checkAcknowledged(store: IndexedStore, acknowledged: ReadonlyMap<string, number>): Promise<void> {
  equal(acknowledged.size, 4);
  for (const [handle, version] of acknowledged) {
    const found = await store.load(handle);
    ok(found !== undefined, `${handle} is gone`);
    ok(
      found.version === version || found.version === version + 1,
      `${found.version} after ${version} was acknowledged`,
    );
    equal(found.payload, payloadOf(found.version));
  }
}

/** Larger than a page, so that half of it would show. */
function payloadOf(version: number): string {
  return `${version} `.repeat(3_000);
}

/**
 * A process writes one session again and again and is killed in the middle of it.
 *
 * @returns the last version that it was told is saved
 */
export async function killWriter(module: string, className: string, url: string, table: string): Promise<number> {
  const program = `
    const { writeSync } = await import("node:fs");
    const { ${className} } = await import(process.argv[1]);
    const store = new ${className}(process.argv[2], { table: process.argv[3], timeoutMs: 20_000 });
    let record = await store.load("a");
    for (;;) {
      const version = record.version + 1;
      const next = { ...record, version, payload: (version + " ").repeat(3_000) };
      if ((await store.update("a", next, record.version)) !== "ok") throw new Error("conflict");
      record = next;
      writeSync(1, version + "\\n");
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, module, url, table], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  for await (const chunk of child.stdout) {
    output += String(chunk);
    if (output.split("\n").length > 5) child.kill("SIGKILL");
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  equal(child.signalCode, "SIGKILL");
  return Number(output.trimEnd().split("\n").at(-1));
}

/**
 * A process that has no file descriptor left asks a store, then has some again.
 *
 * @returns what it was told: the code of the first error, and the record of the second call
 */
export async function starveOfDescriptors(
  module: string,
  className: string,
  url: string,
  table: string,
): Promise<{ code: string; cause: string; afterwards: string }> {
  const program = `
    const { openSync, closeSync } = await import("node:fs");
    const { ${className} } = await import(process.argv[1]);
    const store = new ${className}(process.argv[2], { table: process.argv[3], timeoutMs: 20_000 });
    await store.load("warm");
    const other = new ${className}(process.argv[2], { table: process.argv[3], timeoutMs: 20_000 });
    await new Promise((resolve) => setTimeout(resolve, 0));
    const open = [];
    try { for (;;) open.push(openSync("/dev/null")); } catch {}
    const error = await other.load("a").catch((error) => error);
    for (const descriptor of open) closeSync(descriptor);
    const record = await other.load("a");
    console.log(JSON.stringify({ code: error.code, cause: String(error.cause?.code), afterwards: String(record?.version) }));
    await Promise.all([store.close(), other.close()]);`;
  const limited = `ulimit -n 64; exec "$0" --input-type=module -e "$1" "$2" "$3" "$4"`;
  const child = spawn("sh", ["-c", limited, process.execPath, program, module, url, table], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  for await (const chunk of child.stdout) output += String(chunk);
  const found: unknown = JSON.parse(output);
  if (typeof found !== "object" || found === null) throw new Error(output);
  const { code, cause, afterwards } = Object.fromEntries(Object.entries(found));
  return { code: String(code), cause: String(cause), afterwards: String(afterwards) };
}
