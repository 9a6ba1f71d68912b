import { createHash, randomBytes } from "node:crypto";
import { isNote, type SessionQuery, type SessionRecord } from "../../contract/store.ts";
import { checkedQuery } from "../query.ts";

/**
 * Names of files and folders. They consist of hashes, numbers and random digits, never of text from
 * a request, so no handle can act as a path (CVE-2024-3400, CVE-2006-1279).
 */

/** Names a session's folder. Notes have a prefix, and so their own shards. */
export function nameOfHandle(handle: string): string {
  const hash = createHash("sha256").update(handle).digest("hex");
  return isNote(handle) ? `n${hash}` : hash;
}

/** Names a user or a link. Hashes UTF-16, so that different texts have different names. */
function nameOf(text: string): string {
  return createHash("sha256").update(text, "utf16le").digest("hex");
}

/** A user or a link, and where the markers of its sessions are. */
export interface Group {
  readonly folder: "users" | "links";
  readonly name: string;
}

/** Returns the user or the link that a query names; `undefined` for everyone's sessions. */
export function groupOf(query: SessionQuery): Group | undefined {
  const { userId, link } = checkedQuery(query);
  if (userId !== undefined) return groupOfUser(userId);
  return link === undefined ? undefined : { folder: "links", name: nameOf(link) };
}

export function groupOfUser(userId: string): Group {
  return { folder: "users", name: nameOf(userId) };
}

/** Returns the user and the link of a session, if it has them. */
export function groupsOf({ userName, linkName }: Pick<State, "userName" | "linkName">): Group[] {
  const groups: Group[] = [];
  if (userName !== undefined) groups.push({ folder: "users", name: userName });
  if (linkName !== undefined) groups.push({ folder: "links", name: linkName });
  return groups;
}

/** Returns whether a session belongs to a group; any does if none is given. */
export function isOf({ userName, linkName }: State, group: Group | undefined): boolean {
  return group === undefined || group.name === (group.folder === "users" ? userName : linkName);
}

/** Returns the names of a record's user and link. */
export function namesOf({ userId, link }: { userId: string | null; link?: string }) {
  return {
    userName: userId === null ? undefined : nameOf(userId),
    linkName: link === undefined ? undefined : nameOf(link),
  };
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
  /** The link's folder, if there is a link. */
  readonly linkName: string | undefined;
}

const STATE =
  /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([0-9a-f]{32})\.([0-9a-f]{64}|-)(?:\.([0-9a-f]{64}))?$/;

export function stateOf(parts: Omit<State, "name">): State {
  const { version, payloadName, userName, linkName } = parts;
  const touchedAt = wholeMs(parts.touchedAt);
  const expiresAt = wholeMs(parts.expiresAt);
  const numbers = [version, touchedAt, expiresAt].map((number) => number.toString(36));
  return {
    ...parts,
    touchedAt,
    expiresAt,
    name: [...numbers, payloadName, userName ?? "-", ...(linkName ? [linkName] : [])].join("."),
  };
}

/** Returns the state of a session that begins. */
export function newState(record: SessionRecord): State {
  const { version, touchedAt, expiresAt } = record;
  return stateOf({ version, touchedAt, expiresAt, payloadName: randomName(), ...namesOf(record) });
}

/** Parses the name of a state file. Returns `undefined` for any other name. */
export function parseState(name: string): State | undefined {
  const [, version = "", touchedAt = "", expiresAt = "", payloadName = "", userName = "", linkName] =
    STATE.exec(name) ?? [];
  if (version === "") return undefined;
  return {
    name,
    version: Number.parseInt(version, 36),
    touchedAt: Number.parseInt(touchedAt, 36),
    expiresAt: Number.parseInt(expiresAt, 36),
    payloadName,
    userName: userName === "-" ? undefined : userName,
    linkName,
  };
}

export function isPayloadName(name: string): boolean {
  return /^[0-9a-f]{32}$/.test(name);
}

export function isNoteName(name: string): boolean {
  return name.startsWith("n");
}

export function isSessionName(name: string): boolean {
  return /^n?[0-9a-f]{64}$/.test(name);
}

/** Limits a time to whole milliseconds that a number represents exactly. */
function wholeMs(time: number): number {
  return Math.min(Math.max(Math.floor(time), 0), Number.MAX_SAFE_INTEGER);
}
