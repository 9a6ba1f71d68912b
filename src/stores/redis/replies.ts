import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

const OTHER_DATA = "contains other data under the store's prefix: give the store its own prefix";

/** What it means for the server when an error reply begins with this word. */
const FAILURES: Readonly<Record<string, string>> = {
  READONLY: "is now a replica and accepts no writes",
  LOADING: "is still loading its data",
  MASTERDOWN: "is a replica that has lost its primary",
  MISCONF: "can't save to its disk and accepts no writes",
  CLUSTERDOWN: "is a cluster without a node for this key",
  TRYAGAIN: "is a cluster that is moving this key",
  NOREPLICAS: "has fewer replicas than its min-replicas-to-write",
  BUSY: "is busy with another script",
  NOAUTH: "requires a password",
  WRONGPASS: "rejected the user name or the password",
  NOPERM: "does not allow this user a command that the store needs",
  CROSSSLOT: "has the store's keys in different slots: the client's keyPrefix must not contain braces",
  OOM: "has reached its maxmemory",
  WRONGTYPE: OTHER_DATA,
  SOJOURNFORMAT: OTHER_DATA,
};
/** The codes of failures that are not `STORE_UNAVAILABLE`. */
const CODES: Readonly<Record<string, SojournErrorCode>> = {
  OOM: "STORE_FULL",
  WRONGTYPE: "STORE_CORRUPT",
  SOJOURNFORMAT: "STORE_CORRUPT",
};

/** Names and codes of errors about a lost connection: of `redis`, and of the system. */
const LOST = new Set([
  "SocketClosedUnexpectedlyError",
  "DisconnectsClientError",
  "SocketTimeoutError",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "MaxRetriesPerRequestError",
]);
/** Messages of `ioredis`, whose errors have neither codes nor names. */
const LOST_MESSAGE =
  /^(Connection is closed|Command aborted due to connection close|Socket timeout|Stream isn't writeable)/;

/** In both packages, the message of an error from the server is the reply. */
const REPLY = /^([A-Z][A-Z]+)(?: |$)/;

/**
 * Returns the error that callers get. The clients' own errors may contain a command with its
 * arguments, so the cause is one word: the reply's first, the system's code, or the error's name.
 */
export function storeError(error: unknown): SojournError {
  if (error instanceof SojournError) return error;
  const word = wordOf(error);
  const failure = FAILURES[word] ?? (isReply(error) ? "rejected a command" : "can't be reached");
  const detail = word in FAILURES || word === "Error" ? "" : ` (${word})`;
  return new SojournError(CODES[word] ?? "STORE_UNAVAILABLE", `Redis ${failure}${detail}.`, new Error(word));
}

/** Returns whether the server doesn't know a script by its hash. */
export function isUnknownScript(error: unknown): boolean {
  return error instanceof SojournError && wordOf(error.cause) === "NOSCRIPT";
}

/** Returns whether the keys of a script are in different slots of a cluster. */
export function crossesSlots(error: unknown): boolean {
  return error instanceof SojournError && wordOf(error.cause) === "CROSSSLOT";
}

/** Returns whether the server has become a replica: another connection may find the new primary. */
export function isFromReplica(error: unknown): boolean {
  const word = wordOf(error);
  return word === "READONLY" || word === "MASTERDOWN";
}

/** Returns whether the connection was lost, and with it the outcome of the command. */
export function isLost(error: unknown): boolean {
  return !isReply(error) && (LOST.has(wordOf(error)) || (error instanceof Error && LOST_MESSAGE.test(error.message)));
}

function isReply(error: unknown): boolean {
  return error instanceof Error && REPLY.test(error.message);
}

function wordOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const reply = REPLY.exec(error.message)?.[1];
  // Known words only: after damage in transit, the reply may contain any data.
  if (reply !== undefined) return reply in FAILURES || reply === "NOSCRIPT" ? reply : "ERR";
  if ("code" in error && typeof error.code === "string" && /^[A-Z0-9_]+$/.test(error.code)) return error.code;
  const { name } = error.constructor;
  return /^\w+$/.test(name) && name !== "Error" ? name : error.name;
}

/** Converts a reply to text. Some clients are configured to return bytes. */
export function textOf(reply: unknown): string {
  if (typeof reply === "string") return reply;
  if (Buffer.isBuffer(reply)) return reply.toString();
  throw unexpected();
}

/** Converts a reply to a number. Some clients are configured to return numbers as text. */
export function numberOf(reply: unknown): number {
  const number = typeof reply === "number" ? reply : Number(textOf(reply));
  if (Number.isNaN(number)) throw unexpected();
  return number;
}

export function listOf(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply;
  throw unexpected();
}

function unexpected(): SojournError {
  return new SojournError("STORE_CORRUPT", "Redis sent a reply of an unexpected type.");
}
