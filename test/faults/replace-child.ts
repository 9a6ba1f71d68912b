import { writeSync } from "node:fs";
import type { SessionRecord } from "../../src/contract/store.ts";
import { FileStore } from "../../src/stores/file.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";

/** What the test and the process that it kills agree on: `node replace-child.ts <store> <folder> <number>` goes on from that number. */

export const stores = {
  file: (folder: string) => new FileStore(folder),
  sqlite: (folder: string) => new SqliteStore(`${folder}/sessions.db`),
};

export const LINEAGES = ["a", "b", "c", "d"];

/** Handles are never used twice, as those of sessions are not. */
function newHandle(lineage: string, n: number): string {
  return `${lineage}${n}-${process.pid}`;
}

export function numberOf(handle: string): number {
  return Number.parseInt(handle.slice(1), 10);
}

export function recordAt(lineage: string, n: number): SessionRecord {
  const createdAt = Date.UTC(2049, 0, 1) + n;
  return {
    payload: `${lineage} ${n} `.repeat(500),
    version: 1,
    secretHash: `${lineage}${n}`,
    userId: n % 2 === 0 ? lineage : `${lineage} logged in`,
    createdAt,
    touchedAt: createdAt,
    expiresAt: createdAt + 3_600_000,
  };
}

async function replaceUntilKilled(name: keyof typeof stores, folder: string): Promise<void> {
  const store = stores[name](folder);
  await Promise.all(
    LINEAGES.map(async (lineage) => {
      const { sessions } = await store.list({});
      const mine = sessions.find(({ handle }) => handle.startsWith(lineage));
      let handle = mine?.handle ?? newHandle(lineage, 0);
      if (mine === undefined) await store.create(handle, recordAt(lineage, 0));
      for (let n = numberOf(handle) + 1; ; n++) {
        const next = newHandle(lineage, n);
        const result = await store.replace(handle, 1, next, recordAt(lineage, n));
        if (result !== "ok") throw new Error(`${handle}: ${result}`);
        handle = next;
        // At once, so that nothing said is lost when this process is killed.
        writeSync(1, `${lineage} ${n}\n`);
      }
    }),
  );
}

if (import.meta.main) {
  const [, , name, folder = ""] = process.argv;
  await replaceUntilKilled(name === "file" ? "file" : "sqlite", folder);
}
