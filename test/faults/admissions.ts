import { deepEqual, equal, ok } from "node:assert/strict";
import { SojournError } from "../../src/contract/errors.ts";
import {
  type Admission,
  type AdmissionResult,
  encodeTombstone,
  type IndexedStore,
  tombstoneHandle,
} from "../../src/contract/store.ts";
import { canAdmit } from "../../src/testing/conformance/check.ts";
import type { Fault, FaultProxy } from "../support/servers/proxy.ts";
import { recordAt } from "../support/sql-records.ts";

/** How many sessions a user may have in these tests. */
const LIMIT = 2;

/** What is stored of a login that revokes two sessions and replaces a third one: nothing of it, or all. */
export const NOTHING = ["old0", "old1", "old2", "anonymous"];
export const ALL = ["old2", "new", "tombstone"];

/** Stores a user's three sessions, and an anonymous one. Returns a login that ends three of the four. */
export async function beforeLogin(store: IndexedStore, userId: string): Promise<Admission> {
  const now = Date.now();
  for (const [n, name] of NOTHING.entries()) {
    const record = recordAt(now + n, { userId: name === "anonymous" ? null : userId, secretHash: `${userId} ${name}` });
    equal(await store.create(`${userId}.${name}`, record), true);
  }
  const [handle, replaced] = [`${userId}.new`, `${userId}.anonymous`];
  const session = { handle, ...recordAt(now + 10, { userId, secretHash: `${userId} new` }) };
  const payload = encodeTombstone({ secretHash: `${userId} anonymous`, successors: [handle] });
  const note = { handle: tombstoneHandle(replaced), ...recordAt(now, { userId: null, payload, secretHash: "note" }) };
  const replaces = { handle: replaced, expectedVersion: 1, tombstone: note };
  return { session, limit: LIMIT, exceed: "revoke-oldest", replaces };
}

/** Returns what is stored of a login, as {@link NOTHING} and {@link ALL} name it. */
export async function storedOf(store: IndexedStore, { session, replaces }: Admission): Promise<string[]> {
  const handles = [...new Set([...NOTHING, ...ALL])].map((name): [string, string] => [
    name,
    `${session.userId}.${name}`,
  ]);
  const places = new Map([...handles, ["tombstone", replaces?.tombstone?.handle ?? ""]]);
  const found: string[] = [];
  for (const [name, handle] of places) if ((await store.load(handle)) !== undefined) found.push(name);
  return found;
}

/** Another login of the user, which replaces nothing. */
export function loginOf(userId: string, name: string, different: Partial<Admission> = {}): Admission {
  const record = recordAt(Date.now() + 20, { userId, secretHash: `${userId} ${name}` });
  return { session: { handle: `${userId}.${name}`, ...record }, limit: LIMIT, exceed: "revoke-oldest", ...different };
}

export async function admit(store: IndexedStore, admission: Admission): Promise<AdmissionResult> {
  if (!canAdmit(store)) throw new Error("this store has no admit");
  return store.admit(admission);
}

/**
 * Repeats a login that is cut off at its first step, then one at its second step, until one comes to its end before.
 *
 * @param login is called with the number of the step; `meanwhile` runs what is cut off
 * @returns how many steps there are
 */
export async function eachStep(
  proxy: FaultProxy,
  cut: { from: "client" | "server"; next: Fault },
  login: (step: number, meanwhile: <T>(work: () => Promise<T>) => Promise<T>) => Promise<void>,
): Promise<number> {
  for (let step = 1, wasReached = true; ; step++) {
    await login(step, async (work) => {
      proxy.fault = { kind: "cut", ...cut, roundTrip: proxy.roundTrips + step };
      try {
        return await work();
      } finally {
        wasReached = proxy.fault.kind !== "cut";
        proxy.fault = { kind: "pass" };
      }
    });
    if (!wasReached) return step - 1;
    ok(step < 30);
  }
}

/** What clients were told of their logins while a server got into trouble. */
interface Told {
  admission: Admission & { userId: string };
  result: AdmissionResult | undefined;
}

const USERS = 12;
/** Half of the users are refused a session too many; of the others the oldest one is revoked. */
const USER_IDS = Array.from({ length: USERS }, (_, n) => `${n % 2 ? "refused" : "revoked"}${n}`);

/**
 * Logs users in, each from three places at once, until a server is in trouble and every login has been answered.
 *
 * @param trouble is called in the middle
 */
export async function loginUntil(store: IndexedStore, trouble: () => Promise<void>): Promise<Told[]> {
  const told: Told[] = [];
  let isOver = false;
  let answers = 0;
  let enough: () => void = () => {};
  const underWay = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const visit = async (userId: string, place: number): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const exceed = userId.startsWith("refused") ? "refuse" : "revoke-oldest";
      const admission = { ...loginOf(userId, `${place}.${n}`, { exceed }), userId };
      const entry: Told = { admission, result: undefined };
      told.push(entry);
      try {
        entry.result = await admit(store, admission);
      } catch (error) {
        ok(error instanceof SojournError && /^STORE_(UNAVAILABLE|TIMEOUT)$/.test(error.code), String(error));
        // The trouble has begun.
        isOver = true;
      }
      if (++answers === 100) enough();
    }
  };
  const visits = Promise.all(USER_IDS.flatMap((userId) => [0, 1, 2].map((place) => visit(userId, place))));
  await Promise.race([underWay, visits]);
  await trouble();
  await visits;
  return told;
}

/** The limit holds, whatever was acknowledged and not revoked is there, whole, and each user can log in. */
export async function checkLogins(store: IndexedStore, told: readonly Told[]): Promise<void> {
  for (const userId of USER_IDS) {
    const mine = told.filter(({ admission }) => admission.userId === userId);
    const { sessions } = await store.list({ userId });
    ok(sessions.length <= LIMIT, `${userId} has ${sessions.length} sessions`);
    const records = new Map(mine.map(({ admission: { session } }) => [session.handle, session]));
    for (const session of sessions) deepEqual(session, records.get(session.handle));
    const left = new Set(sessions.map(({ handle }) => handle));
    const revoked = new Set(mine.flatMap(({ result }) => (result?.result === "ok" ? result.revoked : [])));
    // A login that failed, or that was repeated, may have revoked one session that nobody was told of.
    let untold = 0;
    let missing = 0;
    for (const { admission, result } of mine) {
      const { handle } = admission.session;
      if (result === undefined) untold++;
      else if (result.result === "ok") {
        if (result.revoked.length === 0) untold++;
        if (!left.has(handle) && !revoked.has(handle)) missing++;
        ok(!(left.has(handle) && revoked.has(handle)), `${handle} was revoked`);
      } else {
        equal(result.result, "limit");
        ok(!left.has(handle), `${handle} was refused`);
      }
    }
    if (userId.startsWith("refused")) deepEqual([missing, revoked.size], [0, 0]);
    else ok(missing <= untold, `${userId}: ${missing} missing, ${untold} untold`);
    equal((await admit(store, loginOf(userId, "last"))).result, "ok");
    ok((await store.list({ userId })).sessions.length <= LIMIT);
  }
  ok(
    told.some(({ result }) => result === undefined),
    "the trouble met logins",
  );
}
