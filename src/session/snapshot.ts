import type { SessionRecord } from "../contract/store.ts";
import { actorOf } from "./acting.ts";
import { authenticatedAt, authenticationMethods } from "./authentication.ts";
import { type Content, dataOf, transportOf } from "./content.ts";
import type { Actor } from "./meta.ts";
import type { SessionData } from "./session-data.ts";
import type { DataOf } from "./session-interface.ts";

/** Describes a session at one moment, outside its requests. */
export interface SessionSnapshot<Data extends object = SessionData> {
  /** The session's public name, like `req.session.id`. */
  handle: string;
  /** The user who is logged in; `null` before a login. */
  userId: string | null;
  /** How the session's token travels: `"cookie"`, `"bearer"`, or the header's name. */
  transport: string;
  /** When the session began. */
  createdAt: Date;
  /** When the user last authenticated: at the login, or at a later `confirm`; `null` before a login. */
  authenticatedAt: Date | null;
  /** How the user authenticated then: the `methods` of that call. */
  authenticationMethods: readonly string[];
  /** The login's `link`, if it had one. */
  link: string | undefined;
  /** The login's `stamp`, if it had one. */
  stamp: string | undefined;
  /** Who acts in it in the place of its user; `null` in a user's own session. */
  actor: Actor | null;
  /** The last use that was stored, at most `touchAfter` before the real one. */
  lastUsedAt: Date;
  /** When the session ends if no request uses it again. */
  expiresAt: Date;
  /** A copy of the application's data. Changes to it are not saved. */
  data: DataOf<Data> & Record<string, unknown>;
}

/** Builds a snapshot. @param onDamage called for each property that is not JSON, and is omitted */
export function snapshotOf(
  handle: string,
  record: SessionRecord,
  content: Content,
  onDamage: () => void,
): SessionSnapshot {
  const { userId, link, createdAt, touchedAt, expiresAt } = record;
  const at = authenticatedAt(record, content.meta);
  return {
    handle,
    userId,
    transport: transportOf(content.meta),
    createdAt: new Date(createdAt),
    authenticatedAt: at === null ? null : new Date(at),
    authenticationMethods: authenticationMethods(content.meta),
    link,
    stamp: content.meta.stamp,
    actor: actorOf(content.meta),
    lastUsedAt: new Date(touchedAt),
    expiresAt: new Date(expiresAt),
    data: dataOf(content.encoded, onDamage),
  };
}
