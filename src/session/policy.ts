import type { Admission, Awaitable } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import type { Validation } from "./validation.ts";

/** What an application demands of its users' sessions. */
export interface Policy {
  /** How many sessions a user may have; `undefined` for any number. */
  readonly userLimit?: UserLimit | undefined;
  /** How long ago a user may have authenticated who ends others of their sessions. */
  readonly freshMs?: number | undefined;
  /** Asks the application whether a user may still be logged in. */
  readonly validation?: Validation | undefined;
}

/** What happens if a login exceeds its user's limit. */
export type Exceed = Admission["exceed"];

/** A user's limit at the time of one login. */
export interface Room {
  readonly limit: number;
  readonly exceed: Exceed;
}

/** Tells how many sessions each user may have. */
export class UserLimit {
  readonly #limit: number | ((userId: string) => Awaitable<number>);
  readonly #exceed: Exceed;

  /** @throws TypeError for a limit below 1, and for an unknown `exceed` */
  constructor(limit: unknown, exceed: unknown = "revoke-oldest") {
    if (exceed !== "revoke-oldest" && exceed !== "refuse") {
      throw new TypeError('maxSessionsPerUser.exceed must be "revoke-oldest" or "refuse"');
    }
    this.#exceed = exceed;
    this.#limit = isFunction(limit) ? (userId) => after(limit(userId), checkedLimit) : checkedLimit(limit);
  }

  /** Returns what a login of this user may take; `undefined` if there is no limit for them. */
  roomOf(userId: string): Awaitable<Room | undefined> {
    const limit = typeof this.#limit === "number" ? this.#limit : this.#limit(userId);
    return after(limit, (most) =>
      most === Number.POSITIVE_INFINITY ? undefined : { limit: most, exceed: this.#exceed },
    );
  }
}

function isFunction(value: unknown): value is (userId: string) => Awaitable<unknown> {
  return typeof value === "function";
}

/** @throws TypeError */
function checkedLimit(limit: unknown): number {
  const isLimit =
    typeof limit === "number" && limit >= 1 && (Number.isSafeInteger(limit) || limit === Number.POSITIVE_INFINITY);
  if (isLimit) return limit;
  throw new TypeError(
    "maxSessionsPerUser must be a whole number of sessions from 1, or Infinity for no limit; so must what its function returns",
  );
}
