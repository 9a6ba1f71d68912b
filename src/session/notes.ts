import { SojournError } from "../contract/errors.ts";
import { NOTE, type SessionRecord } from "../contract/store.ts";
import type { Clock } from "../contract/time.ts";
import { derivedHandle } from "../crypto/token.ts";
import type { StoreAccess } from "./store-access.ts";

/** The largest difference between the clocks of an application's machines. */
export const SKEW_MS = 60_000;

const TRIES = 20;

/** Returns the handle of a note about a session, a link, or another object with a unique name. */
export function noteHandle(kind: string, name: string): string {
  return `${NOTE}${kind}:${name}`;
}

/** Returns the handle of a note about a user, which does not reveal the user. */
export function userNoteHandle(kind: string, userId: string): string {
  return NOTE + derivedHandle(`${kind} user ${userId}`);
}

export function noteRecord(payload: string, now: number, expiresAt: number): SessionRecord {
  return { payload, version: 1, secretHash: "note", userId: null, createdAt: now, touchedAt: now, expiresAt };
}

/** Writes a note by compare-and-set. `next` receives the current note. */
export async function writeNote(
  access: StoreAccess,
  clock: Clock,
  handle: string,
  next: (there: SessionRecord | undefined) => { payload: string; expiresAt: number },
): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const there = await access.load(handle);
    const { payload, expiresAt } = next(there);
    const record = noteRecord(payload, clock.now(), expiresAt);
    if (there === undefined) {
      if (await access.note(handle, record)) return;
    } else {
      const updated = { ...record, createdAt: there.createdAt, version: there.version + 1 };
      if ((await access.update(handle, updated, there.version)) === "ok") return;
    }
  }
  throw new SojournError("CONFLICT", "other requests kept changing the same note");
}
