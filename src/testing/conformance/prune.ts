import { deepEqual, equal, ok } from "node:assert/strict";
import { type Check, indexChecks, LONG_EXPIRED_MS, pruneAll } from "./check.ts";

export const prune: readonly Check[] = indexChecks({
  "prune removes nothing if no record has expired": async (context) => {
    equal(await context.first.prune(), 0);
    const record = await context.create("handle");
    equal(await context.first.prune(), 0);
    context.clock.advance(59_999);
    equal(await context.first.prune(), 0);
    await context.holds("handle", record);
  },
  "prune removes expired records only": async (context) => {
    const now = context.clock.now();
    const expiresAt = now + 60_000 + LONG_EXPIRED_MS + 1;
    const living = await context.create("living", { userId: "user", expiresAt });
    for (let n = 0; n < 20; n++) await context.create(`expired${n}`, { userId: n % 2 === 0 ? "user" : null });
    context.clock.set(expiresAt - 1);
    ok((await pruneAll(context.first)) <= 20);
    equal(await context.second.count(), 1);
    await context.holds("living", living);
    deepEqual(await context.second.list({ userId: "user" }), { sessions: [{ handle: "living", ...living }] });
  },
  "prune removes at most limit records": async (context) => {
    const record = context.record();
    await Promise.all(Array.from({ length: 25 }, (_, n) => context.first.create(`handle${n}`, record)));
    context.clock.advance(60_000 + LONG_EXPIRED_MS);
    // Stores may count expired records; those that do show how many were removed.
    const before = await context.second.count();
    ok(before <= 25);
    ok((await context.first.prune(10)) <= 10);
    ok((await context.second.count()) >= before - 10);
    ok((await context.second.prune(1)) <= 1);
    ok((await context.second.count()) >= before - 11);
    ok((await pruneAll(context.first)) <= 25);
    equal(await context.second.count(), 0);
  },
  "prune keeps touched and updated records until their new expiry": async (context) => {
    const touched = await context.create("touched");
    const updated = await context.create("updated");
    const later = context.clock.now() + 3 * LONG_EXPIRED_MS;
    context.clock.advance(59_999);
    const touchedAt = context.clock.now();
    equal(await context.second.touch("touched", touchedAt, later), true);
    equal(await context.second.update("updated", { ...updated, version: 2, expiresAt: later }, 1), "ok");
    context.clock.set(later - 1);
    equal(await pruneAll(context.first), 0);
    await context.holds("touched", { ...touched, touchedAt, expiresAt: later });
    await context.holds("updated", { ...updated, version: 2, expiresAt: later });
    context.clock.advance(LONG_EXPIRED_MS + 1);
    await pruneAll(context.first);
    equal(await context.second.count(), 0);
  },
  "prune removes records whose expiry an update moved closer": async (context) => {
    const now = context.clock.now();
    const expiresAt = now + 100 * LONG_EXPIRED_MS;
    const record = await context.create("shortened", { expiresAt });
    await context.create("ended", { expiresAt });
    equal(await context.first.update("shortened", { ...record, version: 2, expiresAt: now + 1_000 }, 1), "ok");
    equal(await context.first.update("ended", { ...record, version: 2, expiresAt: 0 }, 1), "ok");
    context.clock.advance(1_000 + LONG_EXPIRED_MS);
    await pruneAll(context.first);
    equal(await context.second.count(), 0);
  },
  "a concurrent prune keeps a touched record": async (context) => {
    for (let round = 0; round < 20; round++) {
      const record = await context.create("handle");
      context.clock.advance(59_999);
      const now = context.clock.now();
      const touching = round % 2 === 0 ? () => context.first.prune() : () => context.second.prune();
      const [touched] = await Promise.all([context.first.touch("handle", now, now + 60_000), touching()]);
      equal(touched, true);
      context.clock.advance(1);
      await Promise.all([touching(), touching()]);
      await context.holds("handle", { ...record, touchedAt: now, expiresAt: now + 60_000 });
      await context.first.delete("handle");
    }
  },
});
