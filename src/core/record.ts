/**
 * The payload of a record: how a session's data becomes text and is read again, one top-level property at a time.
 *
 *     [0,"cart",14,"views",1]⏎["book","lamp"]3
 *
 * The first line is JSON: the library's own facts about the session (0 where there are none), then each property's name and the
 * length, in UTF-16 units, of its JSON text; the texts follow, one after the other. So a request decodes what it
 * reads and compares what it touched, however large the session is. `JSON.stringify` escapes line feeds, so the first
 * one ends the index. Only JSON is ever decoded: no class is revived, nothing is evaluated.
 */

/** The library's own facts about a session that no store needs to understand. */
export interface SessionFacts {
  /** See `Lifetime` in timeouts.ts. */
  until?: number;
  from?: number;
  /** What a user is shown of this session among their devices. */
  device?: DeviceInfo;
  /** Messages left for the next page, by type. */
  flash?: Record<string, unknown[]>;
  /** The transport that it began with, unless that was a cookie: its token works by no other. */
  via?: string;
}

export interface DeviceInfo {
  /** Such as "Firefox on Linux". */
  label?: string;
  /** The address the session began from. */
  ip?: string;
}

/** A payload taken apart: the JSON text of each property, not yet parsed. */
export interface Decoded {
  facts: SessionFacts;
  texts: Map<string, string>;
}

const NO_FACTS: SessionFacts = Object.freeze({});

export function encodePayload(facts: SessionFacts, texts: ReadonlyMap<string, string>): string {
  const index: unknown[] = [hasFacts(facts) ? facts : 0];
  let body = "";
  for (const [name, text] of texts) {
    index.push(name, text.length);
    body += text;
  }
  return `${JSON.stringify(index)}\n${body}`;
}

/** `undefined` for a payload that is damaged: its record then counts as absent. Never throws. */
export function decodePayload(payload: string): Decoded | undefined {
  const headEnd = payload.indexOf("\n");
  if (headEnd < 0 || payload.charCodeAt(0) !== 0x5b) return undefined;
  let index: unknown;
  try {
    index = JSON.parse(payload.slice(0, headEnd));
  } catch {
    return undefined;
  }
  if (!Array.isArray(index) || index.length % 2 !== 1) return undefined;
  const facts = factsOf(index[0]);
  if (facts === undefined) return undefined;
  const texts = new Map<string, string>();
  let at = headEnd + 1;
  for (let i = 1; i < index.length; i += 2) {
    const name: unknown = index[i];
    const length: unknown = index[i + 1];
    if (typeof name !== "string" || typeof length !== "number" || !Number.isInteger(length) || length < 1)
      return undefined;
    texts.set(name, payload.slice(at, at + length));
    at += length;
  }
  return at === payload.length ? { facts, texts } : undefined;
}

/** How a session's token travels: `"cookie"`, `"bearer"`, or the header's name. */
export function transportOf({ via = "cookie" }: SessionFacts): string {
  return via;
}

function hasFacts(facts: SessionFacts): boolean {
  for (const name in facts) if (facts[name as keyof SessionFacts] !== undefined) return true;
  return false;
}

/** Facts of the right shape, or `undefined`. */
function factsOf(value: unknown): SessionFacts | undefined {
  if (value === 0) return NO_FACTS;
  if (!isPlainRecord(value)) return undefined;
  const { until, from, device, flash, via } = value;
  if (until !== undefined && typeof until !== "number") return undefined;
  if (from !== undefined && typeof from !== "number") return undefined;
  if (device !== undefined && !isDevice(device)) return undefined;
  if (flash !== undefined && !isFlash(flash)) return undefined;
  if (via !== undefined && typeof via !== "string") return undefined;
  return {
    ...(until !== undefined && { until }),
    ...(from !== undefined && { from }),
    ...(device !== undefined && { device }),
    ...(flash !== undefined && { flash }),
    ...(via !== undefined && { via }),
  };
}

function isPlainRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDevice(value: unknown): value is DeviceInfo {
  return isPlainRecord(value) && isTextOrAbsent(value["label"]) && isTextOrAbsent(value["ip"]);
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isFlash(value: unknown): value is Record<string, unknown[]> {
  return isPlainRecord(value) && Object.values(value).every(Array.isArray);
}
