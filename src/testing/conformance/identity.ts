import { deepEqual, equal } from "node:assert/strict";
import type { Check } from "./check.ts";

export const identity: readonly Check[] = [
  {
    name: "create never overwrites",
    async run(bench) {
      const record = await bench.create("handle");
      equal(await bench.second.create("handle", bench.record({ payload: "other", userId: "intruder" })), false);
      equal(await bench.first.create("handle", bench.record({ payload: "other" })), false);
      await bench.holds("handle", record);
    },
  },
  {
    name: "of many that create the same handle at once, one does",
    async run(bench) {
      const records = Array.from({ length: 16 }, (_, n) => bench.record({ payload: String(n) }));
      const created = await Promise.all(
        records.map((record, n) => (n % 2 === 0 ? bench.first : bench.second).create("handle", record)),
      );
      equal(created.filter((won) => won).length, 1);
      await bench.holds("handle", records[created.indexOf(true)]);
    },
  },
  {
    name: "the handle of an expired record is free, and nothing of that record remains",
    async run(bench) {
      await bench.create("handle", { payload: "old", userId: "old user", secretHash: "old" });
      bench.clock.advance(60_000);
      const record = await bench.create("handle", { payload: "new" });
      await bench.holds("handle", record);
    },
  },
  {
    name: "an update of an unknown handle creates nothing",
    async run(bench) {
      for (const version of [0, 1, 2]) equal(await bench.first.update("unknown", bench.record(), version), "gone");
      await bench.holds("unknown", undefined);
    },
  },
  {
    name: "a touch of an unknown handle creates nothing",
    async run(bench) {
      const now = bench.clock.now();
      equal(await bench.first.touch("unknown", now, now + 60_000), false);
      await bench.holds("unknown", undefined);
    },
  },
  {
    name: "a touch leaves payload and version as they are, so that an update under way still succeeds",
    async run(bench) {
      const record = await bench.create("handle", { payload: "kept", version: 7, userId: "user" });
      const now = record.touchedAt + 5;
      equal(await bench.second.touch("handle", now, now + 60_000), true);
      await bench.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
      equal(await bench.first.update("handle", { ...record, version: 8 }, 7), "ok");
    },
  },
  {
    name: "an update replaces payload, version, secret hash and times",
    async run(bench) {
      const record = await bench.create("handle", { userId: "user" });
      const next = {
        ...record,
        payload: "next",
        version: 2,
        secretHash: "next",
        touchedAt: record.touchedAt + 1,
        expiresAt: record.expiresAt + 1,
      };
      equal(await bench.second.update("handle", next, 1), "ok");
      await bench.holds("handle", next);
    },
  },
  {
    name: "one record's change is nobody else's",
    async run(bench) {
      const other = await bench.create("other", { userId: "user" });
      const record = await bench.create("handle", { userId: "user" });
      await bench.first.update("handle", { ...record, payload: "next", version: 2 }, 1);
      await bench.second.touch("handle", record.touchedAt + 1, record.expiresAt + 1);
      await bench.first.delete("handle");
      deepEqual(await bench.second.load("other"), other);
      deepEqual(await bench.first.load("other"), other);
    },
  },
];
