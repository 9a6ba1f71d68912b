import { goneError, SojournError, undeliverableError } from "../contract/errors.ts";
import { type Awaitable, leaveTombstone } from "../contract/store.ts";
import { after, recover } from "../contract/time.ts";
import { hashSecret } from "../crypto/token.ts";
import { endImpersonation, reportEnd } from "./acting.ts";
import { type Content, NO_CHANGES } from "./content.ts";
import { refuseIfReplaced, requireDone, type SessionContext } from "./context.ts";
import type { ActorMeta } from "./meta.ts";
import { impersonatingError, notLoggedInError } from "./refusals.ts";
import { prepare } from "./rotate.ts";
import { endSession, tombstoneOf } from "./rotated-handles.ts";
import type { ImpersonateOptions } from "./session-interface.ts";
import type { SessionState } from "./state.ts";
import type { Stored } from "./store-access.ts";
import { expiryOf, parseDuration } from "./timeouts.ts";
import { checkedUserId } from "./user-id.ts";

/**
 * Impersonation: somebody acts as another user for a while.
 *
 * The actor's own session is parked: it gets a new handle, and a secret that is thrown away, so that
 * no token opens it. It stays among the actor's sessions. The client gets a second session, of the
 * other user, whose metadata names the parked one. Every request that opens it looks whether the
 * parked one is still there. So whatever ends the actor's session ends the impersonation, in every
 * store: `revokeAll`, `revoke`, a link, or the session's time.
 */

/** The longest reason, in UTF-16 units. */
const LONGEST_REASON = 1_000;

const NOT_SEALED =
  "impersonate(userId): a sealed session lives in its cookie, and can't wait on the server for the end of an impersonation; keep sessions in a store, such as new SqliteStore(file)";

export function impersonate(
  context: SessionContext,
  state: SessionState,
  userId: string,
  { reason, for: length = "30m" }: Partial<ImpersonateOptions>,
): Awaitable<void> {
  checkedUserId(userId, "impersonate(userId)");
  if (typeof reason !== "string" || reason.trim() === "" || reason.length > LONGEST_REASON) {
    throw new TypeError(`impersonate({ reason }): reason must be a text of at most ${LONGEST_REASON} characters`);
  }
  const ms = parseDuration(length || 0, "impersonate({ for })");
  if (context.parts.committer.carried !== undefined) throw new TypeError(NOT_SEALED);
  return inTurn(context, state, () => {
    const { record, content } = state;
    if (record.userId === null) throw notLoggedInError("impersonate");
    if (content.meta.actor !== undefined) throw impersonatingError("impersonate");
    if (record.userId === userId) throw new TypeError("impersonate(userId): this is the user who is logged in");
    return begin(context, state, { userId, actorId: record.userId, reason, ms });
  });
}

/** Runs work on a stored session that will be replaced at once, because it takes several calls. */
function inTurn(context: SessionContext, state: SessionState, work: () => Awaitable<void>): Awaitable<void> {
  context.refuseIfUnusable(state);
  const { delivery } = context.request;
  if (delivery !== "possible") throw undeliverableError();
  return context.queue.run(() => {
    refuseIfReplaced(state);
    const earlier = state.rotation === undefined ? undefined : context.store(state, delivery);
    return after(earlier, (commit) => {
      if (commit !== undefined) requireDone(commit, delivery);
      refuseIfReplaced(state);
      if (state.status === "ended") throw goneError();
      return work();
    });
  });
}

function begin(
  context: SessionContext,
  state: SessionState,
  { userId, actorId, reason, ms }: { userId: string; actorId: string; reason: string; ms: number },
): Awaitable<void> {
  const { access, parts } = context;
  const { committer, clock, limits, events } = parts;
  const { createdAt, link } = state.record;
  const now = clock.now();
  const lifetime = { ...state.content.meta, createdAt, endsAt: state.endsAt, absoluteFrom: state.absoluteFrom };
  // However idle the actor's session is, its other limits hold.
  const until = Math.min(now + ms, expiryOf(lifetime, now, { ...limits, idleMs: Number.POSITIVE_INFINITY }));
  const session = parts.tokens.handle();
  const carry = ({ encoded, meta }: Content): Content => {
    const parked = meta.endsAt === undefined ? { session } : { session, endsAt: meta.endsAt };
    return { encoded, meta: { ...meta, endsAt: until, parked } };
  };
  const plan = { kind: "regenerate", userId: actorId, createdAt, link, kept: true, carry } as const;
  const prepared = prepare(context, state, plan);
  const parked = context.blank(prepared.content, prepared.record);
  parked.rotation = prepared.rotation;
  const actor = { userId: actorId, reason, since: now, session: parked.handle };
  const device = parts.deviceOf(context.request.request);
  const acting = context.blank(
    { meta: { device, actor, notAfter: until }, encoded: new Map() },
    context.blankRecord(userId, now),
  );
  acting.rename(session);
  const park = (): Awaitable<void> =>
    after(committer.commit(access, parked, "possible"), (commit) => requireDone(commit, "possible"));
  const abandon = (error: unknown): never => {
    access.abandon(acting.handle);
    throw error;
  };
  const previous = state.handle;
  // The new one first. It opens nothing until the other one is parked.
  return after(committer.commit(access, acting, "possible"), () =>
    after(recover(park, abandon), () => {
      events.emit("impersonate", { handle: acting.handle, userId, actorId, reason, until: new Date(until), previous });
      return goOn(context, state, acting, "impersonate", () =>
        after(endSession(access, acting.handle), () => endImpersonation(context, acting)),
      );
    }),
  );
}

export function stopImpersonating(context: SessionContext, state: SessionState): Awaitable<void> {
  return inTurn(context, state, () => {
    const { actor } = state.content.meta;
    if (actor === undefined) {
      throw new SojournError("NOT_IMPERSONATING", "stopImpersonating needs a session in which somebody impersonates");
    }
    return after(context.access.reread(actor.session, actor.userId), (parked) => {
      if (parked !== undefined) return stop(context, state, actor, parked);
      context.apply(state, context.parts.committer.gone(state));
      throw goneError();
    });
  });
}

function stop(context: SessionContext, state: SessionState, actor: ActorMeta, parked: Stored): Awaitable<void> {
  const { access, parts } = context;
  const { committer, clock, tokens } = parts;
  const carry = ({ encoded, meta: { parked: was, endsAt: _, ...meta } }: Content): Content => ({
    encoded,
    meta: was?.endsAt === undefined ? meta : { ...meta, endsAt: was.endsAt },
  });
  const { content, record } = parked;
  const back = context.blank(carry(content), context.blankRecord(actor.userId, record.createdAt, record.link));
  // Nobody has the secret of a parked session.
  const previous = { handle: actor.session, secret: tokens.secret(), record };
  back.rotation = { kind: "regenerate", previous, content, changes: NO_CHANGES, carry, isSame: true };
  const old = { handle: state.handle, secretHash: hashSecret(state.secret) };
  const tombstone = tombstoneOf(old, back.handle, true, clock.now());
  // A late request with the token of the impersonation must not begin a session in its place.
  return after(
    access.commit("create", () => leaveTombstone(access.store, tombstone)),
    () =>
      after(committer.commit(access, back, "possible"), (commit) => {
        requireDone(commit, "possible");
        reportEnd(context, state, actor);
        // It opens nothing any more, so a failure costs nothing.
        const ended = recover(
          () => access.delete(state.handle),
          () => false,
        );
        return after(ended, () =>
          goOn(context, state, back, "stopImpersonating", () => endSession(access, back.handle)),
        );
      }),
  );
}

/** Makes another session, which is stored, the one of this request. */
function goOn(
  context: SessionContext,
  old: SessionState,
  next: SessionState,
  method: string,
  end: () => Awaitable<unknown>,
): Awaitable<void> {
  // A logout of the same request came meanwhile, and must not be undone.
  if (old.replacedBecause !== undefined) return after(end(), () => refuseIfReplaced(old));
  old.status = "ended";
  old.replacedBecause = `this session was replaced by ${method}() in this request; write to req.session, the new one`;
  context.state = next;
  context.cookie = "set";
}
