import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

/** What a reply of the server that begins with this word means for a request: it can't be served now, but for these two. */
const REPLIES: Record<string, readonly [SojournErrorCode, string]> = {
  READONLY: ["STORE_UNAVAILABLE", "is a replica now and takes no writes"],
  LOADING: ["STORE_UNAVAILABLE", "is still loading its data"],
  MASTERDOWN: ["STORE_UNAVAILABLE", "is a replica that has lost its primary"],
  MISCONF: ["STORE_UNAVAILABLE", "can't save to its disk and takes no writes"],
  CLUSTERDOWN: ["STORE_UNAVAILABLE", "is a cluster without a node for this key"],
  TRYAGAIN: ["STORE_UNAVAILABLE", "is a cluster that is moving this key"],
  NOREPLICAS: ["STORE_UNAVAILABLE", "has fewer replicas than its min-replicas-to-write"],
  BUSY: ["STORE_UNAVAILABLE", "is busy with somebody's script"],
  NOAUTH: ["STORE_UNAVAILABLE", "wants a password"],
  WRONGPASS: ["STORE_UNAVAILABLE", "refused the user name or the password"],
  NOPERM: ["STORE_UNAVAILABLE", "doesn't let this user run a command that the store needs"],
  CROSSSLOT: [
    "STORE_UNAVAILABLE",
    "keeps the store's keys in different slots: the client's keyPrefix must not hold braces",
  ],
  OOM: ["STORE_FULL", "has reached its maxmemory"],
  WRONGTYPE: ["STORE_CORRUPT", "holds other data under the store's prefix: give the store a prefix of its own"],
  SOJOURNFORMAT: ["STORE_CORRUPT", "holds other data under the store's prefix: give the store a prefix of its own"],
};

/**
 * The error that a caller sees. Messages and properties of the clients' own errors may hold a command with all its arguments, so
 * the cause is one word: what the server's reply began with, a system error's code, or the error's name.
 */
export function storeError(error: unknown): SojournError {
  if (error instanceof SojournError) return error;
  const word = wordOf(error);
  const [code, what] = REPLIES[word] ?? [
    "STORE_UNAVAILABLE",
    isReply(error) ? "refused a command" : "can't be reached",
  ];
  const detail = word in REPLIES || word === "Error" ? "" : ` (${word})`;
  return new SojournError(code, `Redis ${what}${detail}.`, new Error(word));
}

/** Whether the server has not got this script, and would like to see its text. */
export function wantsScript(error: unknown): boolean {
  return wordOf(error) === "NOSCRIPT";
}

/** Whether a script's keys lie in different slots of a cluster. */
export function crossesSlots(error: unknown): boolean {
  return error instanceof SojournError && wordOf(error.cause) === "CROSSSLOT";
}

/** Whether the server turned into a replica under this connection: another connection may find the new primary. */
export function isFromReplica(error: unknown): boolean {
  const word = wordOf(error);
  return word === "READONLY" || word === "MASTERDOWN";
}

/** Whether a connection was lost under a command: what became of the command is not known. */
export function isLost(error: unknown): boolean {
  return !isReply(error) && (LOST.has(wordOf(error)) || (error instanceof Error && LOST_MESSAGE.test(error.message)));
}

/** Of `redis`, and of the system. */
const LOST = new Set([
  "SocketClosedUnexpectedlyError",
  "DisconnectsClientError",
  "SocketTimeoutError",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "MaxRetriesPerRequestError",
]);
/** Of `ioredis`, whose errors have neither a code nor a name of their own. */
const LOST_MESSAGE =
  /^(Connection is closed|Command aborted due to connection close|Socket timeout|Stream isn't writeable)/;

const REPLY = /^([A-Z][A-Z]+)(?: |$)/;

/** Errors of the server carry its line as their message; both packages name or type them so. */
function isReply(error: unknown): boolean {
  return error instanceof Error && REPLY.test(error.message);
}

function wordOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const reply = REPLY.exec(error.message)?.[1];
  // Known words only: after damage on the way the rest may be anybody's data.
  if (reply !== undefined) return reply in REPLIES || reply === "NOSCRIPT" ? reply : "ERR";
  if ("code" in error && typeof error.code === "string" && /^[A-Z0-9_]+$/.test(error.code)) return error.code;
  const { name } = error.constructor;
  return /^\w+$/.test(name) && name !== "Error" ? name : error.name;
}
