import { deepEqual, equal, ok } from "node:assert/strict";
import { type Check, LONG_EXPIRED_MS, pruneAll } from "./check.ts";

export const prune: readonly Check[] = [
  {
    name: "prunes nothing where nothing has expired",
    needs: "index",
    async run(bench) {
      equal(await bench.first.prune(), 0);
      const record = await bench.create("handle");
      equal(await bench.first.prune(), 0);
      bench.clock.advance(59_999);
      equal(await bench.first.prune(), 0);
      await bench.holds("handle", record);
    },
  },
  {
    name: "prunes what has expired, and only that",
    needs: "index",
    async run(bench) {
      const now = bench.clock.now();
      const expiresAt = now + 60_000 + LONG_EXPIRED_MS + 1;
      const living = await bench.create("living", { userId: "user", expiresAt });
      for (let n = 0; n < 20; n++) await bench.create(`expired${n}`, { userId: n % 2 === 0 ? "user" : null });
      bench.clock.set(expiresAt - 1);
      ok((await pruneAll(bench.first)) <= 20);
      equal(await bench.second.count(), 1);
      await bench.holds("living", living);
      deepEqual(await bench.second.list({ userId: "user" }), { sessions: [{ handle: "living", ...living }] });
    },
  },
  {
    name: "prunes no more than asked for at a time",
    needs: "index",
    async run(bench) {
      const record = bench.record();
      await Promise.all(Array.from({ length: 25 }, (_, n) => bench.first.create(`handle${n}`, record)));
      bench.clock.advance(60_000 + LONG_EXPIRED_MS);
      // A store may count what has expired until it is pruned, and one that does shows that no more than that went.
      const before = await bench.second.count();
      ok(before <= 25);
      ok((await bench.first.prune(10)) <= 10);
      ok((await bench.second.count()) >= before - 10);
      ok((await bench.second.prune(1)) <= 1);
      ok((await bench.second.count()) >= before - 11);
      ok((await pruneAll(bench.first)) <= 25);
      equal(await bench.second.count(), 0);
    },
  },
  {
    name: "spares what a touch or an update has kept alive, until its new end",
    needs: "index",
    async run(bench) {
      const touched = await bench.create("touched");
      const updated = await bench.create("updated");
      const later = bench.clock.now() + 3 * LONG_EXPIRED_MS;
      bench.clock.advance(59_999);
      const touchedAt = bench.clock.now();
      equal(await bench.second.touch("touched", touchedAt, later), true);
      equal(await bench.second.update("updated", { ...updated, version: 2, expiresAt: later }, 1), "ok");
      bench.clock.set(later - 1);
      equal(await pruneAll(bench.first), 0);
      await bench.holds("touched", { ...touched, touchedAt, expiresAt: later });
      await bench.holds("updated", { ...updated, version: 2, expiresAt: later });
      bench.clock.advance(LONG_EXPIRED_MS + 1);
      await pruneAll(bench.first);
      equal(await bench.second.count(), 0);
    },
  },
  {
    name: "meets an end that was brought nearer",
    needs: "index",
    async run(bench) {
      const now = bench.clock.now();
      const expiresAt = now + 100 * LONG_EXPIRED_MS;
      const record = await bench.create("shortened", { expiresAt });
      await bench.create("ended", { expiresAt });
      equal(await bench.first.update("shortened", { ...record, version: 2, expiresAt: now + 1_000 }, 1), "ok");
      equal(await bench.first.update("ended", { ...record, version: 2, expiresAt: 0 }, 1), "ok");
      bench.clock.advance(1_000 + LONG_EXPIRED_MS);
      await pruneAll(bench.first);
      equal(await bench.second.count(), 0);
    },
  },
  {
    name: "a prune and a touch at once: a record that was touched stays",
    needs: "index",
    async run(bench) {
      for (let round = 0; round < 20; round++) {
        const record = await bench.create("handle");
        bench.clock.advance(59_999);
        const now = bench.clock.now();
        const touching = round % 2 === 0 ? () => bench.first.prune() : () => bench.second.prune();
        const [touched] = await Promise.all([bench.first.touch("handle", now, now + 60_000), touching()]);
        equal(touched, true);
        bench.clock.advance(1);
        await Promise.all([touching(), touching()]);
        await bench.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
        await bench.first.delete("handle");
      }
    },
  },
];
