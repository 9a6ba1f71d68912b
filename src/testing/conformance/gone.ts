import { deepEqual, equal, ok } from "node:assert/strict";
import type { SessionRecord, SessionStore } from "../../contract/store.ts";
import { type Check, type CheckContext, checks, indexChecks, LONG_EXPIRED_MS, pruneAll } from "./check.ts";

/**
 * An ended session must stay ended. CVE-2025-46336 (Rack) and CVE-2013-10075 (Apache::Session) are
 * about libraries that wrote it back.
 */
export const gone: readonly Check[] = [
  ...checks({
    "no call revives a deleted record": async (context) => {
      const record = await context.create("handle");
      equal(await context.first.delete("handle"), true);
      await staysGone(context, record);
    },
    "no call revives an expired record": async (context) => {
      const record = await context.create("handle");
      context.clock.advance(60_000);
      await staysGone(context, record);
    },
  }),
  ...indexChecks({
    "no call revives a record after deleteAll": async (context) => {
      const record = await context.create("handle", { userId: "user" });
      equal(await context.first.deleteAll({ userId: "user" }), 1);
      await staysGone(context, record);
    },
    "no call revives a pruned record": async (context) => {
      const record = await context.create("handle", { userId: "user" });
      context.clock.advance(60_000 + LONG_EXPIRED_MS);
      await pruneAll(context.first);
      await staysGone(context, record);
    },
  }),
  ...checks({
    "of many concurrent deletes of one record, one returns true": async (context) => {
      await context.create("handle");
      const deleted = await Promise.all(Array.from({ length: 8 }, (_, n) => context.connection(n).delete("handle")));
      equal(deleted.filter((mine) => mine).length, 1);
    },
    "after a concurrent write and delete the record is gone, whatever their order": async (context) => {
      const now = context.clock.now();
      for (let round = 0; round < 20; round++) {
        const record = await context.create(`updated${round}`);
        const next = { ...record, version: 2 };
        const [updated] = await Promise.all([
          context.first.update(`updated${round}`, next, 1),
          context.second.delete(`updated${round}`),
        ]);
        ok(updated === "ok" || updated === "gone");
        await context.create(`touched${round}`);
        await Promise.all([
          context.second.delete(`touched${round}`),
          context.first.touch(`touched${round}`, now, now + 60_000),
        ]);
        await context.holds(`updated${round}`, undefined);
        await context.holds(`touched${round}`, undefined);
      }
    },
  }),
  ...[1, 2, 3, 4].map(
    (seed): Check => ({
      name: `250 random operations agree with a model (seed ${seed})`,
      run: (context) => agreesWithModel(context, seed),
    }),
  ),
];

async function staysGone(context: CheckContext<SessionStore>, record: SessionRecord): Promise<void> {
  const longer = context.clock.now() + 3_600_000;
  for (const store of [context.first, context.second]) {
    equal(await store.update("handle", { ...record, version: 2, expiresAt: longer }, 1), "gone");
    equal(await store.touch("handle", context.clock.now(), longer), false);
    equal(await store.delete("handle"), false);
    await context.holds("handle", undefined);
  }
}

/** Runs random operations in sequence on both connections, and compares them with a Map. */
async function agreesWithModel(context: CheckContext<SessionStore>, seed: number): Promise<void> {
  const random = generator(seed);
  const pick = (below: number) => Math.floor(random() * below);
  const model = new Map<string, SessionRecord>();
  for (let step = 0; step < 250; step++) {
    const store = pick(2) === 0 ? context.first : context.second;
    const handle = `handle${pick(4)}`;
    const now = context.clock.now();
    const known = model.get(handle);
    const live = known !== undefined && known.expiresAt > now ? known : undefined;
    const expiresAt = now + pick(40);
    const operation = pick(6);
    const where = `step ${step} of seed ${seed}`;
    if (operation === 0) {
      const record = context.record({ payload: `created in ${step}`, expiresAt });
      equal(await store.create(handle, record), live === undefined, where);
      if (live === undefined) model.set(handle, record);
    } else if (operation === 1) {
      const expected = (live?.version ?? 1) - pick(2);
      const record = { ...(live ?? context.record()), payload: `updated in ${step}`, version: expected + 1, expiresAt };
      const result = live === undefined ? "gone" : expected === live.version ? "ok" : "conflict";
      equal(await store.update(handle, record, expected), result, where);
      if (result === "ok") model.set(handle, record);
    } else if (operation === 2) {
      equal(await store.touch(handle, now, expiresAt), live !== undefined, where);
      if (live !== undefined) {
        model.set(handle, { ...live, touchedAt: now, expiresAt: Math.max(live.expiresAt, expiresAt) });
      }
    } else if (operation === 3) {
      equal(await store.delete(handle), live !== undefined, where);
      model.delete(handle);
    } else if (operation === 4) {
      context.clock.advance(pick(8));
    } else {
      deepEqual(await store.load(handle), live, where);
    }
  }
}

/** Returns a reproducible source of numbers from 0 to 1 (xorshift32). */
function generator(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
