import type { Device } from "../contract/device.ts";
import type { SessionQuery, StoredSession } from "../contract/store.ts";
import { actorOf, isActing } from "./acting.ts";
import { authenticatedAt, authenticationMethods } from "./authentication.ts";
import { decodePayload } from "./content.ts";
import type { SessionParts } from "./context.ts";
import type { SessionMeta } from "./meta.ts";
import type { StoreAccess } from "./store-access.ts";
import { hasExpired } from "./timeouts.ts";

/** A session that a store lists, with its metadata. */
export interface Listed {
  readonly session: StoredSession;
  readonly meta: SessionMeta;
}

const LIST_PAGE = 1_000;

/** Yields the unexpired sessions of a user or a link, page by page. */
export async function* pagesOf(access: StoreAccess, which: SessionQuery): AsyncGenerator<readonly StoredSession[]> {
  const store = access.indexed("list");
  let cursor: string | undefined;
  do {
    const query = { ...which, limit: LIST_PAGE, ...(cursor !== undefined && { cursor }) };
    const page = await access.read("list", () => store.list(query));
    yield page.sessions;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** Yields the sessions that a request would open, neither ended nor damaged, of the users themselves. */
export async function* openSessions(
  parts: SessionParts,
  access: StoreAccess,
  which: SessionQuery,
  withImpersonations = false,
): AsyncGenerator<Listed> {
  for await (const page of pagesOf(access, which)) {
    for (const session of page) {
      const meta = decodePayload(session.payload)?.meta;
      if (meta === undefined || hasEnded(parts, session, meta)) continue;
      if (meta.actor === undefined || (withImpersonations && (await isActing(access, meta.actor)))) {
        yield { session, meta };
      }
    }
  }
}

/**
 * Lists sessions as a page shows them.
 * @param options - `current` is the handle of the reader's own; `impersonations` shows these, too
 */
export async function listDevices(
  parts: SessionParts,
  access: StoreAccess,
  which: SessionQuery,
  { current, impersonations }: { current?: string | undefined; impersonations?: boolean | undefined } = {},
): Promise<Device[]> {
  const devices: Device[] = [];
  for await (const { session, meta } of openSessions(parts, access, which, impersonations)) {
    const at = authenticatedAt(session, meta);
    devices.push({
      handle: session.handle,
      userId: session.userId,
      label: meta.device?.label ?? "Unknown device",
      ip: meta.device?.ip,
      createdAt: new Date(session.createdAt),
      authenticatedAt: at === null ? null : new Date(at),
      authenticationMethods: authenticationMethods(meta),
      link: session.link,
      actor: actorOf(meta),
      lastUsedAt: new Date(session.touchedAt),
      expiresAt: new Date(session.expiresAt),
      current: session.handle === current,
    });
  }
  return devices;
}

/** Returns whether requests reject a session: a timeout may have become shorter. */
export function hasEnded(
  { clock, limits }: SessionParts,
  { createdAt, touchedAt, expiresAt }: Omit<StoredSession, "handle">,
  meta: SessionMeta,
): boolean {
  return hasExpired({ ...meta, createdAt, touchedAt, expiresAt }, clock.now(), limits);
}
