import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";
import type { Failure } from "./connections.ts";

/** What a server's error is to a caller. */
export interface Meaning {
  code?: SojournErrorCode;
  kind?: Failure["kind"];
  discard?: boolean;
  /** After "The session database". */
  what: string;
}

/** A server's error. */
export interface Explanation {
  /** SQLSTATE or error number. */
  code: string | number;
  meaning: Meaning | undefined;
  /** What is told instead of the server's message, which may quote a value; `undefined` where it speaks of the server and its objects. */
  instead: string | undefined;
}

/** @param redact takes credentials out of what a driver or the network says */
export function failureOf(
  error: unknown,
  explain: (error: Error) => Explanation | undefined,
  redact: (text: string) => string,
): Failure | undefined {
  if (!(error instanceof Error)) return undefined;
  const found = explain(error);
  if (found === undefined) {
    const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
    const cause = publicCause(redact(error.message), code);
    return {
      kind: "lost",
      error: new SojournError("STORE_UNAVAILABLE", "The session database can't be reached.", cause),
    };
  }
  const meaning = found.meaning ?? { what: "refused a statement" };
  const cause = publicCause(found.instead ?? redact(error.message), found.code);
  return {
    kind: meaning.kind ?? "refused",
    discard: meaning.discard ?? false,
    error: new SojournError(meaning.code ?? "STORE_UNAVAILABLE", `The session database ${meaning.what}.`, cause),
  };
}

/**
 * An error that can be logged, in the place of a driver's. Theirs carry the statement, the row that broke a constraint (`detail`),
 * the place in it (`where`), and, for a URL that doesn't parse, the password.
 *
 * @param message what the driver said where that can't quote a value, else a description
 * @param code SQLSTATE, error number or the system's error code
 */
function publicCause(message: string, code: string | number | undefined): Error {
  // A name with several addresses, none of which answers, is an error without a message of its own.
  const cause = new Error(message === "" ? String(code) : message);
  return code === undefined ? cause : Object.assign(cause, { code });
}
