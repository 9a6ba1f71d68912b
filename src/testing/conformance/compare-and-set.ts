import { deepEqual, equal } from "node:assert/strict";
import type { SessionStore } from "../../contract/store.ts";
import type { Bench, Check } from "./check.ts";

export const compareAndSet: readonly Check[] = [
  {
    name: "an update from another version changes nothing",
    async run(bench) {
      const record = await bench.create("handle");
      const next = { ...record, payload: "next", version: 2 };
      equal(await bench.first.update("handle", next, 1), "ok");
      for (const version of [0, 1, 3]) {
        const stale = { ...record, payload: "stale", version: version + 1 };
        equal(await bench.second.update("handle", stale, version), "conflict");
      }
      await bench.holds("handle", next);
    },
  },
  {
    name: "of many writers on two connections one wins a version, and its payload is what remains",
    async run(bench) {
      const record = await bench.create("handle");
      for (let version = 1; version <= 5; version++) {
        const payloads = Array.from({ length: 16 }, (_, n) => `version ${version} by ${n}`);
        const results = await Promise.all(
          payloads.map((payload, n) =>
            connection(bench, n).update("handle", { ...record, payload, version: version + 1 }, version),
          ),
        );
        deepEqual(results.toSorted(), [...Array.from({ length: 15 }, () => "conflict"), "ok"]);
        const payload = payloads[results.indexOf("ok")] ?? "none";
        await bench.holds("handle", { ...record, payload, version: version + 1 });
      }
    },
  },
  {
    name: "a counter that many increment, each trying again after a conflict, loses no increment",
    async run(bench) {
      const record = await bench.create("handle", { payload: "0" });
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
        for (let round = 0; round < 5; round++) await increment(connection(bench, n));
      };
      await Promise.all(Array.from({ length: 8 }, (_, n) => writer(n)));
      await bench.holds("handle", { ...record, payload: "40", version: 41 });
    },
  },
  {
    name: "a touch at the same time costs an update nothing",
    async run(bench) {
      const record = await bench.create("handle");
      const now = record.touchedAt;
      const [updated, touched] = await Promise.all([
        bench.first.update("handle", { ...record, payload: "next", version: 2 }, 1),
        bench.second.touch("handle", now, now + 60_000),
      ]);
      deepEqual([updated, touched], ["ok", true]);
      await bench.holds("handle", { ...record, payload: "next", version: 2 });
    },
  },
  {
    name: "updates of many records at once each find their own",
    async run(bench) {
      const handles = Array.from({ length: 50 }, (_, n) => `handle${n}`);
      const record = bench.record();
      await Promise.all(
        handles.map((handle, n) => connection(bench, n).create(handle, { ...record, payload: handle })),
      );
      const results = await Promise.all(
        handles.map((handle, n) =>
          connection(bench, n + 1).update(handle, { ...record, payload: `${handle} next`, version: 2 }, 1),
        ),
      );
      equal(
        results.every((result) => result === "ok"),
        true,
      );
      for (const handle of handles) await bench.holds(handle, { ...record, payload: `${handle} next`, version: 2 });
    },
  },
];

function connection(bench: Bench<SessionStore>, n: number): SessionStore {
  return n % 2 === 0 ? bench.first : bench.second;
}
