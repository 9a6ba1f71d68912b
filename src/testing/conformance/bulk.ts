import { deepEqual, equal } from "node:assert/strict";
import type { IndexedStore } from "../../contract/store.ts";
import type { Bench, Check } from "./check.ts";

export const bulk: readonly Check[] = [
  {
    name: "ends all sessions of a user, says how many there were, and ends nobody else's",
    needs: "index",
    async run(bench) {
      await populate(bench);
      equal(await bench.first.deleteAll({ userId: "user" }), 3);
      deepEqual(await left(bench), ["nobodys", "theirs"]);
      equal(await bench.second.deleteAll({ userId: "user" }), 0);
    },
  },
  {
    name: "spares one",
    needs: "index",
    async run(bench) {
      await populate(bench);
      equal(await bench.first.deleteAll({ userId: "user", except: "mine2" }), 2);
      deepEqual(await left(bench), ["mine2", "nobodys", "theirs"]);
    },
  },
  {
    name: "a session to spare that is not there, or is another user's, changes nothing",
    needs: "index",
    async run(bench) {
      await populate(bench);
      equal(await bench.first.deleteAll({ userId: "user", except: "unknown" }), 3);
      equal(await bench.first.deleteAll({ userId: "other", except: "nobodys" }), 1);
      deepEqual(await left(bench), ["nobodys"]);
    },
  },
  {
    name: "ends everyone's",
    needs: "index",
    async run(bench) {
      await populate(bench);
      equal(await bench.second.deleteAll({}), 5);
      deepEqual(await left(bench), []);
      equal(await bench.first.count(), 0);
    },
  },
  {
    name: "ends everyone's but one, which is as it was",
    needs: "index",
    async run(bench) {
      await populate(bench);
      const spared = await bench.first.load("mine1");
      equal(await bench.second.deleteAll({ except: "mine1" }), 4);
      deepEqual(await left(bench), ["mine1"]);
      await bench.holds("mine1", spared);
      equal(await bench.first.count({ userId: "user" }), 1);
    },
  },
  {
    name: "does not count what had expired",
    needs: "index",
    async run(bench) {
      await populate(bench);
      await bench.create("short", { userId: "user", expiresAt: bench.clock.now() + 1 });
      bench.clock.advance(1);
      equal(await bench.first.deleteAll({ userId: "user", except: "mine1" }), 2);
      await bench.create("short", { userId: "user", expiresAt: bench.clock.now() + 1 });
      bench.clock.advance(1);
      equal(await bench.first.deleteAll({ except: "mine1" }), 2);
      deepEqual(await left(bench), ["mine1"]);
    },
  },
  {
    name: "an expired session is not spared into life",
    needs: "index",
    async run(bench) {
      await bench.create("short", { userId: "user", expiresAt: bench.clock.now() + 1 });
      bench.clock.advance(1);
      equal(await bench.first.deleteAll({ userId: "user", except: "short" }), 0);
      equal(await bench.first.deleteAll({ except: "short" }), 0);
      await bench.holds("short", undefined);
    },
  },
  {
    name: "ends 1,200 sessions",
    needs: "index",
    async run(bench) {
      const record = bench.record({ userId: "user" });
      await Promise.all(Array.from({ length: 1_200 }, (_, n) => bench.first.create(`handle${n}`, record)));
      await bench.create("theirs", { userId: "other" });
      equal(await bench.second.deleteAll({ userId: "user", except: "handle600" }), 1_199);
      deepEqual(await left(bench), ["handle600", "theirs"]);
    },
  },
  {
    name: "of everyone: ends 1,100 sessions, with expired ones between them, and counts those that had not expired",
    needs: "index",
    async run(bench) {
      const record = bench.record();
      const short = bench.record({ expiresAt: bench.clock.now() + 1 });
      await Promise.all(
        Array.from({ length: 1_200 }, (_, n) => bench.first.create(`handle${n}`, n < 100 ? short : record)),
      );
      bench.clock.advance(1);
      equal(await bench.second.deleteAll({ except: "handle600" }), 1_099);
      deepEqual(await left(bench), ["handle600"]);
      equal(await bench.second.deleteAll({}), 1);
      deepEqual(await left(bench), []);
    },
  },
];

/** Three sessions of one user, one of another, one of nobody. */
async function populate(bench: Bench<IndexedStore>): Promise<void> {
  for (const handle of ["mine1", "mine2", "mine3"]) await bench.create(handle, { userId: "user" });
  await bench.create("theirs", { userId: "other" });
  await bench.create("nobodys");
}

async function left(bench: Bench<IndexedStore>): Promise<string[]> {
  const { sessions } = await bench.second.list({});
  return sessions.map(({ handle }) => handle).toSorted();
}
