import type { Device } from "../contract/device.ts";
import { SojournError } from "../contract/errors.ts";

/** The errors of calls that are not for this user, or not now. */

export function tooManyError(limit: number): SojournError {
  return new SojournError("TOO_MANY_SESSIONS", `the user has as many sessions as are allowed (${limit})`);
}

/** Returns the error of a refused login again, with the sessions that the user has. */
export function withDevices({ message }: SojournError, devices: readonly Device[]): SojournError {
  const error = new SojournError("TOO_MANY_SESSIONS", message);
  return Object.defineProperty(error, "devices", { value: devices });
}

export function impersonatingError(call: string): SojournError {
  return new SojournError(
    "IMPERSONATING",
    `${call} is not for somebody who impersonates the user: call req.session.stopImpersonating() first`,
  );
}

export function notLoggedInError(call: string): SojournError {
  return new SojournError("NOT_LOGGED_IN", `${call} needs a session whose user is logged in`);
}

/** Returns the challenge of RFC 9470 for an authentication that is too long ago. */
export function challengeOf(withinMs: number): string {
  const description = "More recent authentication is required";
  return `Bearer error="insufficient_user_authentication", error_description="${description}", max_age="${Math.floor(withinMs / 1_000)}"`;
}

export function notFreshError(withinMs: number): SojournError {
  const message = "the user authenticated too long ago: check the password again, and call req.session.confirm()";
  const headers = { "WWW-Authenticate": challengeOf(withinMs) };
  return Object.assign(new SojournError("NOT_FRESH", message), { headers });
}
