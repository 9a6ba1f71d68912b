import { equal, rejects } from "node:assert/strict";
import type { Check } from "./check.ts";

export const close: readonly Check[] = [
  {
    name: "can be closed twice, and at once",
    async run({ first, second }) {
      await first.close();
      await first.close();
      await Promise.all([second.close(), second.close()]);
    },
  },
  {
    name: "what was asked for before it closes is done",
    async run(bench) {
      if (bench.first === bench.second) return;
      const record = bench.record();
      const created = bench.first.create("handle", record);
      await bench.first.close();
      equal(await created, true);
      equal((await bench.second.load("handle"))?.payload, record.payload);
    },
  },
  {
    name: "a closed store fails: it does not say that there is nothing",
    async run(bench) {
      const record = await bench.create("handle");
      const { first } = bench;
      await first.close();
      const now = bench.clock.now();
      await rejects(async () => first.load("handle"));
      await rejects(async () => first.create("other", record));
      await rejects(async () => first.update("handle", { ...record, version: 2 }, 1));
      await rejects(async () => first.touch("handle", now, now + 60_000));
      await rejects(async () => first.delete("handle"));
    },
  },
  {
    name: "closing one connection leaves the other one working",
    async run(bench) {
      if (bench.first === bench.second) return;
      const record = await bench.create("handle");
      await bench.first.close();
      equal(await bench.second.update("handle", { ...record, version: 2 }, 1), "ok");
      equal((await bench.second.load("handle"))?.version, 2);
    },
  },
  {
    name: "leaves no timer behind",
    async run(bench) {
      await bench.create("handle");
      await bench.first.close();
      await bench.second.close();
      equal(bench.clock.pending, 0);
    },
  },
];
