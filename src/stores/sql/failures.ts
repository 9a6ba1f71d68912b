import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

/** A failure, as the caller sees it and as the retry logic sees it. */
export interface Failure {
  /** Holds no credential and no value of a row. */
  error: SojournError;
  /**
   * - `refused`: the server replied, and changed nothing.
   * - `collided`: likewise, because of another transaction. A retry may succeed.
   * - `unprepared`: the table does not exist.
   * - `lost`: the connection broke. Whether the statement took effect is unknown.
   */
  kind: "refused" | "collided" | "unprepared" | "lost";
  /** Whether to close the connection although the server replied. */
  discard: boolean;
}

/** What a server's error code means. By default `STORE_UNAVAILABLE`, `refused`, not discarded. */
export interface Meaning {
  code?: SojournErrorCode;
  kind?: Failure["kind"];
  discard?: boolean;
  /** The message, after "The session database". */
  what: string;
}

/** An error that a server reported. */
export interface ServerError {
  /** SQLSTATE or error number. */
  code: string | number;
  meaning: Meaning | undefined;
  /** Replaces the server's message, which may quote a value. `undefined`: the message is safe. */
  replacement: string | undefined;
}

/**
 * Converts a driver's error. Returns `undefined` for anything else.
 *
 * The driver's own error never reaches the caller. It carries the statement, the row that broke a
 * constraint, and, for a URL that doesn't parse, the password. Its replacement can be logged.
 *
 * @param redact removes credentials from a message of the driver or the network
 */
export function failureOf(
  error: unknown,
  explain: (error: Error) => ServerError | undefined,
  redact: (text: string) => string,
): Failure | undefined {
  if (error instanceof SojournError) return { error, kind: "refused", discard: false };
  if (!(error instanceof Error)) return undefined;
  const reported = explain(error);
  const code = reported?.code ?? ("code" in error && typeof error.code === "string" ? error.code : undefined);
  const meaning: Meaning =
    reported === undefined
      ? { kind: "lost", what: "can't be reached" }
      : (reported.meaning ?? { what: "rejected a statement" });
  // A host name with several addresses, all of which fail, gives an error with an empty message.
  const cause = new Error(reported?.replacement ?? (redact(error.message) || String(code)));
  return {
    kind: meaning.kind ?? "refused",
    discard: meaning.discard ?? false,
    error: new SojournError(
      meaning.code ?? "STORE_UNAVAILABLE",
      `The session database ${meaning.what}.`,
      code === undefined ? cause : Object.assign(cause, { code }),
    ),
  };
}
