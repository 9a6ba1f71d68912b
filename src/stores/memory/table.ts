import type { SessionQuery, SessionRecord, StoredSession } from "../../contract/store.ts";
import { checkedQuery } from "../query.ts";

/** V8 stops the process while a large `Map` grows, so a table has many small ones. */
const SHARDS = 256;
/** The most entries of an order in one array: changing a longer one takes longer, and V8 makes room for 41. */
const PART = 40;

const WIDE = /[\u0100-\uffff]/;

/** Bytes of a text: one a character, or two in a text with characters beyond Latin-1. Makes V8 hold it in one piece. */
export function bytesOf(text: string): number {
  return WIDE.test(text) ? 2 * text.length : text.length;
}

/** Copies a text, which may be a slice of a larger one and would keep all of it in memory. */
const copyOf = (text: string) => [text.slice(0, 1), text.slice(1)].join("");

/** A stored session or note. Hash and payload are one text, which takes 30 bytes less than two. */
export class Entry {
  readonly handle: string;
  readonly userId: string | null;
  readonly link: string | undefined;
  version: number;
  createdAt: number;
  touchedAt: number;
  expiresAt: number;
  text: string;
  #hashLength: number;

  constructor(handle: string, record: SessionRecord) {
    this.handle = copyOf(handle);
    this.userId = record.userId && copyOf(record.userId);
    this.link = record.link && copyOf(record.link);
    this.version = record.version;
    this.createdAt = record.createdAt;
    this.touchedAt = record.touchedAt;
    this.expiresAt = record.expiresAt;
    this.text = record.secretHash + record.payload;
    this.#hashLength = record.secretHash.length;
  }

  /** Computed, because a field would add eight bytes to each session. */
  get bytes(): number {
    return bytesOf(this.handle) + bytesOf(this.userId ?? "") + bytesOf(this.link ?? "") + bytesOf(this.text);
  }

  hasHash(secretHash: string): boolean {
    return secretHash.length === this.#hashLength && this.text.startsWith(secretHash);
  }

  /** Takes over everything but the user and the link, which never change. */
  write({ secretHash, version, createdAt, touchedAt, expiresAt }: SessionRecord, text: string): void {
    this.version = version;
    this.createdAt = createdAt;
    this.touchedAt = touchedAt;
    this.expiresAt = expiresAt;
    this.text = text;
    this.#hashLength = secretHash.length;
  }

  record(): SessionRecord {
    const { version, userId, link, createdAt, touchedAt, expiresAt } = this;
    const [secretHash, payload] = [this.text.slice(0, this.#hashLength), this.text.slice(this.#hashLength)];
    const record = { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt };
    return link === undefined ? record : { ...record, link };
  }

  stored(): StoredSession {
    return { handle: this.handle, ...this.record() };
  }
}

class Shards<Value> {
  readonly #maps: Map<string, Value>[] = [];

  /** The map that a key belongs to. */
  of(key: string): Map<string, Value> {
    const shard = this.#shardOf(key);
    this.#maps[shard] ??= new Map();
    return this.#maps[shard];
  }

  /** The maps in turn, from the one that a key belongs to. */
  *from(key: string | undefined): Generator<Map<string, Value>> {
    for (let shard = key === undefined ? 0 : this.#shardOf(key); shard < SHARDS; shard++) {
      const map = this.#maps[shard];
      if (map !== undefined) yield map;
    }
  }

  /** The last three characters of a handle hold 14 random bits. */
  #shardOf(key: string): number {
    const last = key.length - 1;
    const hash = 961 * key.charCodeAt(last - 2) + 31 * key.charCodeAt(last - 1) + key.charCodeAt(last);
    return (hash | 0) % SHARDS;
  }
}

/** Entries by user, or by link. Most users have one entry, which needs no `Set`. */
class Groups {
  readonly #groups = new Shards<Entry | Set<Entry>>();

  of(name: string): Iterable<Entry> {
    const group = this.#groups.of(name).get(name) ?? [];
    return group instanceof Entry ? [group] : group;
  }

  add(name: string, entry: Entry): void {
    const groups = this.#groups.of(name);
    const group = groups.get(name);
    if (group instanceof Set) group.add(entry);
    else groups.set(name, group === undefined ? entry : new Set([group, entry]));
  }

  remove(name: string, entry: Entry): void {
    const groups = this.#groups.of(name);
    const group = groups.get(name);
    if (group instanceof Set) group.delete(entry);
    if (group === entry || (group instanceof Set && group.size === 0)) groups.delete(name);
  }
}

/** Entries in the order of a time; those of the same time in the order they were added. */
class Order {
  readonly #timeOf: (entry: Entry) => number;
  /** None is empty. */
  readonly #parts: Entry[][] = [];
  /** For each part but the first, a time that is not after its own times, and not before those of the part before. */
  readonly #starts: number[] = [];

  constructor(timeOf: (entry: Entry) => number) {
    this.#timeOf = timeOf;
  }

  /** The first entry other than `except`. */
  first(except?: Entry): Entry | undefined {
    const first = this.#parts[0]?.[0];
    return first === except ? (this.#parts[0]?.[1] ?? this.#parts[1]?.[0]) : first;
  }

  /** How many entries are not after this time. */
  countTo(time: number): number {
    const parts = this.#parts.slice(0, this.#partOf(time, true) + 1);
    return parts.reduce((sum, part) => sum + part.filter((entry) => this.#timeOf(entry) <= time).length, 0);
  }

  add(entry: Entry): void {
    const time = this.#timeOf(entry);
    const index = this.#partOf(time, true);
    const part = this.#parts[index] ?? [];
    let at = part.length;
    while (at > 0 && this.#timeOf(part[at - 1] ?? entry) > time) at--;
    if (at === part.length) part.push(entry);
    else part.splice(at, 0, entry);
    if (part.length === 1) [this.#parts[index], this.#starts[index]] = [part, time];
    if (part.length <= PART) return;
    // A part that grows at its end stays full.
    const later = part.splice(at === PART ? PART : PART / 2);
    this.#parts.splice(index + 1, 0, later);
    this.#starts.splice(index + 1, 0, this.#timeOf(later[0] ?? entry));
  }

  remove(entry: Entry): void {
    for (let index = this.#partOf(this.#timeOf(entry), false); index < this.#parts.length; index++) {
      const part = this.#parts[index] ?? [];
      const at = part.indexOf(entry);
      if (at === -1) continue;
      part.splice(at, 1);
      if (part.length > 0) return;
      this.#parts.splice(index, 1);
      this.#starts.splice(index, 1);
      return;
    }
  }

  /** The last part that starts before a time (or at it), else the first. */
  #partOf(time: number, orAt: boolean): number {
    // Most times are the latest so far.
    let low = orAt && time >= (this.#starts.at(-1) ?? time) ? this.#starts.length : 0;
    for (let high = this.#starts.length; low < high; ) {
      const middle = (low + high) >>> 1;
      const start = this.#starts[middle] ?? 0;
      if (start < time || (orAt && start === time)) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Entries by handle, by user, by link, by their last use and by their end. */
export class Table {
  readonly ends = new Order((entry) => entry.expiresAt);
  readonly anonymous = new Order((entry) => entry.touchedAt);
  readonly signedIn = new Order((entry) => entry.touchedAt);
  readonly #entries = new Shards<Entry>();
  readonly #users = new Groups();
  readonly #links = new Groups();
  size = 0;
  bytes = 0;

  find(handle: string): Entry | undefined {
    return this.#entries.of(handle).get(handle);
  }

  /** Sessions that have not expired, of a user or of a link; `undefined` if the query names neither. */
  chosen(query: SessionQuery, now: number): Entry[] | undefined {
    const { userId, link } = checkedQuery(query);
    const group = userId === undefined ? link !== undefined && this.#links.of(link) : this.#users.of(userId);
    return group ? [...group].filter(({ expiresAt }) => expiresAt > now) : undefined;
  }

  /** Unexpired entries after a handle, map by map. So they stay in order whatever is used or removed. */
  page(room: number, after: string | undefined, now: number): Entry[] {
    const found: Entry[] = [];
    const first = after === undefined ? undefined : this.#entries.of(after);
    for (const map of this.#entries.from(after)) {
      const isIn = ({ handle, expiresAt }: Entry) =>
        expiresAt > now && (map !== first || after === undefined || handle > after);
      found.push(...[...map.values()].filter(isIn).sort((a, b) => (a.handle < b.handle ? -1 : 1)));
      if (found.length >= room) break;
    }
    return found.slice(0, room);
  }

  add(entry: Entry): void {
    const { handle, userId, link } = entry;
    this.#entries.of(handle).set(handle, entry);
    if (userId !== null) this.#users.add(userId, entry);
    if (link !== undefined) this.#links.add(link, entry);
    this.size += 1;
    this.bytes += entry.bytes;
    this.enter(entry);
  }

  remove(entry: Entry): void {
    const { handle, userId, link } = entry;
    this.leave(entry);
    this.size -= 1;
    this.bytes -= entry.bytes;
    this.#entries.of(handle).delete(handle);
    if (userId !== null) this.#users.remove(userId, entry);
    if (link !== undefined) this.#links.remove(link, entry);
  }

  removeExpired(now: number): boolean {
    const first = this.ends.first();
    if (first === undefined || first.expiresAt > now) return false;
    this.remove(first);
    return true;
  }

  /** Must be called before an entry's times change, and `enter` afterwards. */
  leave(entry: Entry): void {
    this.ends.remove(entry);
    (entry.userId === null ? this.anonymous : this.signedIn).remove(entry);
  }

  enter(entry: Entry): void {
    this.ends.add(entry);
    (entry.userId === null ? this.anonymous : this.signedIn).add(entry);
  }
}
