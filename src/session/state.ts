import type { SessionRecord } from "../contract/store.ts";
import type { TokenSource } from "../crypto/token.ts";
import { type Changes, type Content, isClear, mayChange, parsedTexts, textOf } from "./content.ts";
import { DetachedObjects, isText } from "./detached.ts";
import type { Events } from "./events.ts";
import { FlashMessages } from "./flash.ts";
import type { Rotation } from "./rotation.ts";
import { requireSerializable, step } from "./serializable.ts";
import type { Session } from "./session-interface.ts";

/** `blank`: not stored. `ending`: destroyed, which the store has not confirmed. `ended`: gone. */
export type Status = "blank" | "stored" | "ending" | "ended";

export interface StateInit {
  status: Status;
  handle?: string;
  secret?: string;
  record: SessionRecord;
  content: Content;
}

/** One session as a request knows it: how it is stored, and what the request has changed since. */
export class SessionState {
  /** Properties that were read or assigned: the target behind `object`. */
  values: Record<string, unknown> = {};
  /** The object that handlers hold, after their first read of `req.session`. */
  object: Session | undefined = undefined;
  status: Status;
  /** Whether this request began the session. */
  isNew: boolean;
  /** The record as last seen in the store; of a blank session, what it will begin with. */
  record: SessionRecord;
  /** The content that the changes are relative to. */
  content: Content;
  rotation: Rotation | undefined = undefined;
  /** Whether a write under this handle has failed, which may still reach the store. */
  isUncertain = false;
  /** Properties that were assigned: any other one that is no object is as it was stored. */
  assigned: Set<string> | undefined = undefined;
  /** Why this session takes no more writes: another one has replaced it in its request. */
  replacedBecause: string | undefined = undefined;

  readonly #tokens: TokenSource;
  readonly #events: Events;
  // Drawn when they are first needed: most blank sessions need neither.
  #handle: string | undefined;
  #secret: string | undefined;
  /** Deleted properties, and how many collections there had been by then. */
  #removed: Map<string, number> | undefined = undefined;
  #collections = 0;
  #detached: DetachedObjects | undefined = undefined;
  #flash: FlashMessages | undefined = undefined;
  #endsAt: number | null | undefined = undefined;
  #absoluteFrom: number | undefined = undefined;

  constructor({ status, handle, secret, record, content }: StateInit, tokens: TokenSource, events: Events) {
    this.#tokens = tokens;
    this.#events = events;
    this.status = status;
    this.isNew = status === "blank";
    this.#handle = handle;
    this.#secret = secret;
    this.record = record;
    this.content = content;
  }

  get handle(): string {
    this.#handle ??= this.#tokens.handle();
    return this.#handle;
  }

  /** What only the client keeps. */
  get secret(): string {
    this.#secret ??= this.#tokens.secret();
    return this.#secret;
  }

  /** Takes another handle and secret. Without them, draws new ones at the next use. */
  rename(handle?: string, secret?: string): void {
    this.#handle = handle;
    this.#secret = secret;
  }

  /** Decodes a stored property into `values`, unless it is there, was removed, or is not stored. */
  decode(name: string): void {
    const text = this.content.encoded.get(name);
    if (text === undefined || !this.#isUndecoded(name)) return;
    try {
      this.#define(name, JSON.parse(text));
    } catch {
      // A damaged text counts as absent, as a damaged record does.
      this.remove(name);
      this.#events.emit("damaged-record", { handle: this.handle });
    }
  }

  /** Decodes all stored properties at once, in a third of the time. */
  decodeAll(): void {
    const names = [...this.content.encoded.keys()].filter((name) => this.#isUndecoded(name));
    const values = parsedTexts(names.map((name) => this.content.encoded.get(name)));
    if (values === undefined) for (const name of names) this.decode(name);
    else for (const [at, name] of names.entries()) this.#define(name, values[at]);
  }

  #isUndecoded(name: string): boolean {
    if (Object.hasOwn(this.values, name) || this.#removed?.has(name) === true) return false;
    // Whatever a record says, the session's own members are not data.
    return name === "constructor" || !Object.hasOwn(Object.getPrototypeOf(this.values), name);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.values, name) || (this.content.encoded.has(name) && this.#removed?.has(name) !== true);
  }

  assign(name: string, value: unknown): void {
    this.#define(name, value);
    this.assigned = (this.assigned ?? new Set()).add(name);
    this.#detached?.forget(name);
  }

  remove(name: string): boolean {
    if (!Reflect.deleteProperty(this.values, name)) return false;
    this.#detached?.forget(name);
    this.#removed = (this.#removed ?? new Map()).set(name, this.#collections);
    return true;
  }

  get endsAt(): number | undefined {
    const { endsAt, notAfter } = this.content.meta;
    const end = this.#endsAt === undefined ? endsAt : (this.#endsAt ?? undefined);
    return end === undefined || notAfter === undefined ? end : Math.min(end, notAfter);
  }

  get absoluteFrom(): number | undefined {
    return this.#absoluteFrom ?? this.content.meta.absoluteFrom;
  }

  persist(endsAt: number | null, absoluteFrom?: number): void {
    this.#endsAt = endsAt;
    this.#absoluteFrom = absoluteFrom;
  }

  get flash(): FlashMessages {
    this.#flash ??= new FlashMessages();
    return this.#flash;
  }

  /**
   * Returns what differs from `content`, or `undefined`. Compares the JSON texts of the properties
   * that were read or assigned. So it finds nested changes, and an unread property costs nothing.
   * @throws SojournError NOT_SERIALIZABLE
   */
  collect(): Changes | undefined {
    if (this.#detached !== undefined) this.#attach(this.#detached);
    const stored = this.content.encoded;
    let encoded: Map<string, string | undefined> | undefined;
    for (const name of Object.keys(this.values)) {
      if (this.assigned?.has(name) !== true && Object(this.values[name]) !== this.values[name]) continue;
      const text = textOf(this.values, name);
      if (text === stored.get(name) && isClear(text)) continue;
      const value = this.values[name];
      if (mayChange(value)) requireSerializable(value, `req.session${step(name)}`);
      if (text === stored.get(name)) continue;
      encoded ??= new Map();
      encoded.set(name, text);
    }
    if (this.#removed !== undefined) {
      for (const name of this.#removed.keys()) {
        if (!stored.has(name) || Object.hasOwn(this.values, name)) continue;
        encoded ??= new Map();
        encoded.set(name, undefined);
      }
    }
    const flash = this.#flash?.changes(this.content.meta.flash);
    const [endsAt, absoluteFrom] = [this.#endsAt, this.#absoluteFrom];
    if (encoded === undefined && flash === undefined && endsAt === undefined && absoluteFrom === undefined)
      return undefined;
    const changes: Changes = { encoded: encoded ?? new Map(), collection: this.#collections };
    this.#collections += 1;
    const blind = this.#detached?.blindAmong(changes.encoded);
    if (blind !== undefined) changes.blind = blind;
    if (flash !== undefined) changes.flash = flash;
    if (endsAt !== undefined) changes.endsAt = endsAt;
    if (absoluteFrom !== undefined) changes.absoluteFrom = absoluteFrom;
    return changes;
  }

  /**
   * Takes over what the store has now: `content`, with `changes` in it. Later changes remain.
   * Properties that other requests stored meanwhile are decoded again.
   */
  settle(record: SessionRecord, content: Content, changes?: Changes): void {
    const before = this.content.encoded;
    this.record = record;
    this.content = content;
    this.status = "stored";
    this.rotation = undefined;
    if (before !== content.encoded) {
      for (const name of Object.keys(this.values)) {
        if (changes?.encoded.has(name) === true || before.get(name) === content.encoded.get(name)) continue;
        if (this.#hasText(name, before.get(name))) this.#detach(name, before.get(name));
      }
    }
    if (changes !== undefined) this.#settled(changes);
  }

  /**
   * Goes on as the session that a rotation begins, with `record` and `content`. The application keeps
   * its object, and in it the properties that are carried over.
   * @param changes what the request had changed by then
   */
  rotate(changes: Changes, rotation: Rotation | undefined, record: SessionRecord, content: Content): void {
    for (const name of Object.keys(this.values)) {
      const text = changes.encoded.has(name) ? changes.encoded.get(name) : this.content.encoded.get(name);
      if (content.encoded.get(name) !== text) Reflect.deleteProperty(this.values, name);
    }
    this.rename();
    this.isNew = true;
    this.status = "blank";
    this.record = record;
    this.content = content;
    this.rotation = rotation;
    this.#settled(changes);
  }

  /** Drops every change, and takes `record` as the truth. */
  reset(record: SessionRecord, content: Content): void {
    for (const name of Object.keys(this.values)) delete this.values[name];
    this.record = record;
    this.content = content;
    this.#removed = undefined;
    this.assigned = undefined;
    this.#detached = undefined;
    this.#flash = undefined;
    this.#endsAt = undefined;
    this.#absoluteFrom = undefined;
  }

  /**
   * Rolls back what was done between two collections, `before` and `after`, and takes `record` as
   * the newest truth. What was changed before or since remains a change.
   */
  rebase(record: SessionRecord, content: Content, before: Changes | undefined, after: Changes): void {
    const earlier = before?.encoded;
    for (const [name, text] of after.encoded) {
      const was = earlier?.get(name);
      if (text === was && earlier?.has(name) === true) continue;
      if (!this.#hasText(name, text)) continue; // changed again since
      this.#detach(name, text);
      if (was !== undefined) this.assign(name, JSON.parse(was));
      else if (earlier?.has(name) !== true) this.#removed?.delete(name);
    }
    const kept = new Set(before?.flash);
    this.#flash?.drop(after.flash?.filter((step) => !kept.has(step)) ?? []);
    if (this.#endsAt === after.endsAt) this.#endsAt = before?.endsAt;
    if (this.#absoluteFrom === after.absoluteFrom) this.#absoluteFrom = before?.absoluteFrom;
    this.settle(record, content);
  }

  /** Drops changes that `content` has now. */
  #settled({ collection = -1, blind, flash, endsAt, absoluteFrom }: Changes): void {
    if (blind !== undefined) this.#detached?.settled(blind);
    this.#removed?.forEach((when, name) => {
      if (when <= collection) this.#removed?.delete(name);
    });
    if (flash !== undefined) this.#flash?.drop(flash);
    if (this.#endsAt === endsAt) this.#endsAt = undefined;
    if (this.#absoluteFrom === absoluteFrom) this.#absoluteFrom = undefined;
  }

  /** Drops a decoded property, and watches the object that handlers may still hold. */
  #detach(name: string, text: string | undefined): void {
    const value = this.values[name];
    Reflect.deleteProperty(this.values, name);
    if (text === undefined || typeof value !== "object" || value === null) return;
    this.#detached ??= new DetachedObjects();
    this.#detached.add({ name, value, text });
  }

  /** Puts detached objects back that the application has changed since. */
  #attach(detached: DetachedObjects): void {
    for (const { name, value } of detached.takeChanged()) {
      const stored = this.content.encoded.get(name);
      // Changed here as well: one of the two values is lost, and an event reports it.
      if (Object.hasOwn(this.values, name) && !this.#hasText(name, stored)) continue;
      this.#detach(name, stored);
      this.#define(name, value);
    }
  }

  #hasText(name: string, text: string | undefined): boolean {
    return Object.hasOwn(this.values, name) ? isText(this.values, name, text) : text === undefined;
  }

  /** Defines names that `Object.prototype` has a setter for, which an assignment would call. */
  #define(name: string, value: unknown): void {
    if (Object.hasOwn(this.values, name) || !(name in this.values)) this.values[name] = value;
    else Object.defineProperty(this.values, name, { value, writable: true, enumerable: true, configurable: true });
  }
}
