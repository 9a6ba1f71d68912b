import { deepEqual, equal } from "node:assert/strict";
import { type Check, checks } from "./check.ts";

export const identity: readonly Check[] = checks({
  "create never overwrites": async (context) => {
    const record = await context.create("handle");
    equal(await context.second.create("handle", context.record({ payload: "other", userId: "intruder" })), false);
    equal(await context.first.create("handle", context.record({ payload: "other" })), false);
    await context.holds("handle", record);
  },
  "of many concurrent creates under one handle, one succeeds": async (context) => {
    const records = Array.from({ length: 16 }, (_, n) => context.record({ payload: String(n) }));
    const created = await Promise.all(records.map((record, n) => context.connection(n).create("handle", record)));
    equal(created.filter((won) => won).length, 1);
    await context.holds("handle", records[created.indexOf(true)]);
  },
  "the handle of an expired record is free, and nothing of that record remains": async (context) => {
    await context.create("handle", { payload: "old", userId: "old user", secretHash: "old" });
    context.clock.advance(60_000);
    const record = await context.create("handle", { payload: "new" });
    await context.holds("handle", record);
  },
  "an update of an unknown handle creates nothing": async (context) => {
    for (const version of [0, 1, 2]) equal(await context.first.update("unknown", context.record(), version), "gone");
    await context.holds("unknown", undefined);
  },
  "a touch of an unknown handle creates nothing": async (context) => {
    const now = context.clock.now();
    equal(await context.first.touch("unknown", now, now + 60_000), false);
    await context.holds("unknown", undefined);
  },
  "a touch keeps payload and version, so a pending update still succeeds": async (context) => {
    const record = await context.create("handle", { payload: "kept", version: 7, userId: "user" });
    const now = record.touchedAt + 5;
    equal(await context.second.touch("handle", now, now + 60_000), true);
    await context.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
    equal(await context.first.update("handle", { ...record, version: 8 }, 7), "ok");
  },
  "an update replaces payload, version, secret hash and times": async (context) => {
    const record = await context.create("handle", { userId: "user" });
    const next = {
      ...record,
      payload: "next",
      version: 2,
      secretHash: "next",
      touchedAt: record.touchedAt + 1,
      expiresAt: record.expiresAt + 1,
    };
    equal(await context.second.update("handle", next, 1), "ok");
    await context.holds("handle", next);
  },
  "a change of one record leaves the others unchanged": async (context) => {
    const other = await context.create("other", { userId: "user" });
    const record = await context.create("handle", { userId: "user" });
    await context.first.update("handle", { ...record, payload: "next", version: 2 }, 1);
    await context.second.touch("handle", record.touchedAt + 1, record.expiresAt + 1);
    await context.first.delete("handle");
    deepEqual(await context.second.load("other"), other);
    deepEqual(await context.first.load("other"), other);
  },
});
