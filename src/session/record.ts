/**
 * The payload of a record: how a session's data becomes text and is read again, one top-level property at a time.
 *
 *     [0,"cart",15,"views",1]⏎["book","lamp"]3
 *
 * The first line is JSON: the length, in UTF-16 units, of the library's own facts about the session (0 where there are none), then each
 * property's name and the length of its JSON text. The facts and the texts follow, one after the other. So a request decodes what it reads and
 * compares what it touched, however large the session is. Only JSON is ever decoded: no class is revived, nothing is evaluated.
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
  /** The transport that it began with, and the cookie's name where no MAC covers it: its token works by no other. Absent for the default. */
  via?: string;
}

/** Describes the device that a session began on. */
export interface DeviceInfo {
  /** Such as "Firefox on Linux". */
  label?: string;
  /** Its IP address. */
  ip?: string;
}

/** A payload taken apart: the JSON text of each property, not yet parsed. */
export interface Decoded {
  facts: SessionFacts;
  texts: Map<string, string>;
}

const NO_FACTS: SessionFacts = Object.freeze({});

export function encodePayload(facts: SessionFacts, texts: ReadonlyMap<string, string>): string {
  let body = hasFacts(facts) ? JSON.stringify(facts) : "";
  const index: (string | number)[] = [body.length];
  for (const [name, text] of texts) {
    index.push(name, text.length);
    body += text;
  }
  return `${JSON.stringify(index)}\n${body}`;
}

/** `undefined` for a payload that is damaged: its record then counts as absent. Never throws. */
export function decodePayload(payload: string): Decoded | undefined {
  // JSON escapes line feeds, so the first one ends the index.
  const end = payload.indexOf("\n");
  if (payload.charCodeAt(0) !== OPENING || payload.charCodeAt(end - 1) !== CLOSING) return undefined;
  const index = new IndexReader(payload);
  const factsLength = index.number();
  let at = end + 1 + factsLength;
  const facts = factsLength === 0 ? NO_FACTS : factsOf(payload.slice(end + 1, at));
  if (facts === undefined) return undefined;
  const texts = new Map<string, string>();
  while (index.at < end - 1) {
    const name = index.name();
    const length = index.number();
    if (name === undefined || !(length >= 1)) return undefined;
    texts.set(name, payload.slice(at, at + length));
    at += length;
  }
  return index.at === end - 1 && at === payload.length ? { facts, texts } : undefined;
}

const OPENING = 0x5b;
const CLOSING = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;

/**
 * Reads `[number,"name",number,…]` from its second character on. By hand, because it is done for every request that reads its session, and
 * JSON.parse makes an array of it first.
 */
class IndexReader {
  readonly #text: string;
  /** The character that comes next. */
  at = 1;

  constructor(text: string) {
    this.#text = text;
  }

  /** `NaN` if there is none. */
  number(): number {
    let value = Number.NaN;
    for (;;) {
      const digit = this.#text.charCodeAt(this.at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = Number.isNaN(value) ? digit : value * 10 + digit;
      this.at += 1;
    }
    return value;
  }

  /** Between two commas. */
  name(): string | undefined {
    const text = this.#text;
    const start = this.at + 1;
    if (text.charCodeAt(this.at) !== COMMA || text.charCodeAt(start) !== QUOTE) return undefined;
    let close = text.indexOf('"', start + 1);
    let name: string | undefined = text.slice(start + 1, close);
    if (name.includes("\\")) {
      while (close > 0 && isEscaped(text, close)) close = text.indexOf('"', close + 1);
      name = parsedName(text.slice(start, close + 1));
    }
    this.at = close + 2;
    return close > 0 && text.charCodeAt(close + 1) === COMMA ? name : undefined;
  }
}

function isEscaped(text: string, quote: number): boolean {
  let first = quote;
  while (text.charCodeAt(first - 1) === 0x5c) first -= 1;
  return (quote - first) % 2 === 1;
}

function parsedName(text: string): string | undefined {
  const name = parsed(text);
  return typeof name === "string" ? name : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** How a session's token travels: `"cookie"`, `"bearer"`, or the header's name. */
export function transportOf({ via = "cookie" }: { readonly via?: string | undefined }): string {
  return via.split(" ", 1)[0] ?? via;
}

/** How a session remembers a cookie of this name. No transport has a space in its name. */
export function cookieVia(name: string): string {
  return `cookie ${name}`;
}

function hasFacts(facts: SessionFacts): boolean {
  for (const name in facts) if (facts[name as keyof SessionFacts] !== undefined) return true;
  return false;
}

/** Facts of the right shape, or `undefined`. */
function factsOf(text: string): SessionFacts | undefined {
  const value = parsed(text);
  if (!isPlainRecord(value)) return undefined;
  const { until, from, device, flash, via } = value;
  if (until !== undefined && typeof until !== "number") return undefined;
  if (from !== undefined && typeof from !== "number") return undefined;
  if (device !== undefined && !isDevice(device)) return undefined;
  if (flash !== undefined && !isFlash(flash)) return undefined;
  if (via !== undefined && typeof via !== "string") return undefined;
  const facts: SessionFacts = {};
  if (until !== undefined) facts.until = until;
  if (from !== undefined) facts.from = from;
  if (device !== undefined) facts.device = device;
  if (flash !== undefined) facts.flash = flash;
  if (via !== undefined) facts.via = via;
  return facts;
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
