import assert from "node:assert/strict";
import type { SessionRecord } from "../../src/index.ts";
import type { Reply } from "../support/client.ts";
import { IDLE_MS, type Operation, REMEMBERED_MS, USER } from "./operations.ts";

/** What must be true after any operations on one session, in whatever order they went. */

/** What became of one operation. */
export interface Outcome {
  operation: Operation;
  by: string;
  /** `undefined` for what is no request. */
  reply: Reply | undefined;
  /** Whether the request found the session. */
  opened: boolean;
  /** The store's last answer to an update of the session. */
  update: unknown;
  /** Whether it was told that the session had ended. */
  dropped: boolean;
  acknowledged: boolean;
}

/** What a client sees with a token. */
export interface Look {
  isNew: boolean;
  handle: string;
  userId: string | null;
  data: Record<string, unknown>;
  messages: unknown[];
}

export interface Finish {
  /** The one that all came with. */
  token: string;
  outcomes: Outcome[];
  old: Look;
  record: SessionRecord | undefined;
  /** What is seen with the tokens that were sent meanwhile. */
  issued: Map<string, Look>;
  /** Everything that is stored. */
  live: string[];
  /** What reached the error handler. */
  errors: unknown[];
  /** When the operations began, and when all of them had ended: a retry that pauses takes time. */
  began: number;
  now: number;
}

export function assertTruth(finish: Finish): void {
  assertEnded(finish);
  assertSuccessors(finish);
  const { old, issued, live, errors } = finish;
  const opened = [old, ...issued.values()].filter(({ isNew }) => !isNew).map(({ handle }) => handle);
  assert.deepEqual(live.toSorted(), opened.sort(), "what is stored is not what the clients can open");
  for (const outcome of finish.outcomes) assertAnswer(outcome, finish);
  assert.ok(
    errors.every((error) => error instanceof Error && error.name === "SojournError"),
    "an error that is not the library's own",
  );
}

/** After an acknowledged end the session never opens again; without one it lives, with everything that was confirmed. */
function assertEnded({ old, record, outcomes, began, now }: Finish): void {
  const ended = outcomes.some(({ operation, acknowledged }) => operation.ends && acknowledged);
  assert.equal(old.isNew, ended, ended ? "an ended session opens" : "a session opens no more, though nobody ended it");
  assert.equal(record === undefined, ended, "what the store says of the session");
  if (ended) return;
  assert.equal(old.userId, USER);
  assertCarries(old, outcomes);
  const persisted = outcomes.some(({ operation, update }) => operation.changes === "lifetime" && update === "ok");
  const used = outcomes.some(({ operation }) => ["touch", "due", "write", "update"].includes(operation.name));
  if (persisted || used) {
    const from = (record?.expiresAt ?? 0) - (persisted ? REMEMBERED_MS : IDLE_MS);
    const problem = persisted ? "persist was forgotten" : "the use was not written down";
    assert.ok(began <= from && from <= now, `${problem}: it counts from ${from - began} ms of ${now - began}`);
  } else if (outcomes.every(({ operation }) => ["poll", "export"].includes(operation.name))) {
    assert.ok(record !== undefined && record.expiresAt < now + IDLE_MS, "what is no use lengthened the session");
  }
}

/** One successor at most goes on with what the session held; any other begins with nothing. */
function assertSuccessors({ token, old, issued, outcomes }: Finish): void {
  const heir = replacerOf(outcomes);
  for (const outcome of outcomes) {
    const { operation, reply } = outcome;
    if (reply === undefined || typeof reply.cookie === "string" || reply.cookie.token === token) continue;
    const look = issued.get(reply.cookie.token);
    if (look === undefined || look.isNew) continue;
    if (outcome === heir && operation.replaces !== "nothing") {
      assert.equal(look.userId, USER);
      assertCarries(look, outcomes);
    } else {
      assert.equal(look.data["base"], undefined, "the data of an ended session came back");
      assert.equal(look.userId, operation.name === "login" ? USER : null, "a login without a login");
    }
  }
  // A new handle doesn't save a session from being ended: after a logout nobody is logged in, except by a login.
  const leaving = outcomes.some(({ operation, acknowledged }) => operation.endsHeirs && acknowledged);
  if (leaving && heir?.operation.replaces === "all") {
    const look = typeof heir.reply?.cookie === "object" ? issued.get(heir.reply.cookie.token) : undefined;
    assert.equal(look?.isNew ?? true, true, "a regenerated session outlived its end");
  }
  const holders = [old, ...issued.values()].filter(({ data }) => data["base"] !== undefined);
  assert.ok(holders.length <= 1, "two handles of one lineage open");
}

/** What the store confirmed is in `look`, which goes on where the session was. */
function assertCarries({ data, messages }: Look, outcomes: Outcome[]): void {
  const confirmed = outcomes.filter(({ operation, update }) => operation.changes !== undefined && update === "ok");
  assert.equal(data["base"], "kept");
  const counted = confirmed.filter(({ operation }) => operation.changes === "counter").length;
  assert.equal(data["n"], counted, "updates of a counter were lost");
  for (const { operation, by } of confirmed) {
    if (operation.changes === "property") assert.equal(data[`p${by}`], 1, `the update of ${by} was lost`);
    if (operation.changes === "message") assert.ok(messages.includes(`p${by}`), `the message of ${by} was lost`);
  }
}

/** Which operation put another session in the place of this one. */
function replacerOf(outcomes: Outcome[]): Outcome | undefined {
  const replacers = outcomes.filter(({ operation, update }) => operation.replaces !== undefined && update === "ok");
  assert.ok(replacers.length <= 1, "one session was replaced twice");
  return replacers[0];
}

/** The answer tells the truth, and its cookie too. */
function assertAnswer(outcome: Outcome, finish: Finish): void {
  const { operation, reply, opened, update, dropped, acknowledged } = outcome;
  if (reply === undefined) return;
  const others = finish.outcomes.filter((other) => other !== outcome);
  const otherEnded = others.some((other) => other.operation.ends && other.acknowledged);
  if (reply.status !== 200) {
    assert.equal(reply.status, 409);
    assert.equal(reply.json()["code"], "SESSION_GONE");
    // Its token was of a session that another request had just replaced: nothing new is begun for it, and save() says so.
    const cameLate = !opened && others.some((other) => other.operation.replaces !== undefined);
    assert.ok((opened && otherEnded) || cameLate, "an error without a reason");
  }
  if (!opened) return;
  if (operation.changes !== undefined && reply.status === 200) {
    const mayBeDropped = !["save", "update"].includes(operation.name) && update === "gone" && otherEnded;
    assert.ok(update === "ok" || mayBeDropped, "a success that was not saved");
  }
  if (operation.name === "destroy") assert.notEqual(typeof reply.cookie, "string");
  else if (dropped && !(operation.name === "login" && acknowledged)) {
    // The client may have a new token, or be about to get one.
    assert.equal(reply.cookie, "kept", "the cookie of a dropped write");
    return;
  }
  assertCookie(operation, reply, finish);
}

function assertCookie({ name, replaces }: Operation, { cookie }: Reply, { token, outcomes }: Finish): void {
  // Its time may have run out before the commit at the end: then there is nothing to send.
  if (cookie === "kept" && replaces !== undefined && outcomes.some(({ operation }) => operation.name === "expire"))
    return;
  if (name === "logout" || name === "logout-everywhere") assert.equal(cookie, "cleared");
  else if (name === "persist") assert.deepEqual(cookie, { token });
  else if (name === "destroy" || replaces !== undefined) assert.notEqual(typeof cookie, "string");
  else assert.equal(cookie, "kept");
}
