import { metaOf, type SessionMeta } from "./meta.ts";
import { notSerializable, requireSerializable, step } from "./serializable.ts";

/**
 * Encodes a session's content as the payload of a record, and merges a request's changes into it,
 * one top-level property at a time.
 *
 *     [0,"cart",15,"views",1]⏎["book","lamp"]3
 *
 * The first line is JSON: the length of the metadata in UTF-16 units (0 for none), then the name of
 * each property and the length of its JSON text. The metadata and the texts follow. A request
 * decodes only the properties that it reads, however large the session is. Sojourn decodes JSON and
 * nothing else: it revives no class and evaluates nothing.
 */
export interface Content {
  readonly meta: SessionMeta;
  /** The JSON text of each property. */
  readonly encoded: ReadonlyMap<string, string>;
  /** Set if the data could not be migrated, and the record must stay as it is: see `DataFormat`. */
  readonly isSetAside?: true;
}

/** The changes of one request, in a form that merges into any newer content. */
export interface Changes {
  /** The new JSON text of each property that was set, `undefined` for one that was deleted. */
  readonly encoded: ReadonlyMap<string, string | undefined>;
  /** `null` removes the fixed end. */
  endsAt?: number | null;
  absoluteFrom?: number;
  flash?: readonly FlashStep[];
  /** The number of the collection that found these changes. */
  collection?: number;
  /** Properties that the application changed without reading their stored value. */
  blind?: readonly string[];
}

/** Adds or takes messages, never overwrites them: the messages of two requests both survive. */
export type FlashStep =
  | { readonly type: string; readonly add: unknown }
  /** The JSON texts of the taken messages. */
  | { readonly type: string; readonly take: readonly string[] };

const NO_META: SessionMeta = Object.freeze({});
export const NO_CHANGES: Changes = { encoded: new Map() };
export const EMPTY: Content = Object.freeze({ meta: NO_META, encoded: new Map<string, string>() });

export function encodePayload({ meta, encoded }: Content): string {
  let body = hasMeta(meta) ? JSON.stringify(meta) : "";
  const index: (string | number)[] = [body.length];
  for (const [name, text] of encoded) {
    index.push(name, text.length);
    body += text;
  }
  return `${JSON.stringify(index)}\n${body}`;
}

/** Returns `undefined` for a damaged payload: its record then counts as absent. Never throws. */
export function decodePayload(payload: string): Content | undefined {
  // JSON escapes line feeds, so the first one ends the index.
  const end = payload.indexOf("\n");
  if (payload.charCodeAt(0) !== OPENING || payload.charCodeAt(end - 1) !== CLOSING) return undefined;
  const index = new IndexReader(payload);
  const length = index.number();
  let at = end + 1 + length;
  const meta = length === 0 ? NO_META : metaOf(parsed(payload.slice(end + 1, at)));
  if (meta === undefined) return undefined;
  const encoded = new Map<string, string>();
  while (index.at < end - 1) {
    const name = index.name();
    const size = index.number();
    if (name === undefined || !(size >= 1)) return undefined;
    encoded.set(name, payload.slice(at, at + size));
    at += size;
  }
  return index.at === end - 1 && at === payload.length ? { meta, encoded } : undefined;
}

const OPENING = 0x5b;
const CLOSING = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;

/**
 * Reads `[number,"name",number,…]` from its second character on. JSON.parse takes twice as long, on
 * every request that reads its session, and many seconds for a payload of nested brackets.
 */
class IndexReader {
  readonly #text: string;
  /** The position of the next character. */
  at = 1;

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads a number; `NaN` if there is none. */
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

  /** Reads a name between two commas. */
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

/** JSON texts this short may stand for several values: `{}` for a Map, `null` for NaN. */
const AMBIGUOUS = 4;

/** Whether a value may be another one when it is read from its JSON text, which takes a walk to tell. */
export function mayChange(value: unknown): boolean {
  return typeof value !== "string" && typeof value !== "boolean" && value !== null && !Number.isFinite(value);
}

/** Whether a text that is stored already says for certain that its value can be stored. */
export function isClear(text: string | undefined): boolean {
  return text === undefined || text.length > AMBIGUOUS;
}

/** Returns the values of JSON texts, parsed at once; `undefined` if one of them is damaged. */
export function parsedTexts(texts: readonly (string | undefined)[]): unknown[] | undefined {
  const values = parsed(`[${texts.join(",")}]`);
  return Array.isArray(values) && values.length === texts.length ? values : undefined;
}

/**
 * Returns the JSON text of a property; `undefined` for the value `undefined`, which deletes it.
 * @throws SojournError NOT_SERIALIZABLE if JSON has no text for it; `requireSerializable` finds
 * what JSON would change
 */
export function textOf(holder: Readonly<Record<string, unknown>>, name: string): string | undefined {
  let text: string | undefined;
  let value: unknown;
  let cause: unknown;
  try {
    value = holder[name];
    if (value === undefined) return undefined;
    text = JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  const path = `req.session${step(name)}`;
  requireSerializable(value, path);
  throw notSerializable(path, "it has no text in JSON, or a getter or a toJSON() of it throws", cause);
}

/** Decodes all properties, except those whose text is damaged. */
export function dataOf(
  encoded: ReadonlyMap<string, string>,
  onDamage: (name: string) => void,
): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  for (const [name, text] of encoded) {
    try {
      const value: unknown = JSON.parse(text);
      // A name may be `__proto__`.
      Object.defineProperty(data, name, { value, enumerable: true, writable: true, configurable: true });
    } catch {
      onDamage(name);
    }
  }
  return data;
}

/** Returns `newest` with `changes` merged into it, and modifies neither. */
export function merge(newest: Content, changes: Changes): Content {
  let encoded = newest.encoded;
  if (changes.encoded.size > 0) {
    const merged = new Map(newest.encoded);
    for (const [name, text] of changes.encoded) {
      if (text === undefined) merged.delete(name);
      else merged.set(name, text);
    }
    encoded = merged;
  }
  return { meta: mergeMeta(newest.meta, changes), encoded };
}

/** Returns the properties that another request stored since `loaded` and `changes` replace. */
export function overwritten({ encoded, blind = [] }: Changes, loaded: Content, newest: Content): Set<string> {
  const names = new Set(blind);
  if (loaded === newest) return names;
  for (const [name, text] of encoded) {
    const theirs = newest.encoded.get(name);
    if (theirs !== loaded.encoded.get(name) && theirs !== text) names.add(name);
  }
  return names;
}

function mergeMeta(newest: SessionMeta, { endsAt, absoluteFrom, flash }: Changes): SessionMeta {
  if (endsAt === undefined && absoluteFrom === undefined && flash === undefined) return newest;
  const meta: SessionMeta = { ...newest };
  if (endsAt === null) delete meta.endsAt;
  else if (endsAt !== undefined) meta.endsAt = endsAt;
  if (absoluteFrom !== undefined) meta.absoluteFrom = absoluteFrom;
  if (flash !== undefined) {
    const messages = mergeFlash(newest.flash ?? {}, flash);
    if (messages === undefined) delete meta.flash;
    else meta.flash = messages;
  }
  return meta;
}

/** Returns the messages by type after `steps`, if any. Another request may have taken some. */
export function mergeFlash(
  newest: Record<string, unknown[]>,
  steps: readonly FlashStep[],
): Record<string, unknown[]> | undefined {
  // A Map, because a message type may have any name, "__proto__" included.
  const lists = new Map<string, unknown[]>(Object.entries(newest));
  for (const step of steps) {
    const list = lists.get(step.type) ?? [];
    lists.set(step.type, "add" in step ? [...list, step.add] : without(list, step.take));
  }
  for (const [type, messages] of lists) if (messages.length === 0) lists.delete(type);
  return lists.size === 0 ? undefined : Object.fromEntries(lists);
}

function without(list: readonly unknown[], taken: readonly string[]): unknown[] {
  const texts = [...taken];
  return list.filter((message) => {
    const at = texts.indexOf(JSON.stringify(message));
    if (at >= 0) texts.splice(at, 1);
    return at < 0;
  });
}

/** Returns how a session's token travels: `"cookie"`, `"bearer"`, or the header's name. */
export function transportOf({ transport = "cookie" }: { readonly transport?: string | undefined }): string {
  return transport.split(" ", 1)[0] ?? transport;
}

/** Returns the metadata for a cookie of this name. No other transport's name has a space. */
export function cookieTransport(name: string): string {
  return `cookie ${name}`;
}

function hasMeta(meta: SessionMeta): boolean {
  for (const name in meta) if (meta[name as keyof SessionMeta] !== undefined) return true;
  return false;
}
