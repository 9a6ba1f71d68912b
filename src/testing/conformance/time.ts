import { equal } from "node:assert/strict";
import type { Check } from "./check.ts";

export const time: readonly Check[] = [
  {
    name: "a record can be loaded until 1 ms before it expires, and not from then on",
    async run(bench) {
      const record = await bench.create("handle");
      bench.clock.set(record.expiresAt - 1);
      await bench.holds("handle", record);
      bench.clock.set(record.expiresAt);
      await bench.holds("handle", undefined);
      bench.clock.set(record.expiresAt + 1);
      await bench.holds("handle", undefined);
    },
  },
  ...[0, 1, 60_000].map(
    (late): Check => ({
      name: `${late} ms after its end a record can't be updated, touched or deleted`,
      async run(bench) {
        const record = await bench.create("handle");
        bench.clock.set(record.expiresAt + late);
        const longer = record.expiresAt + 3_600_000;
        equal(await bench.second.update("handle", { ...record, version: 2, expiresAt: longer }, 1), "gone");
        equal(await bench.second.touch("handle", bench.clock.now(), longer), false);
        await bench.holds("handle", undefined);
        equal(await bench.second.delete("handle"), false);
        await bench.holds("handle", undefined);
      },
    }),
  ),
  {
    name: "1 ms before its end a record can be updated, touched and deleted",
    async run(bench) {
      for (const handle of ["updated", "touched", "deleted"]) await bench.create(handle);
      const record = bench.record();
      bench.clock.advance(59_999);
      const later = bench.clock.now() + 60_000;
      equal(await bench.second.update("updated", { ...record, version: 2, expiresAt: later }, 1), "ok");
      equal(await bench.second.touch("touched", bench.clock.now(), later), true);
      equal(await bench.second.delete("deleted"), true);
      bench.clock.advance(1);
      await bench.holds("updated", { ...record, version: 2, expiresAt: later });
      await bench.holds("touched", { ...record, touchedAt: later - 60_000, expiresAt: later });
      await bench.holds("deleted", undefined);
    },
  },
  {
    name: "an update may bring the end nearer",
    async run(bench) {
      const record = await bench.create("handle");
      const next = { ...record, version: 2, expiresAt: record.expiresAt - 50_000 };
      equal(await bench.first.update("handle", next, 1), "ok");
      bench.clock.set(next.expiresAt - 1);
      await bench.holds("handle", next);
      bench.clock.set(next.expiresAt);
      await bench.holds("handle", undefined);
    },
  },
  {
    name: "an update to a record that has expired ends the session at once",
    async run(bench) {
      for (const [n, expiresAt] of [0, 1, bench.clock.now()].entries()) {
        const handle = `handle${n}`;
        const record = await bench.create(handle, { userId: "user" });
        equal(await bench.first.update(handle, { ...record, version: 2, expiresAt }, 1), "ok");
        await bench.holds(handle, undefined);
        const later = bench.clock.now() + 60_000;
        equal(await bench.second.update(handle, { ...record, version: 3, expiresAt: later }, 2), "gone");
        equal(await bench.second.touch(handle, bench.clock.now(), later), false);
        equal(await bench.first.delete(handle), false);
        await bench.holds(handle, undefined);
      }
    },
  },
  {
    name: "an end that was moved many times is the last one",
    async run(bench) {
      const record = await bench.create("handle");
      for (let round = 0; round < 20; round++) {
        bench.clock.advance(30_000);
        equal(await bench.second.touch("handle", bench.clock.now(), bench.clock.now() + 60_000), true);
      }
      const now = bench.clock.now();
      bench.clock.advance(59_999);
      await bench.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
      bench.clock.advance(1);
      await bench.holds("handle", undefined);
    },
  },
  {
    name: "a touch that comes late moves neither the last use nor the end backwards",
    async run(bench) {
      const record = await bench.create("handle");
      const now = record.touchedAt + 10_000;
      equal(await bench.first.touch("handle", now, now + 60_000), true);
      equal(await bench.second.touch("handle", now - 1, now + 59_999), true, "the record is there all the same");
      await bench.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
      equal(await bench.second.touch("handle", now - 1, now + 60_001), true);
      await bench.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_001 });
      equal(await bench.second.touch("handle", now + 1, now), true);
      await bench.holds("handle", { ...record, touchedAt: now + 1, expiresAt: now + 60_001 });
    },
  },
  {
    name: "a touch does not shorten the life that an update has just given",
    async run(bench) {
      const record = await bench.create("handle");
      const remembered = { ...record, version: 2, expiresAt: record.expiresAt + 86_400_000 };
      equal(await bench.first.update("handle", remembered, 1), "ok");
      equal(await bench.second.touch("handle", record.touchedAt + 1, record.expiresAt + 1), true);
      await bench.holds("handle", { ...remembered, touchedAt: record.touchedAt + 1 });
    },
  },
  {
    name: "a record that has expired already when it is created can't be loaded",
    async run(bench) {
      const now = bench.clock.now();
      await bench.first.create("handle", bench.record({ expiresAt: now }));
      await bench.holds("handle", undefined);
    },
  },
];
