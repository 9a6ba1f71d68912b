import { SojournError } from "../../core/errors.ts";

/** The longest texts, in bytes: what fits an index of every database and page size. */
const MOST_BYTES = { handle: 255, secretHash: 255, userId: 1_024 } as const;

/**
 * Refuses what a column would cut off or an index refuse, before a statement does either.
 *
 * @param bytes how much room each would take as it is stored
 * @throws TypeError that names the field, not its value.
 */
export function checkLengths(bytes: { handle?: number; secretHash: number; userId?: number }): void {
  for (const field of ["handle", "secretHash", "userId"] as const) {
    if ((bytes[field] ?? 0) <= MOST_BYTES[field]) continue;
    throw new TypeError(`${field} is longer than the ${MOST_BYTES[field]} bytes that there is room for`);
  }
}

/**
 * A number as a driver gave it. Databases hold no others in these columns, so another one was damaged on its way; and a session whose time is no number
 * would never end.
 */
export function wholeNumber(value: unknown): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new SojournError("STORE_CORRUPT", "A session was damaged on its way from the database: a number is none.");
}

/** An idle timeout of half a millisecond is legal, and a column of integers is not the place to refuse it. */
export function wholeMs(time: number): number {
  return Math.floor(time);
}
