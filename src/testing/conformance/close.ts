import { equal, rejects } from "node:assert/strict";
import { type Check, checks } from "./check.ts";

export const close: readonly Check[] = checks({
  "a store can be closed twice, one after the other or concurrently": async ({ first, second }) => {
    await first.close();
    await first.close();
    await Promise.all([second.close(), second.close()]);
  },
  "a store finishes pending calls before it closes": async (context) => {
    if (context.first === context.second) return;
    const record = context.record();
    const created = context.first.create("handle", record);
    await context.first.close();
    equal(await created, true);
    equal((await context.second.load("handle"))?.payload, record.payload);
  },
  "calls to a closed store fail; they do not report a missing session": async (context) => {
    const record = await context.create("handle");
    const { first } = context;
    await first.close();
    const now = context.clock.now();
    await rejects(async () => first.load("handle"));
    await rejects(async () => first.create("other", record));
    await rejects(async () => first.update("handle", { ...record, version: 2 }, 1));
    await rejects(async () => first.touch("handle", now, now + 60_000));
    await rejects(async () => first.delete("handle"));
  },
  "closing one connection leaves the other one working": async (context) => {
    if (context.first === context.second) return;
    const record = await context.create("handle");
    await context.first.close();
    equal(await context.second.update("handle", { ...record, version: 2 }, 1), "ok");
    equal((await context.second.load("handle"))?.version, 2);
  },
  "a closed store leaves no timer": async (context) => {
    await context.create("handle");
    await context.first.close();
    await context.second.close();
    equal(context.clock.pending, 0);
  },
});
