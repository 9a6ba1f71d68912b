import { deepEqual, equal } from "node:assert/strict";
import type { IndexedStore } from "../../contract/store.ts";
import { type Check, pages } from "./check.ts";

/** Each a user of their own: none may be folded, trimmed, normalised or matched as a pattern. */
const alikeUsers = [
  "ann",
  "Ann",
  "ann ",
  " ann",
  "ánn",
  "a\u0301nn",
  "an%",
  "an_",
  "a*",
  "[a]nn",
  "a\u200bnn",
  "1",
  "1.0",
  "01",
];

export const index: readonly Check[] = [
  {
    name: "a fresh store lists and counts nothing",
    needs: "index",
    async run({ first }) {
      deepEqual(await first.list({}), { sessions: [] });
      deepEqual(await first.list({ userId: "user" }), { sessions: [] });
      equal(await first.count(), 0);
      equal(await first.count({ userId: "user" }), 0);
    },
  },
  {
    name: "lists whole records with their handles, of one user or of everyone",
    needs: "index",
    async run(bench) {
      const mine = { handle: "mine", ...(await bench.create("mine", { userId: "user" })) };
      const theirs = {
        handle: "theirs",
        ...(await bench.create("theirs", { userId: "other", touchedAt: mine.touchedAt - 1 })),
      };
      const nobodys = { handle: "nobodys", ...(await bench.create("nobodys", { touchedAt: mine.touchedAt - 2 })) };
      deepEqual(await bench.second.list({ userId: "user" }), { sessions: [mine] });
      deepEqual(await bench.second.list({}), { sessions: [mine, theirs, nobodys] });
      equal(await bench.second.count(), 3);
      equal(await bench.second.count({ userId: "user" }), 1);
      equal(await bench.second.count({ userId: "nobody" }), 0);
    },
  },
  {
    name: "the newest use comes first, in whatever order they were created",
    needs: "index",
    async run(bench) {
      const now = bench.clock.now();
      const ages = [5_000, 0, 3_000, 100_000_000, 1, 40_000, 2_000];
      for (const age of ages) await bench.create(`age${age}`, { userId: "user", touchedAt: now - age });
      const expected = ages.toSorted((a, b) => a - b).map((age) => `age${age}`);
      deepEqual(await handles(bench.second, {}), expected);
      deepEqual(await handles(bench.second, { userId: "user" }), expected);
    },
  },
  {
    name: "a touch and an update bring a session to the front",
    needs: "index",
    async run(bench) {
      for (const handle of ["a", "b", "c"]) {
        await bench.create(handle, { userId: "user" });
        bench.clock.advance(1_000);
      }
      deepEqual(await handles(bench.first, { userId: "user" }), ["c", "b", "a"]);
      const now = bench.clock.now();
      await bench.first.touch("a", now, now + 60_000);
      deepEqual(await handles(bench.first, { userId: "user" }), ["a", "c", "b"]);
      bench.clock.advance(1_000);
      await bench.second.update("b", bench.record({ userId: "user", version: 2 }), 1);
      deepEqual(await handles(bench.first, { userId: "user" }), ["b", "a", "c"]);
      deepEqual(await handles(bench.second, {}), ["b", "a", "c"]);
    },
  },
  ...[
    { name: "in pages", of: 10, limit: 4, apart: 1_000 },
    { name: "in pages that come out even", of: 8, limit: 4, apart: 1_000 },
    { name: "in pages of one", of: 3, limit: 1, apart: 1_000 },
    { name: "in pages through sessions used in the same millisecond", of: 25, limit: 3, apart: 0 },
    { name: "in pages through two minutes of uses", of: 60, limit: 7, apart: 2_000 },
  ].map(
    ({ name, of, limit, apart }): Check => ({
      name: `lists every session once, ${name}`,
      needs: "index",
      async run(bench) {
        const now = bench.clock.now();
        const all = Array.from({ length: of }, (_, n) => `handle${n}`);
        for (const [n, handle] of all.entries()) {
          await bench.create(handle, { userId: n % 2 === 0 ? "user" : null, touchedAt: now - n * apart });
        }
        for (const query of [{ limit }, { limit, userId: "user" }]) {
          const expected = all.filter((_, n) => !("userId" in query) || n % 2 === 0);
          const found = await pages(bench.second, query);
          const listed = found.flat().map(({ handle }) => handle);
          // In the same millisecond any order will do.
          if (apart > 0) deepEqual(listed, expected);
          else deepEqual(listed.toSorted(), expected.toSorted());
          equal(
            found.length,
            Math.ceil(expected.length / limit),
            "no page but the last is short, and the last is not empty",
          );
        }
      },
    }),
  ),
  ...[{ limit: 3 }, { limit: 3, userId: "user" }].map(
    (query): Check => ({
      name: `what begins, ends or is used between two pages of ${"userId" in query ? "a user" : "everyone"} makes no other session come twice or not at all`,
      needs: "index",
      async run(bench) {
        const now = bench.clock.now();
        for (let n = 0; n < 9; n++) await bench.create(`handle${n}`, { userId: "user", touchedAt: now - n });
        const { sessions, cursor } = await bench.first.list(query);
        deepEqual(
          sessions.map(({ handle }) => handle),
          ["handle0", "handle1", "handle2"],
        );
        bench.clock.advance(10);
        const later = bench.clock.now();
        await bench.create("new", { userId: "user" });
        await bench.second.touch("handle1", later, later + 60_000);
        await bench.second.delete("handle2");
        await bench.first.delete("handle8");
        const rest = await handles(bench.second, { ...query, limit: 100, ...(cursor === undefined ? {} : { cursor }) });
        deepEqual(rest, ["handle3", "handle4", "handle5", "handle6", "handle7"]);
      },
    }),
  ),
  {
    name: "a page holds 100 sessions unless asked otherwise",
    needs: "index",
    async run(bench) {
      const creating = Array.from({ length: 101 }, (_, n) =>
        bench.first.create(`handle${n}`, bench.record({ userId: "user" })),
      );
      await Promise.all(creating);
      for (const query of [{}, { userId: "user" }]) {
        const page = await bench.second.list(query);
        equal(page.sessions.length, 100);
        equal(typeof page.cursor, "string");
      }
    },
  },
  {
    name: "expired sessions are neither listed nor counted for a user",
    needs: "index",
    async run(bench) {
      const now = bench.clock.now();
      await bench.create("short", { userId: "user", expiresAt: now + 10 });
      await bench.create("long", { userId: "user" });
      bench.clock.advance(9);
      equal((await handles(bench.second, {})).length, 2);
      equal(await bench.second.count({ userId: "user" }), 2);
      bench.clock.advance(1);
      deepEqual(await handles(bench.second, {}), ["long"]);
      deepEqual(await handles(bench.second, { userId: "user" }), ["long"]);
      equal(await bench.second.count({ userId: "user" }), 1);
      const all = await bench.second.count();
      equal(all === 1 || all === 2, true, "the count of everyone may include what expired");
    },
  },
  {
    name: "deleted sessions are neither listed nor counted",
    needs: "index",
    async run(bench) {
      await bench.create("deleted", { userId: "user" });
      await bench.create("kept", { userId: "user" });
      await bench.first.delete("deleted");
      deepEqual(await handles(bench.second, {}), ["kept"]);
      deepEqual(await handles(bench.second, { userId: "user" }), ["kept"]);
      equal(await bench.second.count(), 1);
      equal(await bench.second.count({ userId: "user" }), 1);
    },
  },
  {
    name: "users who look alike are different people",
    needs: "index",
    async run(bench) {
      for (const [n, userId] of alikeUsers.entries()) await bench.create(`handle${n}`, { userId });
      for (const [n, userId] of alikeUsers.entries()) {
        const { sessions } = await bench.second.list({ userId });
        deepEqual(
          sessions.map(({ handle }) => handle),
          [`handle${n}`],
          JSON.stringify(userId),
        );
        equal(sessions[0]?.userId, userId);
        equal(await bench.second.count({ userId }), 1);
      }
      equal(await bench.first.deleteAll({ userId: "ann" }), 1);
      equal(await bench.second.count(), alikeUsers.length - 1);
    },
  },
  {
    name: "an expired handle that another user took is listed under that user alone",
    needs: "index",
    async run(bench) {
      await bench.create("handle", { userId: "before" });
      bench.clock.advance(60_000);
      await bench.create("handle", { userId: "after" });
      deepEqual(await handles(bench.second, { userId: "before" }), []);
      deepEqual(await handles(bench.second, { userId: "after" }), ["handle"]);
      deepEqual(await handles(bench.second, {}), ["handle"]);
      equal(await bench.second.count({ userId: "before" }), 0);
    },
  },
];

async function handles(
  store: IndexedStore,
  query: { userId?: string; limit?: number; cursor?: string },
): Promise<string[]> {
  const { sessions } = await store.list(query);
  return sessions.map(({ handle }) => handle);
}
