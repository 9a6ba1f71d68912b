import { createHash } from "node:crypto";
import type { SessionRecord, StoredSession } from "../../contract/store.ts";
import type { State } from "./names.ts";

/**
 * What a payload file holds: the SHA-256 of a line, and the line, the JSON of what the state's name doesn't say. The sum tells a file that a
 * failing disk or a careless hand has damaged; it is no defence against somebody who may write here.
 */
export function encodeContent(handle: string, record: SessionRecord): Buffer {
  const { version, secretHash, userId, createdAt, payload } = record;
  const line = JSON.stringify([handle, version, secretHash, userId, createdAt, payload]);
  return Buffer.from(`${sumOf(line)}\n${line}`);
}

/** `undefined` for a file that is damaged, cut off, or of another session. */
export function decodeContent(file: Buffer, state: State): StoredSession | undefined {
  const [handle, version, secretHash, userId, createdAt, payload] = fieldsOf(file);
  if (typeof handle !== "string" || version !== state.version || typeof secretHash !== "string") return undefined;
  if ((typeof userId !== "string" && userId !== null) || typeof createdAt !== "number") return undefined;
  if (typeof payload !== "string") return undefined;
  const { touchedAt, expiresAt } = state;
  return { handle, payload, version: state.version, secretHash, userId, createdAt, touchedAt, expiresAt };
}

/** Which session a payload is of, or was, and whose; `undefined` for nobody's, and for a damaged one. */
export function decodeOwner(file: Buffer): { handle: string; userId: string } | undefined {
  const [handle, , , userId] = fieldsOf(file);
  return typeof handle === "string" && typeof userId === "string" ? { handle, userId } : undefined;
}

function fieldsOf(file: Buffer): unknown[] {
  const text = file.toString();
  const end = text.indexOf("\n");
  const line = text.slice(end + 1);
  if (end === -1 || text.slice(0, end) !== sumOf(line)) return [];
  try {
    const fields: unknown = JSON.parse(line);
    return Array.isArray(fields) ? fields : [];
  } catch {
    return [];
  }
}

function sumOf(line: string): string {
  return createHash("sha256").update(line).digest("base64url");
}
