import type { SessionQuery, SessionRecord } from "../contract/store.ts";
import type { SessionContext, SessionParts } from "./context.ts";

/** Logins and regenerations that are stored with their response, or before a query that concerns them. */

/** Each time so many more are pending, those whose requests were abandoned are dropped. */
const ABANDONED = 64;

/** The context removes itself when its rotation is stored or dropped. */
export function remember(context: SessionContext): void {
  const { pending } = context.parts;
  if (pending.length > 0 && pending.length % ABANDONED === 0) {
    for (const one of pending.filter(({ request }) => request.isOver)) one.leavePending();
  }
  pending.push(context);
}

interface Named {
  readonly handle: string;
  readonly record: SessionRecord;
}

/**
 * Stores the pending logins and regenerations that concern a user, a link or a handle. So a query
 * about sessions after `await login()` includes that login, although it reaches the store only with
 * the response.
 */
export async function storePending(
  { pending }: SessionParts,
  { userId, link, handle }: SessionQuery & { handle?: string },
): Promise<void> {
  for (const context of [...pending]) {
    if (context.state.rotation === undefined || context.request.isOver) continue;
    const { state, request } = context;
    const { previous } = context.state.rotation;
    const isMeant =
      userId !== undefined
        ? ({ record }: Named) => record.userId === userId
        : link !== undefined
          ? ({ record }: Named) => record.link === link
          : (one: Named) => one.handle === handle;
    if (!isMeant(state) && (previous === undefined || !isMeant(previous))) continue;
    try {
      await context.queue.run(() => context.store(state, request.delivery));
    } catch {
      // The request's commit tries again, and reports the failure.
    }
  }
}
