import { equal } from "node:assert/strict";
import { type Check, checks } from "./check.ts";

export const time: readonly Check[] = [
  ...checks({
    "a record loads until 1 ms before it expires, and not after": async (context) => {
      const record = await context.create("handle");
      context.clock.set(record.expiresAt - 1);
      await context.holds("handle", record);
      context.clock.set(record.expiresAt);
      await context.holds("handle", undefined);
      context.clock.set(record.expiresAt + 1);
      await context.holds("handle", undefined);
    },
  }),
  ...[0, 1, 60_000].map(
    (late): Check => ({
      name: `${late} ms after it expired a record can't be updated, touched or deleted`,
      async run(context) {
        const record = await context.create("handle");
        context.clock.set(record.expiresAt + late);
        const longer = record.expiresAt + 3_600_000;
        equal(await context.second.update("handle", { ...record, version: 2, expiresAt: longer }, 1), "gone");
        equal(await context.second.touch("handle", context.clock.now(), longer), false);
        await context.holds("handle", undefined);
        equal(await context.second.delete("handle"), false);
        await context.holds("handle", undefined);
      },
    }),
  ),
  ...checks({
    "1 ms before it expires a record can be updated, touched and deleted": async (context) => {
      for (const handle of ["updated", "touched", "deleted"]) await context.create(handle);
      const record = context.record();
      context.clock.advance(59_999);
      const later = context.clock.now() + 60_000;
      equal(await context.second.update("updated", { ...record, version: 2, expiresAt: later }, 1), "ok");
      equal(await context.second.touch("touched", context.clock.now(), later), true);
      equal(await context.second.delete("deleted"), true);
      context.clock.advance(1);
      await context.holds("updated", { ...record, version: 2, expiresAt: later });
      await context.holds("touched", { ...record, touchedAt: later - 60_000, expiresAt: later });
      await context.holds("deleted", undefined);
    },
    "an update can move the expiry closer": async (context) => {
      const record = await context.create("handle");
      const next = { ...record, version: 2, expiresAt: record.expiresAt - 50_000 };
      equal(await context.first.update("handle", next, 1), "ok");
      context.clock.set(next.expiresAt - 1);
      await context.holds("handle", next);
      context.clock.set(next.expiresAt);
      await context.holds("handle", undefined);
    },
    "an update to an expired record ends the session at once": async (context) => {
      for (const [n, expiresAt] of [0, 1, context.clock.now()].entries()) {
        const handle = `handle${n}`;
        const record = await context.create(handle, { userId: "user" });
        equal(await context.first.update(handle, { ...record, version: 2, expiresAt }, 1), "ok");
        await context.holds(handle, undefined);
        const later = context.clock.now() + 60_000;
        equal(await context.second.update(handle, { ...record, version: 3, expiresAt: later }, 2), "gone");
        equal(await context.second.touch(handle, context.clock.now(), later), false);
        equal(await context.first.delete(handle), false);
        await context.holds(handle, undefined);
      }
    },
    "after many touches the last expiry counts": async (context) => {
      const record = await context.create("handle");
      for (let round = 0; round < 20; round++) {
        context.clock.advance(30_000);
        equal(await context.second.touch("handle", context.clock.now(), context.clock.now() + 60_000), true);
      }
      const now = context.clock.now();
      context.clock.advance(59_999);
      await context.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
      context.clock.advance(1);
      await context.holds("handle", undefined);
    },
    "a late touch moves neither the last use nor the expiry backwards": async (context) => {
      const record = await context.create("handle");
      const now = record.touchedAt + 10_000;
      equal(await context.first.touch("handle", now, now + 60_000), true);
      equal(await context.second.touch("handle", now - 1, now + 59_999), true, "the record still exists");
      await context.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
      equal(await context.second.touch("handle", now - 1, now + 60_001), true);
      await context.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_001 });
      equal(await context.second.touch("handle", now + 1, now), true);
      await context.holds("handle", { ...record, touchedAt: now + 1, expiresAt: now + 60_001 });
    },
    "a touch does not shorten the lifetime that an update has set": async (context) => {
      const record = await context.create("handle");
      const remembered = { ...record, version: 2, expiresAt: record.expiresAt + 86_400_000 };
      equal(await context.first.update("handle", remembered, 1), "ok");
      equal(await context.second.touch("handle", record.touchedAt + 1, record.expiresAt + 1), true);
      await context.holds("handle", { ...remembered, touchedAt: record.touchedAt + 1 });
    },
    "a record that is created with a past expiry can't be loaded": async (context) => {
      const now = context.clock.now();
      await context.first.create("handle", context.record({ expiresAt: now }));
      await context.holds("handle", undefined);
    },
  }),
];
