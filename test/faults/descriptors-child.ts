import { closeSync, openSync } from "node:fs";
import type { SessionRecord } from "../../src/contract/store.ts";
import { systemClock } from "../../src/contract/time.ts";
import { SojournError } from "../../src/index.ts";
import { isStoreName, openStore } from "../soak/stores.ts";

/** `descriptors-child.ts <store> <place>`: asks a store while this process has no file descriptor left, and when it has some again. */

const [name = "", place = ""] = process.argv.slice(2);
if (!isStoreName(name)) throw new Error(`no store is named ${name}`);

const now = Date.now();
const times = { createdAt: now, touchedAt: now, expiresAt: now + 600_000 };
const record: SessionRecord = { payload: "old", version: 1, secretHash: "hash", userId: "user", ...times };

async function outcome(ask: () => unknown): Promise<string> {
  try {
    return JSON.stringify(await ask());
  } catch (error) {
    return error instanceof SojournError ? error.code : String(error);
  }
}

/** With what has been opened before, and with what would have to be opened now. */
const used = openStore(name, place, systemClock);
await used.create("handle", record);
const taken: number[] = [];
try {
  for (;;) taken.push(openSync("/dev/null", "r"));
} catch {
  // There are no more.
}
const starved = {
  load: await outcome(() => used.load("handle")),
  update: await outcome(() => used.update("handle", { ...record, payload: "new", version: 2 }, 1)),
  fresh: await outcome(() => openStore(name, place, systemClock).load("handle")),
};
for (const descriptor of taken) closeSync(descriptor);

const fresh = openStore(name, place, systemClock);
const afterwards = {
  used: await outcome(() => used.load("handle")),
  fresh: await outcome(() => fresh.load("handle")),
  update: await outcome(async () => {
    const { version } = (await fresh.load("handle")) ?? record;
    return fresh.update("handle", { ...record, payload: "last", version: version + 1 }, version);
  }),
};
console.log(JSON.stringify({ starved, afterwards, record }));
process.exit();
