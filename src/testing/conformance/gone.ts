import { deepEqual, equal, ok } from "node:assert/strict";
import type { SessionRecord, SessionStore } from "../../contract/store.ts";
import { type Bench, type Check, LONG_EXPIRED_MS, pruneAll } from "./check.ts";

/**
 * A session that was ended stays ended. Libraries that wrote it back were published as CVE-2025-46336 (Rack) and
 * CVE-2013-10075 (Apache::Session).
 */
export const gone: readonly Check[] = [
  {
    name: "nothing brings a deleted record back",
    async run(bench) {
      const record = await bench.create("handle");
      equal(await bench.first.delete("handle"), true);
      await staysGone(bench, record);
    },
  },
  {
    name: "nothing brings an expired record back",
    async run(bench) {
      const record = await bench.create("handle");
      bench.clock.advance(60_000);
      await staysGone(bench, record);
    },
  },
  {
    name: "nothing brings a user's record back after all of them were ended",
    needs: "index",
    async run(bench) {
      const record = await bench.create("handle", { userId: "user" });
      equal(await bench.first.deleteAll({ userId: "user" }), 1);
      await staysGone(bench, record);
    },
  },
  {
    name: "nothing brings a pruned record back",
    needs: "index",
    async run(bench) {
      const record = await bench.create("handle", { userId: "user" });
      bench.clock.advance(60_000 + LONG_EXPIRED_MS);
      await pruneAll(bench.first);
      await staysGone(bench, record);
    },
  },
  {
    name: "of many that delete a record at once, one did",
    async run(bench) {
      await bench.create("handle");
      const deleted = await Promise.all(
        Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? bench.first : bench.second).delete("handle")),
      );
      equal(deleted.filter((mine) => mine).length, 1);
    },
  },
  {
    name: "a write and a delete at once: whatever the order, the record is gone afterwards",
    async run(bench) {
      const now = bench.clock.now();
      for (let round = 0; round < 20; round++) {
        const record = await bench.create(`updated${round}`);
        const next = { ...record, version: 2 };
        const [updated] = await Promise.all([
          bench.first.update(`updated${round}`, next, 1),
          bench.second.delete(`updated${round}`),
        ]);
        ok(updated === "ok" || updated === "gone");
        await bench.create(`touched${round}`);
        await Promise.all([
          bench.second.delete(`touched${round}`),
          bench.first.touch(`touched${round}`, now, now + 60_000),
        ]);
        await bench.holds(`updated${round}`, undefined);
        await bench.holds(`touched${round}`, undefined);
      }
    },
  },
  ...[1, 2, 3, 4].map(
    (seed): Check => ({
      name: `250 random operations on two connections agree with a model (seed ${seed})`,
      run: (bench) => agreesWithModel(bench, seed),
    }),
  ),
];

async function staysGone(bench: Bench<SessionStore>, record: SessionRecord): Promise<void> {
  const longer = bench.clock.now() + 3_600_000;
  for (const store of [bench.first, bench.second]) {
    equal(await store.update("handle", { ...record, version: 2, expiresAt: longer }, 1), "gone");
    equal(await store.touch("handle", bench.clock.now(), longer), false);
    equal(await store.delete("handle"), false);
    await bench.holds("handle", undefined);
  }
}

/** One after another, on either connection; the model is a Map. */
async function agreesWithModel(bench: Bench<SessionStore>, seed: number): Promise<void> {
  const random = generator(seed);
  const pick = (below: number) => Math.floor(random() * below);
  const model = new Map<string, SessionRecord>();
  for (let step = 0; step < 250; step++) {
    const store = pick(2) === 0 ? bench.first : bench.second;
    const handle = `handle${pick(4)}`;
    const now = bench.clock.now();
    const known = model.get(handle);
    const live = known !== undefined && known.expiresAt > now ? known : undefined;
    const expiresAt = now + pick(40);
    const operation = pick(6);
    const where = `step ${step} of seed ${seed}`;
    if (operation === 0) {
      const record = bench.record({ payload: `created in ${step}`, expiresAt });
      equal(await store.create(handle, record), live === undefined, where);
      if (live === undefined) model.set(handle, record);
    } else if (operation === 1) {
      const expected = (live?.version ?? 1) - pick(2);
      const record = { ...(live ?? bench.record()), payload: `updated in ${step}`, version: expected + 1, expiresAt };
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
      bench.clock.advance(pick(8));
    } else {
      deepEqual(await store.load(handle), live, where);
    }
  }
}

/** Numbers from 0 to 1, the same for the same seed (xorshift32). */
function generator(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
