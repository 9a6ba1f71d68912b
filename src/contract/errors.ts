import type { Device } from "./device.ts";

/** Lists every error code. `docs/ERRORS.md` explains each one under an anchor of its name. */
export type SojournErrorCode =
  | "STORE_UNAVAILABLE"
  | "STORE_TIMEOUT"
  | "STORE_FULL"
  | "STORE_CORRUPT"
  | "STORE_CLOSED"
  | "CONFLICT"
  | "SESSION_GONE"
  | "SESSION_ENDED"
  | "NOT_SERIALIZABLE"
  | "INVALID_DATA"
  | "TOO_LARGE"
  | "HEADERS_SENT"
  | "NO_USER_INDEX"
  | "MIXED_TOKENS"
  | "VALIDATION_FAILED"
  | "CROSS_SITE"
  | "PROVIDER_UNAVAILABLE"
  | "KEYS_UNAVAILABLE"
  | "NOT_LOGGED_IN"
  | "NOT_FRESH"
  | "TOO_MANY_SESSIONS"
  | "IMPERSONATING"
  | "NOT_IMPERSONATING";

const STATUS: Record<SojournErrorCode, number> = {
  STORE_UNAVAILABLE: 503,
  STORE_TIMEOUT: 503,
  STORE_FULL: 503,
  STORE_CORRUPT: 503,
  STORE_CLOSED: 503,
  CONFLICT: 409,
  SESSION_GONE: 409,
  SESSION_ENDED: 500,
  NOT_SERIALIZABLE: 500,
  INVALID_DATA: 500,
  TOO_LARGE: 500,
  HEADERS_SENT: 500,
  NO_USER_INDEX: 500,
  MIXED_TOKENS: 400,
  VALIDATION_FAILED: 503,
  CROSS_SITE: 403,
  PROVIDER_UNAVAILABLE: 503,
  KEYS_UNAVAILABLE: 503,
  NOT_LOGGED_IN: 401,
  NOT_FRESH: 401,
  TOO_MANY_SESSIONS: 409,
  IMPERSONATING: 403,
  NOT_IMPERSONATING: 409,
};

/**
 * Reports a failure that is no mistake in the calling code. Those are `TypeError`s, which name the
 * option and the remedy. Express's error handling reads `status` and `headers`. No message, cause
 * or property holds a token, a secret or session data.
 *
 * @example
 * import { type ErrorRequestHandler } from "express";
 * import { SojournError } from "sojourn";
 *
 * export const onError: ErrorRequestHandler = (error, req, res, next) => {
 *   const isConflict = error instanceof SojournError && error.code === "CONFLICT";
 *   if (isConflict) res.status(409).send("Please try again.");
 *   else next(error);
 * };
 */
export class SojournError extends Error {
  override readonly name = "SojournError";
  /** What failed. Codes are stable. */
  readonly code: SojournErrorCode;
  /** The HTTP status that an error handler should send. */
  readonly status: number;
  /** `Retry-After` for a 503, `WWW-Authenticate` for `NOT_FRESH`. Express's default error handler sends it. */
  declare readonly headers?: Record<string, string>;
  /**
   * The user's sessions, where a login was refused because there are too many
   * (`TOO_MANY_SESSIONS`), for a page that offers to end one. Not enumerable, so that no log shows
   * their addresses.
   */
  declare readonly devices?: readonly Device[];

  constructor(code: SojournErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = STATUS[code];
    if (this.status === 503) this.headers = { "Retry-After": "1" };
  }
}

export function goneError(): SojournError {
  return new SojournError(
    "SESSION_GONE",
    "the session has ended, by a logout, a revocation or a timeout; nothing was saved",
  );
}

export function conflictError(): SojournError {
  return new SojournError("CONFLICT", "other requests kept changing the session; nothing was saved");
}

export function undeliverableError(): SojournError {
  return new SojournError(
    "HEADERS_SENT",
    "the session's cookie can't be sent: change the session before the response starts, and over HTTPS if the cookie is Secure",
  );
}
