import { deepEqual, equal } from "node:assert/strict";
import type { IndexedStore } from "../../contract/store.ts";
import { type Check, type CheckContext, handlesOf, indexChecks } from "./check.ts";

export const bulk: readonly Check[] = indexChecks({
  "deleteAll deletes all sessions of one user only, and returns their number": async (context) => {
    await populate(context);
    equal(await context.first.deleteAll({ userId: "user" }), 3);
    deepEqual(await left(context), ["anonymous", "theirs"]);
    equal(await context.second.deleteAll({ userId: "user" }), 0);
  },
  "deleteAll keeps the session under except": async (context) => {
    await populate(context);
    equal(await context.first.deleteAll({ userId: "user", except: "mine2" }), 2);
    deepEqual(await left(context), ["anonymous", "mine2", "theirs"]);
  },
  "except has no effect if its session is missing or is another user's": async (context) => {
    await populate(context);
    equal(await context.first.deleteAll({ userId: "user", except: "unknown" }), 3);
    equal(await context.first.deleteAll({ userId: "other", except: "anonymous" }), 1);
    deepEqual(await left(context), ["anonymous"]);
  },
  "deleteAll without a user deletes all sessions": async (context) => {
    await populate(context);
    equal(await context.second.deleteAll({}), 5);
    deepEqual(await left(context), []);
    equal(await context.first.count(), 0);
  },
  "deleteAll without a user keeps the session under except unchanged": async (context) => {
    await populate(context);
    const spared = await context.first.load("mine1");
    equal(await context.second.deleteAll({ except: "mine1" }), 4);
    deepEqual(await left(context), ["mine1"]);
    await context.holds("mine1", spared);
    equal(await context.first.count({ userId: "user" }), 1);
  },
  "deleteAll does not count expired sessions": async (context) => {
    await populate(context);
    await context.create("short", { userId: "user", expiresAt: context.clock.now() + 1 });
    context.clock.advance(1);
    equal(await context.first.deleteAll({ userId: "user", except: "mine1" }), 2);
    await context.create("short", { userId: "user", expiresAt: context.clock.now() + 1 });
    context.clock.advance(1);
    equal(await context.first.deleteAll({ except: "mine1" }), 2);
    deepEqual(await left(context), ["mine1"]);
  },
  "except does not revive an expired session": async (context) => {
    await context.create("short", { userId: "user", expiresAt: context.clock.now() + 1 });
    context.clock.advance(1);
    equal(await context.first.deleteAll({ userId: "user", except: "short" }), 0);
    equal(await context.first.deleteAll({ except: "short" }), 0);
    await context.holds("short", undefined);
  },
  "deleteAll deletes 1,200 sessions of a user": async (context) => {
    const record = context.record({ userId: "user" });
    await Promise.all(Array.from({ length: 1_200 }, (_, n) => context.first.create(`handle${n}`, record)));
    await context.create("theirs", { userId: "other" });
    equal(await context.second.deleteAll({ userId: "user", except: "handle600" }), 1_199);
    deepEqual(await left(context), ["handle600", "theirs"]);
  },
  "deleteAll deletes 1,200 sessions of everyone, and counts the unexpired ones": async (context) => {
    const record = context.record();
    const short = context.record({ expiresAt: context.clock.now() + 1 });
    await Promise.all(
      Array.from({ length: 1_200 }, (_, n) => context.first.create(`handle${n}`, n < 100 ? short : record)),
    );
    context.clock.advance(1);
    equal(await context.second.deleteAll({ except: "handle600" }), 1_099);
    deepEqual(await left(context), ["handle600"]);
    equal(await context.second.deleteAll({}), 1);
    deepEqual(await left(context), []);
  },
});

/** Creates three sessions of one user, one of another user, and an anonymous one. */
async function populate(context: CheckContext<IndexedStore>): Promise<void> {
  for (const handle of ["mine1", "mine2", "mine3"]) await context.create(handle, { userId: "user" });
  await context.create("theirs", { userId: "other" });
  await context.create("anonymous");
}

async function left(context: CheckContext<IndexedStore>): Promise<string[]> {
  return (await handlesOf(context.second)).toSorted();
}
