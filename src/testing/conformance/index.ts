import { deepEqual, equal } from "node:assert/strict";
import { type Check, handlesOf, indexChecks, pages } from "./check.ts";

/** Different users: a store must not fold, trim, normalise or match their IDs as patterns. */
const similarUsers = [
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
  ...indexChecks({
    "a new store lists and counts nothing": async ({ first }) => {
      deepEqual(await first.list({}), { sessions: [] });
      deepEqual(await first.list({ userId: "user" }), { sessions: [] });
      equal(await first.count(), 0);
      equal(await first.count({ userId: "user" }), 0);
    },
    "list returns whole records with their handles, of one user or of everyone": async (context) => {
      const mine = { handle: "mine", ...(await context.create("mine", { userId: "user" })) };
      const theirs = {
        handle: "theirs",
        ...(await context.create("theirs", { userId: "other", touchedAt: mine.touchedAt - 1 })),
      };
      const anonymous = {
        handle: "anonymous",
        ...(await context.create("anonymous", { touchedAt: mine.touchedAt - 2 })),
      };
      deepEqual(await context.second.list({ userId: "user" }), { sessions: [mine] });
      const { sessions, ...rest } = await context.second.list({});
      deepEqual(
        sessions.toSorted((a, b) => (a.handle < b.handle ? -1 : 1)),
        [anonymous, mine, theirs],
      );
      deepEqual(rest, {});
      equal(await context.second.count(), 3);
      equal(await context.second.count({ userId: "user" }), 1);
      equal(await context.second.count({ userId: "nobody" }), 0);
    },
    "list returns a user's most recently used session first": async (context) => {
      const now = context.clock.now();
      const ages = [5_000, 0, 3_000, 100_000_000, 1, 40_000, 2_000];
      for (const age of ages) await context.create(`age${age}`, { userId: "user", touchedAt: now - age });
      const expected = ages.toSorted((a, b) => a - b).map((age) => `age${age}`);
      deepEqual(await handlesOf(context.second, { userId: "user" }), expected);
    },
    "a touch and an update move a session to the front of its user's list": async (context) => {
      for (const handle of ["a", "b", "c"]) {
        await context.create(handle, { userId: "user" });
        context.clock.advance(1_000);
      }
      deepEqual(await handlesOf(context.first, { userId: "user" }), ["c", "b", "a"]);
      const now = context.clock.now();
      await context.first.touch("a", now, now + 60_000);
      deepEqual(await handlesOf(context.first, { userId: "user" }), ["a", "c", "b"]);
      context.clock.advance(1_000);
      await context.second.update("b", context.record({ userId: "user", version: 2 }), 1);
      deepEqual(await handlesOf(context.first, { userId: "user" }), ["b", "a", "c"]);
    },
  }),
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
      async run(context) {
        const now = context.clock.now();
        const all = Array.from({ length: of }, (_, n) => `handle${n}`);
        for (const [n, handle] of all.entries()) {
          await context.create(handle, { userId: n % 2 === 0 ? "user" : null, touchedAt: now - n * apart });
        }
        for (const query of [{ limit }, { limit, userId: "user" }]) {
          const expected = all.filter((_, n) => !("userId" in query) || n % 2 === 0);
          const found = await pages(context.second, query);
          const listed = found.flat().map(({ handle }) => handle);
          // Sessions of one millisecond may come in any order, and so may everyone's.
          if (apart > 0 && "userId" in query) deepEqual(listed, expected);
          else deepEqual(listed.toSorted(), expected.toSorted());
          equal(
            found.length,
            Math.ceil(expected.length / limit),
            "only the last page may be short, and it is not empty",
          );
        }
      },
    }),
  ),
  ...indexChecks({
    "changes between two pages of a user repeat or drop no other session": async (context) => {
      const now = context.clock.now();
      for (let n = 0; n < 9; n++) await context.create(`handle${n}`, { userId: "user", touchedAt: now - n });
      const { sessions, cursor } = await context.first.list({ limit: 3, userId: "user" });
      deepEqual(
        sessions.map(({ handle }) => handle),
        ["handle0", "handle1", "handle2"],
      );
      context.clock.advance(10);
      const later = context.clock.now();
      await context.create("new", { userId: "user" });
      await context.second.touch("handle1", later, later + 60_000);
      await context.second.delete("handle2");
      await context.first.delete("handle8");
      const query = { userId: "user", ...(cursor === undefined ? {} : { cursor }) };
      deepEqual(await handlesOf(context.second, query), ["handle3", "handle4", "handle5", "handle6", "handle7"]);
    },
    "changes between two pages of everyone repeat or drop no other session, not even a used one": async (context) => {
      const now = context.clock.now();
      const all = Array.from({ length: 40 }, (_, n) => `handle${n}`);
      for (const [n, handle] of all.entries()) {
        await context.create(handle, { userId: n % 2 === 0 ? "user" : null, touchedAt: now - n });
      }
      const { sessions, cursor = "" } = await context.first.list({ limit: 15 });
      const seen = sessions.map(({ handle }) => handle);
      equal(new Set(seen).size, 15);
      const [dropped, ...rest] = all.filter((handle) => !seen.includes(handle));
      context.clock.advance(10);
      const later = context.clock.now();
      // The last one of the page is where the next page begins.
      for (const handle of seen.slice(-2)) await context.second.delete(handle);
      await context.second.delete(dropped ?? "");
      for (const handle of [seen[0], seen[5], rest[0], rest[9], rest.at(-1)]) {
        await context.first.touch(handle ?? "", later, later + 60_000);
      }
      await context.first.update(rest[4] ?? "", context.record({ version: 2 }), 1);
      deepEqual((await handlesOf(context.second, { cursor })).toSorted(), rest.toSorted());
    },
  }),
  ...indexChecks({
    "a page holds 100 sessions by default": async (context) => {
      const creating = Array.from({ length: 101 }, (_, n) =>
        context.first.create(`handle${n}`, context.record({ userId: "user" })),
      );
      await Promise.all(creating);
      for (const query of [{}, { userId: "user" }]) {
        const page = await context.second.list(query);
        equal(page.sessions.length, 100);
        equal(typeof page.cursor, "string");
      }
    },
    "expired sessions are neither listed nor counted for a user": async (context) => {
      const now = context.clock.now();
      await context.create("short", { userId: "user", expiresAt: now + 10 });
      await context.create("long", { userId: "user" });
      context.clock.advance(9);
      equal((await handlesOf(context.second)).length, 2);
      equal(await context.second.count({ userId: "user" }), 2);
      context.clock.advance(1);
      deepEqual(await handlesOf(context.second), ["long"]);
      deepEqual(await handlesOf(context.second, { userId: "user" }), ["long"]);
      equal(await context.second.count({ userId: "user" }), 1);
      const all = await context.second.count();
      equal(all === 1 || all === 2, true, "the count of everyone may include expired sessions");
    },
    "deleted sessions are neither listed nor counted": async (context) => {
      await context.create("deleted", { userId: "user" });
      await context.create("kept", { userId: "user" });
      await context.first.delete("deleted");
      deepEqual(await handlesOf(context.second), ["kept"]);
      deepEqual(await handlesOf(context.second, { userId: "user" }), ["kept"]);
      equal(await context.second.count(), 1);
      equal(await context.second.count({ userId: "user" }), 1);
    },
    "similar user IDs are different users": async (context) => {
      for (const [n, userId] of similarUsers.entries()) await context.create(`handle${n}`, { userId });
      for (const [n, userId] of similarUsers.entries()) {
        const { sessions } = await context.second.list({ userId });
        deepEqual(
          sessions.map(({ handle }) => handle),
          [`handle${n}`],
          JSON.stringify(userId),
        );
        equal(sessions[0]?.userId, userId);
        equal(await context.second.count({ userId }), 1);
      }
      equal(await context.first.deleteAll({ userId: "ann" }), 1);
      equal(await context.second.count(), similarUsers.length - 1);
    },
    "a reused handle is listed under its new user only": async (context) => {
      await context.create("handle", { userId: "before" });
      context.clock.advance(60_000);
      await context.create("handle", { userId: "after" });
      deepEqual(await handlesOf(context.second, { userId: "before" }), []);
      deepEqual(await handlesOf(context.second, { userId: "after" }), ["handle"]);
      deepEqual(await handlesOf(context.second), ["handle"]);
      equal(await context.second.count({ userId: "before" }), 0);
    },
  }),
];
