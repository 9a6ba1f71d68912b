import { undeliverableError } from "../contract/errors.ts";
import type { Awaitable, SessionQuery } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { endImpersonation } from "./acting.ts";
import { refuseIfReplaced, type SessionContext, type SessionParts } from "./context.ts";
import { requireFreshFor } from "./freshness.ts";
import { endSession, endSuccessors } from "./rotated-handles.ts";
import type { LogoutOptions } from "./session-interface.ts";
import type { SessionState } from "./state.ts";
import type { StoreAccess } from "./store-access.ts";
import { refuseWithinUpdate } from "./within-update.ts";

/** Logout and destroy: a session ends at once, and no later write revives it. */

export function logout(
  context: SessionContext,
  state: SessionState,
  { everywhere = false, clearSiteData = false }: LogoutOptions,
): Awaitable<void> {
  const { userId } = state.record;
  const { parts, access } = context;
  if (everywhere && userId !== null) requireFreshFor(parts, state, "logout({ everywhere })");
  const others = everywhere && userId !== null ? () => endAll(parts, access, { userId }) : undefined;
  const ended = destroy(context, state, others);
  if (clearSiteData) context.clearSiteData = true;
  return ended;
}

/** @param others ends more sessions, after this one */
export function destroy(
  context: SessionContext,
  state: SessionState,
  others?: () => Awaitable<unknown>,
): Awaitable<void> {
  refuseIfReplaced(state);
  refuseWithinUpdate(context);
  const { endings, unavailable, request, parts } = context;
  // A session in a cookie can end only with a response.
  const isCarried = parts.committer.carried?.revocable === false;
  if (isCarried && state.status === "stored" && request.delivery !== "possible") throw undeliverableError();
  state.replacedBecause = "this session was destroyed in this request; req.session is a new one";
  if (context.state === state) context.state = context.blank();
  context.farewell = context.state;
  context.cookie = "clear";
  if (unavailable !== undefined) {
    // No response may claim that the session ended, even if the application does not await this
    // call.
    endings.push(() => Promise.reject(unavailable));
    throw unavailable;
  }
  // Queued even if the session is not stored, because a save may be in progress.
  return context.queue.run(() => {
    const { aside } = context;
    const stored = state.status === "stored" ? state : (state.rotation?.previous ?? aside);
    if (stored !== undefined) {
      const { handle, record } = stored;
      state.status = "ending";
      endings.push(() =>
        after(endSession(context.access, handle), () =>
          after(endImpersonation(context, state), () => {
            state.status = "ended";
            if (stored === aside) context.aside = undefined;
            parts.events.emit("destroy", { handle, userId: record.userId });
          }),
        ),
      );
    } else if (state.status === "blank" && context.late?.handle !== undefined) {
      const { handle } = context.late;
      endings.push(() => endSuccessors(context.access, handle));
    }
    if (others !== undefined) endings.push(others);
    return context.confirmEndings();
  });
}

/**
 * Ends all sessions of a user or of a link except one, and the user's sign-in links. Returns how
 * many sessions.
 */
export async function endAll(
  { links, events }: SessionParts,
  access: StoreAccess,
  query: SessionQuery & { except?: string },
): Promise<number> {
  if (query.userId !== undefined) await links?.endAll(query.userId);
  const count = await access.endAll(query);
  if (count > 0) events.emit("revoke", { ...query, count });
  return count;
}
