/** When a session ends: arithmetic over times, without a clock. Every time is epoch milliseconds. */

/**
 * Is a length of time: milliseconds, or a number with a unit, such as `"500ms"`, `"30s"`, `"1.5h"`, `"30d"` or `"2w"`. The compiler rejects
 * other text, such as `"30 minutes"`. Pass a variable of type `string` through {@link duration}.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/;

/**
 * Converts text such as `"30m"` to milliseconds, for durations that come from the environment or a file.
 *
 * @returns milliseconds, which every option that takes a {@link Duration} accepts
 * @throws TypeError if the text is not a positive number with a unit: `ms`, `s`, `m`, `h`, `d` or `w`
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
 * Milliseconds of a duration; `false` is `Infinity`.
 * @throws TypeError naming `option` for anything that isn't a positive, finite duration.
 */
export function parseDuration(value: number | string | false, option: string): number {
  if (value === false) return Number.POSITIVE_INFINITY;
  const match = typeof value === "string" ? DURATION.exec(value) : null;
  const ms = match === null ? value : Number(match[1]) * (UNITS[match[2] ?? ""] ?? 0);
  // Whole milliseconds: what is computed with them goes into integer columns.
  if (typeof ms === "number" && ms > 0 && Number.isFinite(ms)) return Math.max(1, Math.round(ms));
  throw new TypeError(
    `${option} must be a positive number of milliseconds or a string such as "30m", "12h" or "30d"${
      option.endsWith("imeout") ? ", or false for none" : ""
    }`,
  );
}

/** The limits that one application sets on its sessions. */
export interface Timeouts {
  idleMs: number;
  absoluteMs: number;
  /** An unchanged session's last use is written down at most this often. */
  touchAfterMs: number;
}

const ONE_MINUTE = 60_000;

/** Normalises the three options. */
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
    throw new TypeError("touchAfter must be shorter than idleTimeout, or sessions in use would end");
  return { idleMs, absoluteMs, touchAfterMs };
}

/** What of a session decides about its end. */
export interface Lifetime {
  createdAt: number;
  /** A fixed end, set by `persist` and "remember me": the session ends exactly then, however idle it is. */
  endsAt?: number | undefined;
  /** Set when `persist(false)` removed the fixed end: the absolute timeout counts from here instead of `createdAt`. */
  absoluteFrom?: number | undefined;
}

/** The furthest future that is kept: year 9999, so that "never" still fits every database's integers and `Date`. */
export const FOREVER = 253_402_300_799_000;

/** When a session that is used now ends. */
export function expiryOf(session: Lifetime, now: number, limits: Timeouts): number {
  if (session.endsAt !== undefined) return Math.min(session.endsAt, FOREVER);
  return Math.min(now + limits.idleMs, absoluteEnd(session, limits), FOREVER);
}

/**
 * Whether a stored session has ended. The stored deadline is honoured even where today's options would allow more
 * (CVE-2024-35220), and a timeout that was shortened since applies at once.
 */
export function hasExpired(
  session: Lifetime & { touchedAt: number; expiresAt: number },
  now: number,
  limits: Timeouts,
): boolean {
  return now >= session.expiresAt || now >= expiryOf(session, session.touchedAt, limits);
}

/** Whether the last use is old enough to be written down again. */
export function touchIsDue(touchedAt: number, now: number, limits: Timeouts): boolean {
  return now - touchedAt >= limits.touchAfterMs;
}

function absoluteEnd(session: Lifetime, limits: Timeouts): number {
  return (session.absoluteFrom ?? session.createdAt) + limits.absoluteMs;
}
