import type { StoredSession } from "../contract/store.ts";
import { actorOf } from "./acting.ts";
import { decodePayload } from "./content.ts";
import type { SessionParts } from "./context.ts";
import { pagesOf } from "./devices.ts";
import { endAll } from "./end.ts";
import type { DeviceInfo } from "./meta.ts";
import { storePending } from "./pending.ts";
import { endSession } from "./rotated-handles.ts";
import { snapshotOf } from "./snapshot.ts";
import type { StoreAccess } from "./store-access.ts";
import { checkedUserId } from "./user-id.ts";

/** What the store knows about a user, for their requests to see it and to have it erased. */

/**
 * Describes one session of a user in full, as plain values that JSON keeps. Times are ISO 8601.
 * Nothing in it opens a session.
 */
export interface ExportedSession {
  /** The session's public name. */
  handle: string;
  /** Whose session it is. */
  userId: string;
  /** When the session began. */
  createdAt: string;
  /** When the user last authenticated; `null` where somebody acts in the user's place. */
  authenticatedAt: string | null;
  /** How the user authenticated then. */
  authenticationMethods: readonly string[];
  /** The last use that was stored. */
  lastUsedAt: string;
  /** When the session ends if nobody uses it again. */
  expiresAt: string;
  /** How the session's token travels. */
  transport: string;
  /**
   * The device that it began on; `null` if that is unknown, and where somebody acts in the user's
   * place, because it is that person's device.
   */
  device: DeviceInfo | null;
  /** The login's `link`, if it had one. */
  link: string | null;
  /** Who acts in the user's place, why, and since when. */
  actor: { userId: string; reason: string; since: string } | null;
  /** Messages that wait for the next page, by their type. */
  flash: Readonly<Record<string, readonly unknown[]>>;
  /** The application's data. */
  data: Record<string, unknown>;
  /** Whether a part of the record could not be read, and is missing here. */
  isDamaged: boolean;
}

/** Counts what `sessions.erase` ended. */
export interface ErasedSessions {
  /** Sessions of the user, those in which others acted as them included. */
  sessions: number;
  /** Sessions in which the user acted as somebody else. */
  impersonations: number;
}

/** @internal Returns everything that is stored about a user's sessions, the latest use first. */
export async function exportSessions(
  parts: SessionParts,
  access: StoreAccess,
  user: unknown,
): Promise<ExportedSession[]> {
  const userId = checkedUserId(user, "export(userId)");
  access.indexed("export");
  await storePending(parts, { userId });
  const sessions = await allOf(access, userId);
  return sessions.map((session) => exported(session, userId));
}

/** @internal Ends all of a user's sessions and sign-in links, and deletes what else names the user. */
export async function eraseSessions(parts: SessionParts, access: StoreAccess, user: unknown): Promise<ErasedSessions> {
  const userId = checkedUserId(user, "erase(userId)");
  access.indexed("erase");
  await storePending(parts, { userId });
  const acting = (await allOf(access, userId)).flatMap(
    ({ payload }) => decodePayload(payload)?.meta.parked?.session ?? [],
  );
  const sessions = await endAll(parts, access, { userId });
  let impersonations = 0;
  // They open nothing any more, but name the user until their time is over.
  for (const handle of acting) if (await endSession(access, handle)) impersonations += 1;
  return { sessions, impersonations };
}

/**
 * Returns all unexpired sessions of a user, however many pages they take. A session that is used
 * meanwhile moves to a page that was read before, so several pages are read until none has a new one.
 */
async function allOf(access: StoreAccess, userId: string): Promise<StoredSession[]> {
  const found = new Map<string, StoredSession>();
  let known: number;
  let pages: number;
  do {
    known = found.size;
    pages = 0;
    for await (const page of pagesOf(access, { userId })) {
      pages += 1;
      for (const session of page) found.set(session.handle, session);
    }
  } while (pages > 1 && found.size > known);
  return [...found.values()].sort((one, other) => other.touchedAt - one.touchedAt);
}

function exported(session: StoredSession, userId: string): ExportedSession {
  const { handle } = session;
  const content = decodePayload(session.payload);
  let isDamaged = content === undefined;
  const { meta, encoded } = content ?? { meta: {}, encoded: new Map<string, string>() };
  const snapshot = snapshotOf(handle, session, { meta, encoded }, () => {
    isDamaged = true;
  });
  const actor = actorOf(meta);
  return {
    handle,
    userId,
    createdAt: snapshot.createdAt.toISOString(),
    authenticatedAt: snapshot.authenticatedAt?.toISOString() ?? null,
    authenticationMethods: [...snapshot.authenticationMethods],
    lastUsedAt: snapshot.lastUsedAt.toISOString(),
    expiresAt: snapshot.expiresAt.toISOString(),
    transport: snapshot.transport,
    device: actor === null ? (meta.device ?? null) : null,
    link: snapshot.link ?? null,
    actor: actor === null ? null : { ...actor, since: actor.since.toISOString() },
    flash: meta.flash ?? {},
    data: snapshot.data,
    isDamaged,
  };
}
