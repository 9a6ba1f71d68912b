import { deepEqual, equal } from "node:assert/strict";
import type { SessionStore } from "../../contract/store.ts";
import { type Check, checks } from "./check.ts";

export const compareAndSet: readonly Check[] = checks({
  "an update from another version changes nothing": async (context) => {
    const record = await context.create("handle");
    const next = { ...record, payload: "next", version: 2 };
    equal(await context.first.update("handle", next, 1), "ok");
    for (const version of [0, 1, 3]) {
      const stale = { ...record, payload: "stale", version: version + 1 };
      equal(await context.second.update("handle", stale, version), "conflict");
      // Nor does one that would end the session.
      equal(await context.second.update("handle", { ...stale, expiresAt: 0 }, version), "conflict");
    }
    await context.holds("handle", next);
  },
  "of many concurrent writers one wins each version, and its payload is stored": async (context) => {
    const record = await context.create("handle");
    for (let version = 1; version <= 5; version++) {
      const payloads = Array.from({ length: 16 }, (_, n) => `version ${version} by ${n}`);
      const results = await Promise.all(
        payloads.map((payload, n) =>
          context.connection(n).update("handle", { ...record, payload, version: version + 1 }, version),
        ),
      );
      deepEqual(results.toSorted(), [...Array.from({ length: 15 }, () => "conflict"), "ok"]);
      const payload = payloads[results.indexOf("ok")] ?? "none";
      await context.holds("handle", { ...record, payload, version: version + 1 });
    }
  },
  "concurrent increments with retries after conflicts are all counted": async (context) => {
    const record = await context.create("handle", { payload: "0" });
    const increment = async (store: SessionStore): Promise<void> => {
      for (let attempt = 0; attempt < 1_000; attempt++) {
        const current = await store.load("handle");
        if (current === undefined) throw new Error("the record vanished");
        const { version } = current;
        const next = { ...current, payload: String(Number(current.payload) + 1), version: version + 1 };
        if ((await store.update("handle", next, version)) === "ok") return;
      }
      throw new Error("a thousand conflicts in a row");
    };
    const writer = async (n: number) => {
      for (let round = 0; round < 5; round++) await increment(context.connection(n));
    };
    await Promise.all(Array.from({ length: 8 }, (_, n) => writer(n)));
    await context.holds("handle", { ...record, payload: "40", version: 41 });
  },
  "a concurrent touch does not make an update fail": async (context) => {
    const record = await context.create("handle");
    const now = record.touchedAt;
    const [updated, touched] = await Promise.all([
      context.first.update("handle", { ...record, payload: "next", version: 2 }, 1),
      context.second.touch("handle", now, now + 60_000),
    ]);
    deepEqual([updated, touched], ["ok", true]);
    await context.holds("handle", { ...record, payload: "next", version: 2 });
  },
  "concurrent updates of many records each change their own record": async (context) => {
    const handles = Array.from({ length: 50 }, (_, n) => `handle${n}`);
    const record = context.record();
    await Promise.all(handles.map((handle, n) => context.connection(n).create(handle, { ...record, payload: handle })));
    const results = await Promise.all(
      handles.map((handle, n) =>
        context.connection(n + 1).update(handle, { ...record, payload: `${handle} next`, version: 2 }, 1),
      ),
    );
    equal(
      results.every((result) => result === "ok"),
      true,
    );
    for (const handle of handles) await context.holds(handle, { ...record, payload: `${handle} next`, version: 2 });
  },
});
