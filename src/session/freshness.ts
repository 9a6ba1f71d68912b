import { authenticatedAt, authenticationMethods } from "./authentication.ts";
import type { SessionParts } from "./context.ts";
import { impersonatingError, notFreshError, notLoggedInError } from "./refusals.ts";
import type { SessionState } from "./state.ts";

/** How and when somebody authenticated; `at` is `null` if nobody did, else epoch milliseconds. */
export interface Authentication {
  readonly at: number | null;
  readonly methods: readonly string[];
}

/** How recent an authentication must be, and by which methods. */
export interface Wanted {
  readonly withinMs: number;
  /** All of these. */
  readonly methods?: readonly string[] | undefined;
}

/** Decides whether an authentication is recent enough, and by the methods that are wanted. */
export function isFresh({ at, methods }: Authentication, wanted: Wanted, now: number): boolean {
  if (at === null || now - at > wanted.withinMs) return false;
  return wanted.methods?.every((name) => methods.includes(name)) ?? true;
}

export function authenticationOf({ record, content: { meta } }: SessionState): Authentication {
  return { at: authenticatedAt(record, meta), methods: authenticationMethods(meta) };
}

/** Who tells the time, and what an application demands. */
export type Demands = Pick<SessionParts, "clock" | "policy">;

/**
 * Lets a request end sessions of its user only if they authenticated recently, where the
 * application demands that.
 * @throws SojournError NOT_LOGGED_IN; NOT_FRESH; IMPERSONATING
 */
export function requireFreshFor({ clock, policy }: Demands, state: SessionState, call: string): void {
  if (state.record.userId === null) throw notLoggedInError(call);
  if (state.content.meta.actor !== undefined) throw impersonatingError(call);
  const { freshMs } = policy;
  if (freshMs === undefined) return;
  if (!isFresh(authenticationOf(state), { withinMs: freshMs }, clock.now())) throw notFreshError(freshMs);
}
