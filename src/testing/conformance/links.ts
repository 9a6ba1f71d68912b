import { deepEqual, equal, rejects } from "node:assert/strict";
import type { IndexedStore, SessionRecord } from "../../contract/store.ts";
import { accessTo, type Check, type CheckContext, handlesOf, indexChecks, pages } from "./check.ts";

/** Different links: a store must not fold, trim, cut, normalise or match them as patterns. */
const similarLinks = [
  ..."sid,Sid,sid , sid,s\u00edd,si\u0301d,s%,s_d,s*,[s]id,s\u200bid,1,1.0,01,\u{1f680},a:b,a}b{c".split(","),
  "x".repeat(254),
  "x".repeat(255),
  `${"\u00e9".repeat(127)}x`,
  `${"\u{1f680}".repeat(63)}abc`,
];

export const links: readonly Check[] = [
  ...indexChecks({
    "a record keeps its link, and one without a link gets none": async (context) => {
      const linked = await context.create("linked", { userId: "user", link: "sid" });
      const other = await context.create("other", { userId: "user" });
      await context.holds("linked", linked);
      await context.holds("other", other);
      const now = context.clock.now();
      equal(await context.second.touch("linked", now + 1, now + 90_000), true);
      const touched = { ...linked, touchedAt: now + 1, expiresAt: now + 90_000 };
      await context.holds("linked", touched);
      equal(await context.first.update("linked", { ...touched, payload: "next", version: 2 }, 1), "ok");
      await context.holds("linked", { ...touched, payload: "next", version: 2 });
      deepEqual(await handlesOf(context.second, { link: "sid" }), ["linked"]);
    },
    "list and count select the sessions of one link": async (context) => {
      const { first, second } = context;
      await populate(context);
      deepEqual(await handlesOf(second, { link: "one" }), ["b", "a"]);
      deepEqual(await handlesOf(second, { link: "two" }), ["c"]);
      deepEqual(await handlesOf(second, { userId: "ann" }), ["c", "a"]);
      equal(await first.count({ link: "one" }), 2);
      equal(await first.count({ link: "two" }), 1);
      deepEqual(await second.list({ link: "none" }), { sessions: [] });
      equal(await second.count({ link: "none" }), 0);
      const [session] = (await first.list({ link: "two" })).sessions;
      deepEqual(session, { handle: "c", ...(await second.load("c")) });
    },
    "a link is no user, and a user no link": async ({ first, second, ...context }) => {
      const { clock } = context;
      const record: SessionRecord = {
        ...{ payload: "", version: 1, secretHash: "hash", userId: "user", link: "link" },
        ...{ createdAt: clock.now(), touchedAt: clock.now(), expiresAt: clock.now() + 60_000 },
      };
      await first.create("handle", record);
      for (const query of [{ userId: "link" }, { link: "user" }]) {
        deepEqual(await handlesOf(second, query), []);
        equal(await second.count(query), 0);
        equal(await second.deleteAll(query), 0);
      }
      deepEqual(await handlesOf(second), ["handle"]);
    },
    "a user and a link at once are refused, and nothing is deleted": async (context) => {
      const { first } = context;
      const record = await context.create("handle", { userId: "user", link: "link" });
      const query = { userId: "user", link: "link" };
      const refused = { name: "TypeError" };
      await rejects(async () => first.list(query), refused);
      await rejects(async () => first.count(query), refused);
      await rejects(async () => first.deleteAll(query), refused);
      await context.holds("handle", record);
    },
    "similar links are different links, of up to 255 bytes": async (context) => {
      const { first, second } = context;
      for (const [n, link] of similarLinks.entries()) await context.create(`handle${n}`, { userId: "user", link });
      for (const [n, link] of similarLinks.entries()) {
        const { sessions } = await second.list({ link });
        deepEqual(
          sessions.map((session) => [session.handle, session.link]),
          [[`handle${n}`, link]],
        );
        equal(await second.count({ link }), 1);
      }
      equal(await first.deleteAll({ link: "sid" }), 1);
      equal(await second.count(), similarLinks.length - 1);
    },
    "expired sessions of a link are neither listed nor counted": async (context) => {
      await context.create("short", { link: "sid", userId: "user", expiresAt: context.clock.now() + 1 });
      await context.create("long", { link: "sid", userId: "user" });
      context.clock.advance(1);
      deepEqual(await handlesOf(context.second, { link: "sid" }), ["long"]);
      equal(await context.second.count({ link: "sid" }), 1);
      equal(await context.first.deleteAll({ link: "sid" }), 1);
    },
    "lists every session of a link once, in pages": async (context) => {
      const now = context.clock.now();
      const all = Array.from({ length: 23 }, (_, n) => `handle${n}`);
      for (const [n, handle] of all.entries()) {
        await context.create(handle, { userId: `user${n % 3}`, link: n % 2 ? "odd" : "even", touchedAt: now - n });
      }
      for (const [link, rest] of [
        ["even", 0],
        ["odd", 1],
      ] as const) {
        const found = await pages(context.second, { link, limit: 4 });
        equal(found.length, 3);
        deepEqual(
          found.flat().map(({ handle }) => handle),
          all.filter((_, n) => n % 2 === rest),
        );
      }
    },
    "deleteAll deletes all sessions of one link only, and returns their number": async (context) => {
      await populate(context);
      equal(await context.first.deleteAll({ link: "one" }), 2);
      deepEqual((await handlesOf(context.second)).toSorted(), ["anonymous", "c", "d"]);
      equal(await context.second.deleteAll({ link: "one" }), 0);
      equal(await context.second.count({ userId: "ann" }), 1);
      await context.holds("a", undefined);
    },
    "deleteAll of a link keeps the session under except": async (context) => {
      await populate(context);
      const spared = await context.first.load("a");
      equal(await context.second.deleteAll({ link: "one", except: "a" }), 1);
      await context.holds("a", spared);
      deepEqual(await handlesOf(context.first, { link: "one" }), ["a"]);
      equal(await context.first.deleteAll({ link: "one", except: "c" }), 1);
      deepEqual((await handlesOf(context.second)).toSorted(), ["anonymous", "c", "d"]);
    },
    "deleteAll deletes 1,200 sessions of a link": async (context) => {
      const record = context.record({ userId: "user", link: "sid" });
      await Promise.all(Array.from({ length: 1_200 }, (_, n) => context.first.create(`handle${n}`, record)));
      await context.create("theirs", { userId: "user", link: "other" });
      equal(await context.second.deleteAll({ link: "sid", except: "handle600" }), 1_199);
      deepEqual((await handlesOf(context.second)).toSorted(), ["handle600", "theirs"]);
    },
    "replace moves a session from one link to another, or to none": async (context) => {
      const { first, second } = context;
      await context.create("old", { userId: "user", link: "before" });
      const next = context.record({ userId: "user", link: "after", secretHash: "next" });
      equal(await accessTo(first).replace("old", 1, "new", next), "ok");
      await context.holds("new", next);
      deepEqual(await handlesOf(second, { link: "before" }), []);
      deepEqual(await handlesOf(second, { link: "after" }), ["new"]);
      equal(await first.deleteAll({ link: "before" }), 0);
      const plain = context.record({ userId: "user", secretHash: "plain" });
      equal(await accessTo(second).replace("new", 1, "plain", plain), "ok");
      await context.holds("plain", plain);
      equal(await first.count({ link: "after" }), 0);
      equal(await first.deleteAll({ link: "after" }), 0);
      const last = context.record({ link: "last", secretHash: "last" });
      equal(await accessTo(first).replace("plain", 1, "last", last), "ok");
      deepEqual(await handlesOf(second, { link: "last" }), ["last"]);
      equal(await first.deleteAll({ link: "last" }), 1);
      deepEqual(await second.list({}), { sessions: [] });
    },
    "a deleted, ended or expired session leaves its link, and a reused handle has its new one": async (context) => {
      const { first, second } = context;
      for (const handle of ["deleted", "ended", "expired"])
        await context.create(handle, { userId: "user", link: "sid" });
      await first.delete("deleted");
      const ended = context.record({ userId: "user", link: "sid", version: 2, expiresAt: 0 });
      equal(await second.update("ended", ended, 1), "ok");
      deepEqual(await handlesOf(second, { link: "sid" }), ["expired"]);
      context.clock.advance(60_000);
      equal(await first.count({ link: "sid" }), 0);
      for (const handle of ["deleted", "ended", "expired"])
        await context.create(handle, { userId: "user", link: handle });
      deepEqual(await handlesOf(second, { link: "sid" }), []);
      deepEqual(await handlesOf(second, { link: "expired" }), ["expired"]);
      equal(await second.deleteAll({ link: "sid" }), 0);
      await first.prune();
      equal(await first.count({ link: "ended" }), 1);
    },
    "a concurrent replace does not save a session from deleteAll of its link": async (context) => {
      const { first, second } = context;
      for (let round = 0; round < 10; round++) {
        for (const handle of [`a${round}`, `m${round}`, `z${round}`]) {
          await context.create(handle, { userId: "user", link: "sid" });
        }
        const next = context.record({ userId: "user", link: "sid", secretHash: `new${round}` });
        await Promise.all([
          first.deleteAll({ link: "sid" }),
          accessTo(second).replace(`m${round}`, 1, round % 2 === 0 ? `b${round}` : `y${round}`, next),
        ]);
        deepEqual((await first.list({})).sessions, []);
        equal(await first.count({ link: "sid" }), 0);
      }
    },
  }),
];

/** Creates two links of one user, one link of two users, a session without a link, and an anonymous one. */
async function populate(context: CheckContext<IndexedStore>): Promise<void> {
  for (const [handle, different] of [
    ["a", { userId: "ann", link: "one" }],
    ["b", { userId: "bob", link: "one" }],
    ["c", { userId: "ann", link: "two" }],
    ["d", { userId: "bob" }],
    ["anonymous", {}],
  ] as const) {
    await context.create(handle, different);
    context.clock.advance(1);
  }
}
