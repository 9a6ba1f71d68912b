import { deepEqual, equal, ok } from "node:assert/strict";
import { cpSync, globSync, mkdirSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nameOfHandle } from "../../src/stores/file/names.ts";
import { FileStore } from "../../src/stores/file.ts";
import type { SessionRecord } from "../../src/stores/store.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../stores/temporary-folder.ts";
import { liveFor } from "./mortal-disk.ts";

const clock = new ManualClock();
const now = clock.now();
const HOUR_MS = 3_600_000;

function recordOf(different: Partial<SessionRecord> = {}): SessionRecord {
  const times = { createdAt: now, touchedAt: now, expiresAt: now + HOUR_MS };
  return { payload: "old", version: 1, secretHash: "hash", userId: "user", ...times, ...different };
}

const old = recordOf();
const later = { ...old, touchedAt: now + 1_000, expiresAt: now + 2 * HOUR_MS };
const updated = recordOf({ payload: "new".repeat(1_000), version: 2, expiresAt: now + 2 * HOUR_MS });
const shortened = recordOf({ version: 2, expiresAt: now + 60_000 });
const heir = recordOf({ payload: "heir", secretHash: "another" });
const expired = recordOf({ payload: "expired", expiresAt: now + 1 });

interface Scene {
  what: string;
  before?: (store: FileStore) => Promise<unknown>;
  work(store: FileStore): Promise<unknown>;
  /** What "handle" is before and after; nothing else may ever be seen. */
  from: SessionRecord | undefined;
  to: SessionRecord | undefined;
  /** What takes the place of "handle", under that very name. */
  heir?: SessionRecord;
}

const withOld = (store: FileStore) => store.create("handle", old);

const scenes: readonly Scene[] = [
  { what: "the first session of all", work: withOld, from: undefined, to: old },
  {
    what: "a new session",
    before: (store) => store.create("another", old),
    work: withOld,
    from: undefined,
    to: old,
  },
  {
    what: "a new session in the place of an expired one",
    async before(store) {
      await store.create("handle", expired);
      clock.advance(1);
    },
    work: (store) => store.create("handle", old),
    from: undefined,
    to: old,
  },
  { what: "an update", before: withOld, work: (store) => store.update("handle", updated, 1), from: old, to: updated },
  {
    what: "an update that brings the end nearer",
    before: withOld,
    work: (store) => store.update("handle", shortened, 1),
    from: old,
    to: shortened,
  },
  {
    what: "a touch",
    before: withOld,
    work: (store) => store.touch("handle", later.touchedAt, later.expiresAt),
    from: old,
    to: later,
  },
  {
    what: "a session in the place of another",
    before: withOld,
    work: (store) => store.replace("handle", 1, "heir", heir),
    from: old,
    to: undefined,
    heir,
  },
  { what: "a logout", before: withOld, work: (store) => store.delete("handle"), from: old, to: undefined },
  {
    what: "an end by update",
    before: withOld,
    work: (store) => store.update("handle", { ...old, version: 2, expiresAt: 0 }, 1),
    from: old,
    to: undefined,
  },
  {
    what: "the end of all of a user's sessions",
    async before(store) {
      await withOld(store);
      await store.create("another", old);
    },
    work: (store) => store.deleteAll({ userId: "user" }),
    from: old,
    to: undefined,
  },
  {
    what: "a sweep that finds one session expired and another one touched",
    async before(store) {
      await store.create("another", expired);
      await store.create("handle", { ...old, expiresAt: now + 1 });
      await store.touch("handle", later.touchedAt, later.expiresAt);
      clock.advance(300_000);
    },
    work: (store) => store.prune(),
    from: later,
    to: later,
  },
];

for (const scene of scenes) {
  test(`killed at any step of ${scene.what}: the old or the new, and nothing stays behind`, async (t) => {
    const { folder, remove } = temporaryFolder();
    t.after(remove);
    let steps: string[] = [];
    for (let most = 0, isDone = false; !isDone; most++) {
      const root = join(folder, String(most));
      clock.set(now);
      const store = new FileStore(root, { clock });
      await scene.before?.(store);
      ({ steps, isDone } = await liveFor(most, () => scene.work(store)));
      const next = new FileStore(root, { clock });
      await inspect(next, scene, isDone, `killed after ${steps.join(", ")}`);
      mkdirSync(root, { recursive: true });
      cpSync(root, `${root}-again`, { recursive: true });
      await isNoObstacle(`${root}-again`);
      await isSwept(next, root);
      await next.close();
      rmSync(root, { recursive: true });
    }
    ok(steps.length > 0);
    t.diagnostic(`${steps.length} steps: ${steps.join(", ")}`);
  });
}

async function inspect(next: FileStore, { from, to, heir }: Scene, isDone: boolean, when: string): Promise<void> {
  const found = await next.load("handle");
  if (isDone) deepEqual(found, to, "an acknowledged change");
  else {
    const isOld = JSON.stringify(found) === JSON.stringify(from);
    if (!isOld) deepEqual(found, to, when);
  }
  if (heir !== undefined) deepEqual(await next.load("heir"), found === undefined ? heir : undefined, when);
  // The indexes name what can be loaded, all of it and nothing else.
  const { sessions } = await next.list({ userId: "user" });
  for (const { handle, ...record } of sessions) deepEqual(await next.load(handle), record, when);
  equal(
    sessions.some(({ handle }) => handle === "handle"),
    found !== undefined,
    when,
  );
  equal(await next.count({ userId: "user" }), sessions.length, when);
  deepEqual((await next.list({})).sessions.length, sessions.length, when);
}

/** Whatever was left half done is in nobody's way. */
async function isNoObstacle(root: string): Promise<void> {
  const next = new FileStore(root, { clock });
  const found = await next.load("handle");
  if (found === undefined) equal(await next.create("handle", recordOf({ expiresAt: clock.now() + HOUR_MS })), true);
  const { version } = (await next.load("handle")) ?? old;
  const written = recordOf({ version: version + 1, payload: "next", expiresAt: clock.now() + HOUR_MS });
  equal(await next.update("handle", written, version), "ok");
  deepEqual(await next.load("handle"), written);
  const [own = ""] = globSync(join(root, "sessions/*", nameOfHandle("handle")));
  equal(readdirSync(own).length, 2, "a state and its payload");
  equal(await next.delete("handle"), true);
  equal(await next.load("handle"), undefined);
  await next.close();
  rmSync(root, { recursive: true });
}

/** And goes with the session, or with the next sweeps. */
async function isSwept(next: FileStore, root: string): Promise<void> {
  await next.delete("handle");
  // Nobody is writing any more, as far as files an hour old tell.
  for (const path of globSync(join(root, "tmp/*"))) utimesSync(path, 0, 0);
  clock.advance(24 * HOUR_MS);
  await next.prune();
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  deepEqual(
    files.map(({ parentPath, name }) => join(parentPath, name)),
    [],
    "files that nothing needs",
  );
  deepEqual(globSync(join(root, "sessions/*/*")), []);
  deepEqual(globSync(join(root, "tmp/*")), []);
}
