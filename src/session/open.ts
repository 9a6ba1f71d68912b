import type { SessionRecord } from "../contract/store.ts";
import { type Content, decodePayload } from "./content.ts";
import type { Events } from "./events.ts";
import { hasExpired, type Timeouts } from "./timeouts.ts";

/**
 * Returns the content of a session, unless its record is damaged, its time is over, or its token came by another transport than the
 * session began with.
 */
export function openContent(
  handle: string,
  { payload, createdAt, touchedAt, expiresAt }: SessionRecord,
  transport: string | undefined,
  { events, limits, now }: { events: Events; limits: Timeouts; now: number },
): Content | undefined {
  const content = decodePayload(payload);
  if (content === undefined) {
    events.emit("damaged-record", { handle });
    return undefined;
  }
  const { endsAt, absoluteFrom } = content.meta;
  if (hasExpired({ endsAt, absoluteFrom, createdAt, touchedAt, expiresAt }, now, limits)) return undefined;
  if (content.meta.transport === transport) return content;
  events.emit("transport-refused", { handle });
  return undefined;
}
