/** Computes when a session ends, without a clock. Every time is epoch milliseconds. */

/**
 * Is a length of time: milliseconds, or a number with a unit, such as `"500ms"`, `"30s"`, `"1.5h"`,
 * `"30d"` or `"2w"`. The compiler rejects other text, such as `"30 minutes"`. Pass a variable of
 * type `string` through {@link duration}.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/;

/**
 * Converts text such as `"30m"` to milliseconds, for durations that come from the environment or a
 * file.
 *
 * @returns milliseconds, which every option that takes a {@link Duration} accepts
 * @throws TypeError if the text is not a positive number with a unit: `ms`, `s`, `m`, `h`, `d` or
 * `w`
 * @example
 * import { duration, session } from "sojourn";
 *
 * const sessions = session({ idleTimeout: duration(process.env.IDLE_TIMEOUT ?? "30m") });
 */
export function duration(text: string): number {
  if (typeof text !== "string") throw new TypeError("duration(text): text must be a string");
  return parseDuration(text, "duration(text): text");
}

/**
 * @internal Converts a duration to milliseconds, `false` to `Infinity`.
 * @throws TypeError naming `option` unless it is a positive, finite duration
 */
export function parseDuration(value: number | string | false, option: string): number {
  if (value === false) return Number.POSITIVE_INFINITY;
  const match = typeof value === "string" ? DURATION.exec(value) : null;
  const ms = match === null ? value : Number(match[1]) * (UNITS[match[2] ?? ""] ?? 0);
  // Whole milliseconds, because sums with them go into integer columns.
  if (typeof ms === "number" && ms > 0 && Number.isFinite(ms)) return Math.max(1, Math.round(ms));
  throw new TypeError(
    `${option} must be a positive number of milliseconds or a string such as "30m", "12h" or "30d"${
      option.endsWith("imeout") ? ", or false for none" : ""
    }`,
  );
}

/** @internal The limits that one application sets on its sessions. */
export interface Timeouts {
  idleMs: number;
  absoluteMs: number;
  /** The shortest time between two stored uses of an unchanged session. */
  touchAfterMs: number;
}

const ONE_MINUTE = 60_000;

/** @internal Normalises the three timeout options. @throws TypeError */
export function timeouts(options: {
  idleTimeout?: Duration | false | undefined;
  absoluteTimeout?: Duration | false | undefined;
  touchAfter?: Duration | undefined;
}): Timeouts {
  const idleMs = parseDuration(options.idleTimeout ?? "30m", "idleTimeout");
  const absoluteMs = parseDuration(options.absoluteTimeout ?? "12h", "absoluteTimeout");
  const touchAfterMs =
    options.touchAfter === undefined
      ? Math.min(idleMs / 10, ONE_MINUTE)
      : options.touchAfter === 0
        ? 0
        : parseDuration(options.touchAfter, "touchAfter");
  if (touchAfterMs >= idleMs)
    throw new TypeError("touchAfter must be shorter than idleTimeout, or sessions would end while in use");
  return { idleMs, absoluteMs, touchAfterMs };
}

/** @internal The times that decide when a session ends. */
export interface Lifetime {
  createdAt: number;
  /** A fixed end, set by `persist` and "remember me": exactly then, however idle the session is. */
  endsAt?: number | undefined;
  /** The start of the absolute timeout after `persist(false)` removed a fixed end. */
  absoluteFrom?: number | undefined;
  /** The latest end, whatever the other times say: nothing lengthens a session beyond it. */
  notAfter?: number | undefined;
}

/** The year 9999, the latest time that is stored: it fits `Date` and every database's integers. */
export const FOREVER = 253_402_300_799_000;

/** Browsers keep no cookie longer than 400 days (RFC 6265bis 5.5). */
export const LONGEST_COOKIE_MS = 400 * 24 * 60 * 60 * 1_000;

/** @internal Returns when a session ends if it is used now. */
export function expiryOf(session: Lifetime, now: number, limits: Timeouts): number {
  const { endsAt, notAfter = FOREVER } = session;
  if (endsAt !== undefined) return Math.min(endsAt, notAfter, FOREVER);
  return Math.min(now + limits.idleMs, absoluteEnd(session, limits), notAfter, FOREVER);
}

/**
 * @internal
 * Returns whether a stored session has ended. Its stored deadline applies even if today's options
 * allow more (CVE-2024-35220). A timeout that became shorter applies at once.
 */
export function hasExpired(
  session: Lifetime & { touchedAt: number; expiresAt: number },
  now: number,
  limits: Timeouts,
): boolean {
  return now >= session.expiresAt || now >= expiryOf(session, session.touchedAt, limits);
}

/** @internal Returns whether the last use must be stored again. */
export function touchIsDue(touchedAt: number, now: number, limits: Timeouts): boolean {
  return now - touchedAt >= limits.touchAfterMs;
}

function absoluteEnd(session: Lifetime, limits: Timeouts): number {
  return (session.absoluteFrom ?? session.createdAt) + limits.absoluteMs;
}
