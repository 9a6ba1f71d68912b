import { createHash, randomBytes } from "node:crypto";
import { isNote } from "../../contract/store.ts";

/**
 * What files and folders are called. Names hold hashes, numbers and random digits: never text that came from a
 * request, so that no handle, however odd, is a path (CVE-2024-3400, CVE-2006-1279).
 */

/** The name of a session's folder: the hex SHA-256 of its handle. A note's begins with another letter, so that it is in another shard. */
export function nameOfHandle(handle: string): string {
  const hash = createHash("sha256").update(handle).digest("hex");
  return isNote(handle) ? `n${hash}` : hash;
}

/** The name of a user's folder. By code units, so that no two texts share one. */
export function nameOfUser(userId: string): string {
  return createHash("sha256").update(userId, "utf16le").digest("hex");
}

/** A name that nobody else makes. */
export function newName(): string {
  return randomBytes(16).toString("hex");
}

/**
 * What the name of a session's state file says. The file is empty: its name is the session's state, so that one
 * `rename` compares and sets, and neither a touch nor a sweep opens a file.
 */
export interface State {
  /** The name itself. It is never used twice, since every payload file has a name of its own. */
  readonly name: string;
  readonly version: number;
  readonly touchedAt: number;
  readonly expiresAt: number;
  /** The file that holds the rest of the record. */
  readonly payloadName: string;
  /** The user's folder, if there is a user. */
  readonly userName: string | undefined;
}

const STATE = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-f]{32})\.([0-9a-f]{64}|-)$/;
const PAYLOAD = /^[0-9a-f]{32}$/;
const SESSION = /^n?[0-9a-f]{64}$/;

export function stateOf(facts: Omit<State, "name">): State {
  const { version, payloadName, userName } = facts;
  const touchedAt = wholeMs(facts.touchedAt);
  const expiresAt = wholeMs(facts.expiresAt);
  const numbers = [version, touchedAt, expiresAt].map((number) => number.toString(36));
  return { ...facts, touchedAt, expiresAt, name: [...numbers, payloadName, userName ?? "-"].join(".") };
}

/** `undefined` for anything that is not the name of a state. */
export function parseState(name: string): State | undefined {
  const [, version, touchedAt, expiresAt, payloadName, userName] = STATE.exec(name) ?? [];
  if (version === undefined || touchedAt === undefined || expiresAt === undefined) return undefined;
  if (payloadName === undefined || userName === undefined) return undefined;
  return {
    name,
    version: Number.parseInt(version, 36),
    touchedAt: Number.parseInt(touchedAt, 36),
    expiresAt: Number.parseInt(expiresAt, 36),
    payloadName,
    userName: userName === "-" ? undefined : userName,
  };
}

export function isPayloadName(name: string): boolean {
  return PAYLOAD.test(name);
}

export function isSessionName(name: string): boolean {
  return SESSION.test(name);
}

/** A name has room for whole milliseconds that a number holds exactly. */
function wholeMs(time: number): number {
  return Math.min(Math.max(Math.floor(time), 0), Number.MAX_SAFE_INTEGER);
}
