import type { Awaitable } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import type { SessionContext } from "./context.ts";
import type { Actor, ActorMeta, SessionMeta } from "./meta.ts";
import { endSession } from "./rotated-handles.ts";
import type { SessionState } from "./state.ts";
import type { StoreAccess } from "./store-access.ts";

/** A session in which somebody acts as its user; `impersonation.ts` says how it begins and ends. */

/** Returns who acts in a session, as applications see it. */
export function actorOf({ actor }: SessionMeta): Actor | null {
  if (actor === undefined) return null;
  const { userId, reason, since } = actor;
  return Object.freeze({ userId, reason, since: new Date(since) });
}

/** Returns whether the session of the one who acts is still there. */
export function isActing(access: StoreAccess, { session, userId }: ActorMeta): Awaitable<boolean> {
  return after(access.load(session), (parked) => parked?.userId === userId);
}

/** Ends the session of the one who acts, and so the impersonation, if this is one. */
export function endImpersonation(context: SessionContext, state: SessionState): Awaitable<void> {
  const { actor } = state.content.meta;
  if (actor === undefined) return undefined;
  return after(endSession(context.access, actor.session), () => reportEnd(context, state, actor));
}

export function reportEnd({ parts }: SessionContext, { handle, record }: SessionState, actor: ActorMeta): void {
  const { userId: actorId, reason } = actor;
  parts.events.emit("impersonation-ended", { handle, userId: record.userId ?? "", actorId, reason });
}
