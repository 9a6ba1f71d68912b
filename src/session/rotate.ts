import { goneError, undeliverableError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { type Content, EMPTY, merge, NO_CHANGES } from "./content.ts";
import { refuseIfReplaced, requireDone, type SessionContext, type SessionParts } from "./context.ts";
import type { Rotation } from "./rotation.ts";
import type { LoginOptions, RegenerateOptions } from "./session-interface.ts";
import type { SessionState } from "./state.ts";
import { parseDuration } from "./timeouts.ts";
import { checkedUserId } from "./user-id.ts";

/** Login and regeneration: a new session replaces the current one, which ends with the commit. */

/** Everything, nothing, or these properties. */
type Kept = boolean | ReadonlySet<string>;

/** What the new session takes over from the old one. */
interface Plan {
  readonly kind: Rotation["kind"];
  readonly userId: string | null;
  readonly createdAt: number;
  readonly kept: Kept;
  carry(content: Content): Content;
}

export function login(
  context: SessionContext,
  state: SessionState,
  userId: string,
  options: LoginOptions,
): Awaitable<void> {
  checkedUserId(userId, "login(userId)");
  const { remember = false, device, keep } = options;
  const { clock, deviceOf } = context.parts;
  const now = clock.now();
  const endsAt = remember === false ? undefined : now + parseDuration(remember, "remember");
  const wanted = keep === undefined ? undefined : keepOption(keep, "login");
  const shown = { ...deviceOf(context.request.request), ...(typeof device === "string" ? { label: device } : device) };
  return rotate(context, state, () => {
    // Another user's cart must not enter this user's session, unless the application asks for it.
    const isAnother = state.record.userId !== null && state.record.userId !== userId;
    const kept = wanted ?? !isAnother;
    const carry = (content: Content): Content => {
      const { encoded, meta } = keepOf(content, kept);
      const { flash } = meta;
      return {
        encoded,
        meta: { device: shown, ...(flash !== undefined && { flash }), ...(endsAt !== undefined && { endsAt }) },
      };
    };
    return { kind: "login", userId, createdAt: now, kept, carry };
  });
}

export function regenerate(
  context: SessionContext,
  state: SessionState,
  { keep = false }: RegenerateOptions,
): Awaitable<void> {
  const kept = keepOption(keep, "regenerate");
  return rotate(context, state, () => {
    const { userId, createdAt } = state.record;
    return {
      kind: "regenerate",
      userId: kept === true ? userId : null,
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
function rotate(context: SessionContext, old: SessionState, planned: () => Plan): Awaitable<void> {
  context.refuseIfUnusable(old);
  const { delivery, isHeld } = context.request;
  if (delivery === "headers-sent") throw undeliverableError();
  return context.queue.run(() => {
    // An operation in between may have replaced it.
    refuseIfReplaced(old);
    // Only one rotation at a time can be pending, so this stores an earlier one first.
    const earlier = old.rotation === undefined ? undefined : context.store(old, delivery);
    return after(earlier, () => {
      const next = begin(context, old, planned());
      if (isHeld) return remember(context);
      return after(context.store(next, delivery), (commit) => requireDone(commit, delivery));
    });
  });
}

function begin(context: SessionContext, old: SessionState, plan: Plan): SessionState {
  const { kind, kept, userId, createdAt } = plan;
  const isLogin = kind === "login";
  const isEnded = old.status === "ended";
  // Even with nothing kept: applications copy a user by hand, and would revive a revoked login.
  if (isEnded && !isLogin) throw goneError();
  const carry = (content: Content): Content => context.stamped(plan.carry(content));
  const base = isEnded ? EMPTY : old.content;
  const changes = old.collect() ?? NO_CHANGES;
  const content = carry(merge(base, changes));
  const previous = old.status === "stored" ? { handle: old.handle, secret: old.secret, record: old.record } : undefined;
  const isSame = kind === "regenerate" && kept === true;
  const rotation =
    isLogin || previous !== undefined ? { kind, previous, content: base, changes, carry, isSame } : undefined;
  const isCurrent = context.state === old;
  if (isCurrent) context.late = isLogin ? undefined : context.late;
  if (isLogin || kept !== false) {
    old.rotate(changes, rotation, context.blankRecord(userId, createdAt), content);
    if (context.farewell === old) context.farewell = undefined;
    return old;
  }
  const next = context.blank(content, context.blankRecord(userId, createdAt));
  next.rotation = rotation;
  old.status = "ended";
  old.replacedBecause = "this session was replaced by regenerate() in this request; write to req.session, the new one";
  if (isCurrent) context.state = next;
  return next;
}

/** Returns the part of a session that its successor takes over. */
function keepOf(content: Content, kept: Kept): Content {
  if (kept === true) return content;
  if (kept === false) return EMPTY;
  const { device: _, ...meta } = content.meta;
  return { meta, encoded: new Map([...content.encoded].filter(([name]) => kept.has(name))) };
}

/** @throws TypeError for anything but a boolean or a list of names */
function keepOption(keep: unknown, method: string): Kept {
  if (typeof keep === "boolean") return keep;
  if (Array.isArray(keep) && keep.every((name) => typeof name === "string")) return new Set<string>(keep);
  throw new TypeError(`${method}({ keep }): keep must be true, false or a list of property names`);
}

/** How many contexts may be remembered before the settled ones are dropped. */
const MOST_SETTLED = 64;

function remember(context: SessionContext): void {
  const { pending } = context.parts;
  if (pending.length >= MOST_SETTLED && pending.length % MOST_SETTLED === 0) {
    const open = pending.filter((one) => one.deref()?.state.rotation !== undefined);
    pending.splice(0, pending.length, ...open);
  }
  pending.push(new WeakRef(context));
}

/**
 * Stores the pending logins and regenerations that concern a user or a handle. So a query about
 * sessions after `await login()` includes that login, although it reaches the store only with the
 * response.
 */
export async function storePending(
  { pending }: SessionParts,
  { userId, handle }: { userId?: string; handle?: string },
): Promise<void> {
  for (const one of [...pending]) {
    const context = one.deref();
    if (context?.state.rotation === undefined || context.request.isOver) continue;
    const { state, request } = context;
    const { previous } = context.state.rotation;
    const concerns =
      userId === undefined
        ? state.handle === handle || previous?.handle === handle
        : state.record.userId === userId || previous?.record.userId === userId;
    if (!concerns) continue;
    try {
      await context.queue.run(() => context.store(state, request.delivery));
    } catch {
      // The request's commit tries again, and reports the failure.
    }
  }
}
