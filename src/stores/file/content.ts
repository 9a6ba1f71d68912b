import { createHash } from "node:crypto";
import type { SessionRecord, StoredSession } from "../../contract/store.ts";
import type { State } from "./names.ts";

/**
 * Encodes a payload file: one line of JSON with the parts of the record that the state's name
 * lacks, after a line with its SHA-256. The hash detects damage by disks or people. It does not
 * stop an attacker who can write here.
 */
export function encodeContent(handle: string, record: SessionRecord): Buffer {
  const { version, secretHash, userId, createdAt, payload, link } = record;
  const fields = [handle, version, secretHash, userId, createdAt, payload, ...(link === undefined ? [] : [link])];
  const line = JSON.stringify(fields);
  return Buffer.from(`${hashOf(line)}\n${line}`);
}

/** Decodes a payload file. Returns `undefined` if it is damaged, or of another state. */
export function decodeContent(file: Buffer, { version, touchedAt, expiresAt }: State): StoredSession | undefined {
  const [handle, storedVersion, secretHash, userId, createdAt, payload, link] = fieldsOf(file);
  if (typeof handle !== "string" || storedVersion !== version || typeof secretHash !== "string") return undefined;
  if ((typeof userId !== "string" && userId !== null) || typeof createdAt !== "number") return undefined;
  if (typeof payload !== "string") return undefined;
  const session = { handle, payload, version, secretHash, userId, createdAt, touchedAt, expiresAt };
  return typeof link === "string" ? { ...session, link } : session;
}

/** Returns a payload file's session with its user and link, unless it is damaged. */
export function decodeNames(file: Buffer): { handle: string; userId: string | null; link?: string } | undefined {
  const [handle, , , userId, , , link] = fieldsOf(file);
  if (typeof handle !== "string") return undefined;
  const named = { handle, userId: typeof userId === "string" ? userId : null };
  return typeof link === "string" ? { ...named, link } : named;
}

function fieldsOf(file: Buffer): unknown[] {
  const text = file.toString();
  const end = text.indexOf("\n");
  const line = text.slice(end + 1);
  if (end === -1 || text.slice(0, end) !== hashOf(line)) return [];
  try {
    const fields: unknown = JSON.parse(line);
    return Array.isArray(fields) ? fields : [];
  } catch {
    return [];
  }
}

function hashOf(line: string): string {
  return createHash("sha256").update(line).digest("base64url");
}
