import { createHash, randomBytes } from "node:crypto";
import { isNote, type SessionRecord } from "../../contract/store.ts";

/**
 * Names of files and folders. They consist of hashes, numbers and random digits, never of text from
 * a request, so no handle can act as a path (CVE-2024-3400, CVE-2006-1279).
 */

/** Names a session's folder. Notes have a prefix, and so their own shards. */
export function nameOfHandle(handle: string): string {
  const hash = createHash("sha256").update(handle).digest("hex");
  return isNote(handle) ? `n${hash}` : hash;
}

/** Names a user's folder. Hashes UTF-16, so that different texts have different names. */
export function nameOfUser(userId: string): string {
  return createHash("sha256").update(userId, "utf16le").digest("hex");
}

export function randomName(): string {
  return randomBytes(16).toString("hex");
}

/**
 * A session's state, which the name of an empty file holds. So one `rename` compares and sets, and
 * touches and sweeps open no file.
 */
export interface State {
  /** The name itself. No name occurs twice, because each payload file has a random name. */
  readonly name: string;
  readonly version: number;
  readonly touchedAt: number;
  readonly expiresAt: number;
  /** The file with the rest of the record. */
  readonly payloadName: string;
  /** The user's folder, if there is a user. */
  readonly userName: string | undefined;
}

const STATE = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-f]{32})\.([0-9a-f]{64}|-)$/;

export function stateOf(parts: Omit<State, "name">): State {
  const { version, payloadName, userName } = parts;
  const touchedAt = wholeMs(parts.touchedAt);
  const expiresAt = wholeMs(parts.expiresAt);
  const numbers = [version, touchedAt, expiresAt].map((number) => number.toString(36));
  return { ...parts, touchedAt, expiresAt, name: [...numbers, payloadName, userName ?? "-"].join(".") };
}

/** Returns the state of a session that begins. */
export function newState({ version, touchedAt, expiresAt, userId }: SessionRecord): State {
  const userName = userId === null ? undefined : nameOfUser(userId);
  return stateOf({ version, touchedAt, expiresAt, payloadName: randomName(), userName });
}

/** Parses the name of a state file. Returns `undefined` for any other name. */
export function parseState(name: string): State | undefined {
  const [, version = "", touchedAt = "", expiresAt = "", payloadName = "", userName = ""] = STATE.exec(name) ?? [];
  if (version === "") return undefined;
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
  return /^[0-9a-f]{32}$/.test(name);
}

export function isSessionName(name: string): boolean {
  return /^n?[0-9a-f]{64}$/.test(name);
}

/** Limits a time to whole milliseconds that a number represents exactly. */
function wholeMs(time: number): number {
  return Math.min(Math.max(Math.floor(time), 0), Number.MAX_SAFE_INTEGER);
}
