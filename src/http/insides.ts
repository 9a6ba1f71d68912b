import type { Clock } from "../contract/time.ts";
import type { Events } from "../session/events.ts";
import type { StoreAccess } from "../session/store-access.ts";

/** What the parts of Sojourn that stand beside `session()` need of it. No application sees it. */
export interface Insides {
  readonly clock: Clock;
  readonly events: Events;
  /** The store of the sessions, which keeps notes as well; `undefined` for sealed sessions. */
  readonly notes: StoreAccess | undefined;
}

const known = new WeakMap<object, Insides>();

export function rememberInsides(sessions: object, insides: Insides): void {
  known.set(sessions, insides);
}

/** @throws TypeError for anything that `session()` did not return */
export function insidesOf(call: string, sessions: unknown): Insides {
  const insides = typeof sessions === "function" ? known.get(sessions) : undefined;
  if (insides !== undefined) return insides;
  throw new TypeError(`${call}({ sessions }): sessions must be what session() returned`);
}
