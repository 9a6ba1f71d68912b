import type { SessionRecord } from "../contract/store.ts";
import type { TokenSource } from "../crypto/token.ts";
import { type Changes, type Content, type FlashStep, mergeFlash, textOf } from "./changes.ts";
import { requireSerializable, step } from "./serializable.ts";

const SHORT = 4;

/** `blank`: no store has heard of it. `ending`: destroyed, not yet confirmed by the store. `ended`: nothing of it is written any more. */
export type Standing = "blank" | "stored" | "ending" | "ended";

export interface StateBegin {
  standing: Standing;
  /** Absent in a session that nobody has heard of: they are drawn when they are needed, which they mostly never are. */
  handle?: string;
  secret?: string;
  record: SessionRecord;
  content: Content;
}

/** An object that the application may still hold although the session has a newer one under its name, and its text by then. */
interface Detached {
  name: string;
  value: object;
  text: string;
}

/** Told of a property whose stored text is damaged. */
export interface DamageListener {
  damaged(state: SessionState): void;
}

/** What is known of one session while a request uses it: how it was stored, and what was done to it since. */
export class SessionState {
  /** Properties that were read or assigned, as the application sees them. The others still are texts in `content`. */
  readonly values: Record<string, unknown>;
  standing: Standing;
  /** Whether this request began it. */
  isNew: boolean;
  /** As last seen in the store; while `blank`, what it would begin with. */
  record: SessionRecord;
  content: Content;
  /** Why this object takes no more writes, once `regenerate` without `keep`, `logout` or `destroy` put another in its place. */
  retired: string | undefined = undefined;

  readonly #tokens: TokenSource;
  #handle: string | undefined;
  #secret: string | undefined;
  /** Deleted properties, and how often changes had been collected by then. */
  #removed: Map<string, number> | undefined = undefined;
  #collections = 0;
  #detached: Detached[] | undefined = undefined;
  /** Names of what was changed that way, until it is stored. */
  #blind: Set<string> | undefined = undefined;
  #flash: FlashStep[] | undefined = undefined;
  #until: number | null | undefined = undefined;
  #from: number | undefined = undefined;
  readonly #listener: DamageListener;

  constructor(values: Record<string, unknown>, begin: StateBegin, tokens: TokenSource, listener: DamageListener) {
    this.#tokens = tokens;
    this.values = values;
    this.standing = begin.standing;
    this.isNew = begin.standing === "blank";
    this.#handle = begin.handle;
    this.#secret = begin.secret;
    this.record = begin.record;
    this.content = begin.content;
    this.#listener = listener;
  }

  get handle(): string {
    this.#handle ??= this.#tokens.handle();
    return this.#handle;
  }

  set handle(handle: string) {
    this.#handle = handle;
  }

  /** What only the client keeps. */
  get secret(): string {
    this.#secret ??= this.#tokens.secret();
    return this.#secret;
  }

  /** Brings a stored property into `values`; does nothing for one that is there, was removed, or isn't stored. */
  decode(name: string): void {
    const text = this.content.texts.get(name);
    if (text === undefined || Object.hasOwn(this.values, name) || this.#removed?.has(name) === true) return;
    // Whatever a record says, the session's own members are not data.
    if (name !== "constructor" && Object.hasOwn(Object.getPrototypeOf(this.values), name)) return;
    try {
      this.#define(name, JSON.parse(text));
    } catch {
      // A damaged text counts as absent, as a damaged record does.
      this.remove(name);
      this.#listener.damaged(this);
    }
  }

  decodeAll(): void {
    for (const name of this.content.texts.keys()) this.decode(name);
  }

  has(name: string): boolean {
    if (Object.hasOwn(this.values, name)) return true;
    return this.content.texts.has(name) && this.#removed?.has(name) !== true;
  }

  assign(name: string, value: unknown): void {
    this.#define(name, value);
    this.#forget(name);
  }

  remove(name: string): boolean {
    if (!Reflect.deleteProperty(this.values, name)) return false;
    this.#forget(name);
    this.#removed ??= new Map();
    this.#removed.set(name, this.#collections);
    return true;
  }

  get until(): number | undefined {
    return this.#until === undefined ? this.content.facts.until : (this.#until ?? undefined);
  }

  get from(): number | undefined {
    return this.#from ?? this.content.facts.from;
  }

  persist(until: number | null, from?: number): void {
    this.#until = until;
    this.#from = from;
  }

  addFlash(type: string, message: unknown): void {
    const text = textOf({ flash: message }, "flash");
    if (text === undefined) throw new TypeError("flash: the message must not be undefined");
    requireSerializable(message, "req.session.flash: the message");
    this.#flash ??= [];
    // A copy: what the application does to its object later is no part of the message.
    this.#flash.push({ type, add: JSON.parse(text) });
  }

  takeFlash(type: string): unknown[] {
    const stored = this.content.facts.flash;
    const lists = this.#flash === undefined ? stored : mergeFlash(stored ?? {}, this.#flash);
    const messages = lists !== undefined && Object.hasOwn(lists, type) ? (lists[type] ?? []) : [];
    if (messages.length === 0) return [];
    const take = messages.map((message) => JSON.stringify(message));
    this.#flash ??= [];
    this.#flash.push({ type, take });
    return take.map((text) => JSON.parse(text) as unknown);
  }

  /**
   * What differs from the stored content; `undefined` if nothing does. Only properties that were read or assigned are looked
   * at, each compared as JSON text, so that a nested change is found and an unread property costs nothing.
   * @throws SojournError NOT_SERIALIZABLE
   */
  collect(): Changes | undefined {
    if (this.#detached !== undefined) this.#attach(this.#detached);
    const stored = this.content.texts;
    let texts: Map<string, string | undefined> | undefined;
    for (const name of Object.keys(this.values)) {
      const text = textOf(this.values, name);
      // Of a short text more than one value is the source: `{}` may be a Map, `null` be NaN.
      if (text === stored.get(name) && !(text !== undefined && text.length <= SHORT)) continue;
      requireSerializable(this.values[name], `req.session${step(name)}`);
      if (text === stored.get(name)) continue;
      texts ??= new Map();
      texts.set(name, text);
    }
    if (this.#removed !== undefined) {
      for (const name of this.#removed.keys()) {
        if (!stored.has(name) || Object.hasOwn(this.values, name)) continue;
        texts ??= new Map();
        texts.set(name, undefined);
      }
    }
    const flash = this.#flashChanges();
    const until = this.#until;
    const from = this.#from;
    if (texts === undefined && flash === undefined && until === undefined && from === undefined) return undefined;
    const changes: Changes = { texts: texts ?? new Map(), asOf: this.#collections };
    this.#collections += 1;
    if (this.#blind !== undefined) changes.blind = [...this.#blind].filter((name) => changes.texts.has(name));
    if (flash !== undefined) changes.flash = flash;
    if (until !== undefined) changes.until = until;
    if (from !== undefined) changes.from = from;
    return changes;
  }

  /**
   * `content` is what the store has now, with `changes` in it. What the application did after they were collected stays a change;
   * what others stored meanwhile is read anew.
   */
  settle(record: SessionRecord, content: Content, changes?: Changes): void {
    const before = this.content.texts;
    this.record = record;
    this.content = content;
    this.standing = "stored";
    if (before !== content.texts) {
      for (const name of Object.keys(this.values)) {
        if (changes?.texts.has(name) === true || before.get(name) === content.texts.get(name)) continue;
        if (this.#isUnchanged(name, before)) this.#detach(name, before.get(name));
      }
    }
    if (changes !== undefined) this.#done(changes);
  }

  /**
   * Goes on as another session, which the store has in the place of this one: the object that the application holds stays the same. What the
   * application does meanwhile stays a change.
   *
   * @param changes what had been changed when that one was made
   * @param seen the values at that time: what the other one did not take over is gone, unless it was assigned since
   */
  become(heir: SessionState, changes: Changes, seen: Readonly<Record<string, unknown>>): void {
    const before = this.content.texts;
    const { texts } = heir.content;
    this.#handle = heir.#handle;
    this.#secret = heir.#secret;
    this.isNew = heir.isNew;
    this.standing = heir.standing;
    this.record = heir.record;
    this.content = heir.content;
    for (const name of Object.keys(this.values)) {
      const was = changes.texts.has(name) ? changes.texts.get(name) : before.get(name);
      if (texts.get(name) === was) continue;
      if (!texts.has(name)) {
        if (this.values[name] === seen[name]) Reflect.deleteProperty(this.values, name);
      } else if (this.#hasText(name, was)) this.#detach(name, was);
    }
    this.#done(changes);
  }

  /** Forgets every change, and takes `record` as the truth. */
  reset(record: SessionRecord, content: Content): void {
    for (const name of Object.keys(this.values)) delete this.values[name];
    this.record = record;
    this.content = content;
    this.#removed = undefined;
    this.#detached = undefined;
    this.#blind = undefined;
    this.#flash = undefined;
    this.#until = undefined;
    this.#from = undefined;
  }

  /**
   * Takes back what was done between `before` and `after`, two collections of this state, and takes `record` as the newest truth.
   * What was changed before, or since, stays a change.
   */
  rebase(record: SessionRecord, content: Content, before: Changes | undefined, after: Changes): void {
    const earlier = before?.texts;
    for (const [name, text] of after.texts) {
      const was = earlier?.get(name);
      if (text === was && earlier?.has(name) === true) continue;
      if (!this.#hasText(name, text)) continue; // changed again since
      this.#detach(name, text);
      if (was !== undefined) {
        this.#define(name, JSON.parse(was));
        continue;
      }
      if (earlier?.has(name) !== true) this.#removed?.delete(name);
    }
    const kept = new Set(before?.flash);
    const undone = new Set(after.flash?.filter((step) => !kept.has(step)));
    this.#flash = this.#flash?.filter((step) => !undone.has(step));
    if (this.#until === after.until) this.#until = before?.until;
    if (this.#from === after.from) this.#from = before?.from;
    this.settle(record, content);
  }

  /** Forgets what is stored now. */
  #done({ asOf = -1, blind, flash, until, from }: Changes): void {
    for (const name of blind ?? []) this.#blind?.delete(name);
    this.#removed?.forEach((when, name) => {
      if (when <= asOf) this.#removed?.delete(name);
    });
    if (flash !== undefined) this.#flash = this.#flash?.filter((step) => !flash.includes(step));
    if (this.#until === until) this.#until = undefined;
    if (this.#from === from) this.#from = undefined;
  }

  /** Has a property read anew. What the application still does to the object that it has is not lost by that. */
  #detach(name: string, text: string | undefined): void {
    const value = this.values[name];
    Reflect.deleteProperty(this.values, name);
    if (text === undefined || typeof value !== "object" || value === null) return;
    this.#detached ??= [];
    this.#detached.push({ name, value, text });
  }

  /** Puts objects back that the application has changed since. */
  #attach(detached: readonly Detached[]): void {
    this.#detached = detached.filter(({ name, value, text }) => isText({ [name]: value }, name, text));
    for (const one of detached) {
      if (this.#detached.includes(one)) continue;
      const { name, value } = one;
      this.#blind ??= new Set();
      this.#blind.add(name);
      const stored = this.content.texts.get(name);
      // Changed there, and here as well: one of the two is lost, and that is told.
      if (Object.hasOwn(this.values, name) && !this.#hasText(name, stored)) continue;
      this.#detach(name, stored);
      this.#define(name, value);
    }
  }

  /** The application has put something else there itself. */
  #forget(name: string): void {
    if (this.#detached !== undefined) this.#detached = this.#detached.filter((one) => one.name !== name);
  }

  #flashChanges(): readonly FlashStep[] | undefined {
    if (this.#flash === undefined || this.#flash.length === 0) return undefined;
    const stored = this.content.facts.flash;
    const merged = mergeFlash(stored ?? {}, this.#flash);
    return JSON.stringify(merged) === JSON.stringify(stored) ? undefined : [...this.#flash];
  }

  #hasText(name: string, text: string | undefined): boolean {
    return Object.hasOwn(this.values, name) ? isText(this.values, name, text) : text === undefined;
  }

  #isUnchanged(name: string, stored: ReadonlyMap<string, string>): boolean {
    return this.#hasText(name, stored.get(name));
  }

  /** A name that `Object.prototype` has a setter for must become data of the session's own, too: such a one is not assigned. */
  #define(name: string, value: unknown): void {
    if (Object.hasOwn(this.values, name) || !(name in this.values)) this.values[name] = value;
    else Object.defineProperty(this.values, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

function isText(holder: Readonly<Record<string, unknown>>, name: string, text: string | undefined): boolean {
  try {
    return textOf(holder, name) === text;
  } catch {
    return false;
  }
}
