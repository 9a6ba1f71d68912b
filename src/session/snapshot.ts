import type { SessionRecord } from "../contract/store.ts";
import type { Content } from "./changes.ts";
import { transportOf } from "./record.ts";

/** A session seen from outside its requests. */
export interface SessionSnapshot {
  handle: string;
  userId: string | null;
  /** How its token travels: `"cookie"`, `"bearer"`, or the header's name. */
  transport: string;
  createdAt: Date;
  lastUsedAt: Date;
  expiresAt: Date;
  /** A copy: changing it changes nothing. */
  data: Record<string, unknown>;
}

/** @param onDamage told of a property whose text is no JSON; it counts as absent */
export function snapshotOf(
  handle: string,
  { userId, createdAt, touchedAt, expiresAt }: SessionRecord,
  content: Content,
  onDamage: () => void,
): SessionSnapshot {
  const data: Record<string, unknown> = {};
  for (const [name, text] of content.texts) {
    try {
      const value: unknown = JSON.parse(text);
      Object.defineProperty(data, name, { value, enumerable: true, writable: true, configurable: true });
    } catch {
      onDamage();
    }
  }
  return {
    handle,
    userId,
    transport: transportOf(content.facts),
    createdAt: new Date(createdAt),
    lastUsedAt: new Date(touchedAt),
    expiresAt: new Date(expiresAt),
    data,
  };
}
