import { goneError, SojournError, undeliverableError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, recover } from "../contract/time.ts";
import { type Changes, type Content, EMPTY, merge, NO_CHANGES } from "./content.ts";
import { refuseIfReplaced, requireDone, type SessionContext } from "./context.ts";
import { listDevices } from "./devices.ts";
import { remember } from "./pending.ts";
import type { Room } from "./policy.ts";
import { withDevices } from "./refusals.ts";
import { endSession } from "./rotated-handles.ts";
import type { Rotation } from "./rotation.ts";
import type { RegenerateOptions } from "./session-interface.ts";
import type { SessionState } from "./state.ts";

/** Rotation: a new session replaces the current one, which ends with the commit. */

/** Everything, nothing, or these properties. */
export type Kept = boolean | ReadonlySet<string>;

/** What the new session takes over from the old one. */
export interface Plan {
  readonly kind: Rotation["kind"];
  readonly userId: string | null;
  readonly createdAt: number;
  readonly link: string | undefined;
  readonly kept: Kept;
  /** What the new session may take of its user's limit; `undefined` if there is none. */
  readonly room?: Room | undefined;
  carry(content: Content): Content;
}

export function regenerate(
  context: SessionContext,
  state: SessionState,
  { keep = false }: RegenerateOptions,
): Awaitable<void> {
  const kept = keepOption(keep, "regenerate");
  return rotate(context, state, () => {
    const { userId, createdAt, link } = state.record;
    return {
      kind: "regenerate",
      userId: kept === true ? userId : null,
      link: kept === true ? link : undefined,
      // Data that is kept keeps its age, or regeneration would extend its life forever.
      createdAt: kept === false ? context.parts.clock.now() : createdAt,
      kept,
      carry: (content) => keepOf(content, kept),
    };
  });
}

/**
 * Replaces a session with the next commit, or at once if no response waits for a commit.
 *
 * The object that handlers hold becomes the new session, unless the new session keeps nothing:
 * later writes to the old session must not enter it.
 */
export function rotate(context: SessionContext, old: SessionState, planned: () => Awaitable<Plan>): Awaitable<void> {
  context.refuseIfUnusable(old);
  const { delivery, isHeld } = context.request;
  if (delivery === "headers-sent") throw undeliverableError();
  return context.queue.run(() => {
    // An operation in between may have replaced it.
    refuseIfReplaced(old);
    // Only one rotation at a time can be pending, so this stores an earlier one first.
    const earlier = old.rotation === undefined ? undefined : context.store(old, delivery);
    return after(
      after(earlier, () => planned()),
      (plan) => {
        refuseIfReplaced(old);
        // Nothing is stored without a cookie, so there is nothing to refuse.
        if (plan.room?.exceed === "refuse" && delivery === "possible") return storeFirst(context, old, plan);
        const next = begin(context, old, plan);
        if (isHeld) return remember(context);
        return after(context.store(next, delivery), (commit) => requireDone(commit, delivery));
      },
    );
  });
}

/** A new session that is not stored yet. */
interface Prepared {
  readonly changes: Changes;
  readonly rotation: Rotation | undefined;
  readonly record: SessionRecord;
  readonly content: Content;
}

export function prepare(context: SessionContext, old: SessionState, plan: Plan): Prepared {
  const { kind, kept, userId, createdAt, link, room } = plan;
  const isLogin = kind === "login";
  const isEnded = old.status === "ended";
  // Even with nothing kept: applications copy a user by hand, and would revive a revoked login.
  if (isEnded && !isLogin) throw goneError();
  const carry = (content: Content): Content => context.stamped(plan.carry(content));
  const base = isEnded ? EMPTY : old.content;
  const changes = old.collect() ?? NO_CHANGES;
  const previous = old.status === "stored" ? { handle: old.handle, secret: old.secret, record: old.record } : undefined;
  const isSame = !isLogin && kept === true;
  const rotation =
    isLogin || previous !== undefined ? { kind, previous, content: base, changes, carry, isSame, room } : undefined;
  const record = context.blankRecord(userId, createdAt, link);
  return { changes, rotation, record, content: carry(merge(base, changes)) };
}

function begin(context: SessionContext, old: SessionState, plan: Plan): SessionState {
  const { changes, rotation, record, content } = prepare(context, old, plan);
  const isLogin = plan.kind === "login";
  const isCurrent = context.state === old;
  if (isCurrent) context.late = isLogin ? undefined : context.late;
  if (isLogin || plan.kept !== false) {
    old.rotate(changes, rotation, record, content);
    if (context.farewell === old) context.farewell = undefined;
    return old;
  }
  const next = context.blank(content, record);
  next.rotation = rotation;
  old.status = "ended";
  old.replacedBecause = "this session was replaced by regenerate() in this request; write to req.session, the new one";
  if (isCurrent) context.state = next;
  return next;
}

/**
 * Stores a login before the session becomes it. If the store refuses the login, the request goes on
 * as before.
 */
function storeFirst(context: SessionContext, old: SessionState, plan: Plan): Awaitable<void> {
  const { access, parts } = context;
  const { changes, rotation, record, content } = prepare(context, old, plan);
  const next = context.blank(content, record);
  next.rotation = rotation;
  const stored = recover(
    () => parts.committer.commit(access, next, "possible"),
    async (error) => {
      if (!(error instanceof SojournError) || error.code !== "TOO_MANY_SESSIONS") throw error;
      throw withDevices(error, await listDevices(parts, access, { userId: plan.userId ?? "" }));
    },
  );
  return after(stored, (commit) => {
    requireDone(commit, "possible");
    // A logout of the same request came meanwhile, and must not be undone.
    if (old.replacedBecause !== undefined) return after(endSession(access, next.handle), () => refuseIfReplaced(old));
    old.rotate(changes, undefined, record, content);
    old.rename(next.handle, next.secret);
    old.settle(next.record, next.content);
    if (context.state === old) context.late = undefined;
    context.apply(old, commit);
  });
}

/** Returns the part of a session that its successor takes over. */
export function keepOf(content: Content, kept: Kept): Content {
  if (kept === true) return content;
  if (kept === false) return EMPTY;
  // Without its user, nothing of the login is left but its latest end.
  const { device, authenticatedAt, methods, stamp, actor, parked, ...meta } = content.meta;
  return { meta, encoded: new Map([...content.encoded].filter(([name]) => kept.has(name))) };
}

/** @throws TypeError for anything but a boolean or a list of names */
export function keepOption(keep: unknown, method: string): Kept {
  if (typeof keep === "boolean") return keep;
  if (Array.isArray(keep) && keep.every((name) => typeof name === "string")) return new Set<string>(keep);
  throw new TypeError(`${method}({ keep }): keep must be true, false or a list of property names`);
}
