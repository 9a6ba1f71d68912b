/** What the stores share for `admit`. */

import type { Admission } from "../contract/store.ts";

/** @throws TypeError for a session without a user, and for a limit below 1 */
export function checkedAdmission(admission: Admission): Admission & { userId: string } {
  const { userId } = admission.session;
  if (userId === null) throw new TypeError("admit: the session must have a user, whose limit is kept");
  if (!Number.isSafeInteger(admission.limit) || admission.limit < 1) {
    throw new TypeError("admit: the limit must be a whole number from 1");
  }
  return { ...admission, userId };
}

/**
 * Chooses the sessions that end so that a new one keeps the limit: those used longest ago.
 *
 * @param others the user's other unexpired sessions, without the one that the new one replaces
 * @returns `undefined` if the new session is refused instead
 */
export function endedBy<Session extends { touchedAt: number }>(
  { limit, exceed }: Admission,
  others: readonly Session[],
): readonly Session[] | undefined {
  const surplus = Math.max(0, others.length + 1 - limit);
  if (surplus > 0 && exceed === "refuse") return undefined;
  return others.toSorted((one, other) => one.touchedAt - other.touchedAt).slice(0, surplus);
}
