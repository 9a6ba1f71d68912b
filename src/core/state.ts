import type { SessionRecord } from "../stores/store.ts";
import { type Changes, type Content, type FlashChanges, textOf } from "./changes.ts";
import type { DeviceInfo } from "./record.ts";

/** What is known of one session while a request uses it: how it was stored, and what was done to it since. */
export class SessionState {
  /** Properties that were read or assigned, as the application sees them. The others still are texts in `content`. */
  readonly values: Record<string, unknown>;
  /** `blank`: no store has heard of it. `ending`: destroyed, not yet confirmed by the store. `ended`: nothing of it is written any more. */
  standing: "blank" | "stored" | "ending" | "ended";
  /** Whether this request began it. */
  readonly isNew: boolean;
  handle: string;
  secret: string;
  /** As last seen in the store; while `blank`, what it would begin with. */
  record: SessionRecord;
  content: Content;
  /** Why this object takes no more writes, once `regenerate` or `destroy` put another in its place. */
  retired: string | undefined = undefined;

  #removed: Set<string> | undefined = undefined;
  #flash: FlashChanges | undefined = undefined;
  #until: number | null | undefined = undefined;
  #from: number | undefined = undefined;
  #device: DeviceInfo | undefined = undefined;
  readonly #onDamage: (state: SessionState) => void;

  constructor(
    values: Record<string, unknown>,
    begin: Pick<SessionState, "standing" | "handle" | "secret" | "record" | "content">,
    onDamage: (state: SessionState) => void,
  ) {
    this.values = values;
    this.standing = begin.standing;
    this.isNew = begin.standing === "blank";
    this.handle = begin.handle;
    this.secret = begin.secret;
    this.record = begin.record;
    this.content = begin.content;
    this.#onDamage = onDamage;
  }

  /** Brings a stored property into `values`; does nothing for one that is there, was removed, or isn't stored. */
  decode(name: string): void {
    const text = this.content.texts.get(name);
    if (text === undefined || Object.hasOwn(this.values, name) || this.#removed?.has(name) === true) return;
    try {
      this.#define(name, JSON.parse(text));
    } catch {
      // A damaged text counts as absent, as a damaged record does.
      this.remove(name);
      this.#onDamage(this);
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
    if (Object.hasOwn(this.values, name)) this.values[name] = value;
    else this.#define(name, value);
  }

  remove(name: string): boolean {
    if (!Reflect.deleteProperty(this.values, name)) return false;
    this.#removed ??= new Set();
    this.#removed.add(name);
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

  set device(device: DeviceInfo) {
    this.#device = device;
  }

  addFlash(type: string, message: unknown): void {
    if (textOf({ flash: message }, "flash") === undefined) throw new TypeError("flash: the message must not be undefined");
    this.#flash ??= { added: new Map(), taken: new Map() };
    const added = this.#flash.added.get(type);
    if (added === undefined) this.#flash.added.set(type, [message]);
    else added.push(message);
  }

  takeFlash(type: string): unknown[] {
    const stored = this.content.facts.flash;
    const here = this.#flash?.taken.has(type) !== true && stored !== undefined && Object.hasOwn(stored, type);
    const left = here ? (stored[type] ?? []) : [];
    const added = this.#flash?.added.get(type) ?? [];
    if (left.length > 0) {
      this.#flash ??= { added: new Map(), taken: new Map() };
      this.#flash.taken.set(type, left);
    }
    this.#flash?.added.delete(type);
    return [...left, ...added];
  }

  /**
   * What differs from the stored content; `undefined` if nothing does. Only properties that were read or assigned are looked
   * at, each compared as JSON text, so that a nested change is found and an unread property costs nothing.
   * @throws SojournError NOT_SERIALIZABLE
   */
  collect(): Changes | undefined {
    const stored = this.content.texts;
    const texts = new Map<string, string | undefined>();
    for (const name of Object.keys(this.values)) {
      const text = textOf(this.values, name);
      if (text !== stored.get(name)) texts.set(name, text);
    }
    if (this.#removed !== undefined) {
      for (const name of this.#removed) {
        if (stored.has(name) && !Object.hasOwn(this.values, name)) texts.set(name, undefined);
      }
    }
    const flash = copyOf(this.#flash);
    if (
      texts.size === 0 &&
      flash === undefined &&
      this.#until === undefined &&
      this.#from === undefined &&
      this.#device === undefined
    ) {
      return undefined;
    }
    const changes: Changes = { texts };
    if (flash !== undefined) changes.flash = flash;
    if (this.#until !== undefined) changes.until = this.#until;
    if (this.#from !== undefined) changes.from = this.#from;
    if (this.#device !== undefined) changes.device = this.#device;
    return changes;
  }

  /**
   * `content` was stored, with `changes` in it. What the application did after they were collected stays a change; what
   * others stored meanwhile is read anew.
   */
  settle(record: SessionRecord, content: Content, changes?: Changes): void {
    const before = this.content.texts;
    this.record = record;
    this.content = content;
    this.standing = "stored";
    if (before !== content.texts) {
      for (const name of Object.keys(this.values)) {
        if (changes?.texts.has(name) !== true && before.get(name) !== content.texts.get(name)) delete this.values[name];
      }
    }
    if (this.#removed !== undefined) {
      for (const name of this.#removed) if (!content.texts.has(name)) this.#removed.delete(name);
    }
    if (changes === undefined) return;
    if (changes.flash !== undefined && this.#flash !== undefined) {
      for (const [type, messages] of changes.flash.added) this.#flash.added.get(type)?.splice(0, messages.length);
      for (const type of changes.flash.taken.keys()) this.#flash.taken.delete(type);
    }
    if (this.#until === changes.until) this.#until = undefined;
    if (this.#from === changes.from) this.#from = undefined;
    if (this.#device === changes.device) this.#device = undefined;
  }

  /** Forgets every change, and takes `record` as the truth. */
  reset(record: SessionRecord, content: Content): void {
    for (const name of Object.keys(this.values)) delete this.values[name];
    this.record = record;
    this.content = content;
    this.#removed = undefined;
    this.#flash = undefined;
    this.#until = undefined;
    this.#from = undefined;
    this.#device = undefined;
  }

  /** Makes changes that were collected earlier its own again, after a `reset`. */
  apply(changes: Changes): void {
    for (const [name, text] of changes.texts) {
      if (text === undefined) this.remove(name);
      else this.assign(name, JSON.parse(text));
    }
    this.#flash = copyOf(changes.flash);
    this.#until = changes.until;
    this.#from = changes.from;
    this.#device = changes.device;
  }

  /** Not an assignment: a name that `Object.prototype` has a setter for must become data of the session's own. */
  #define(name: string, value: unknown): void {
    Object.defineProperty(this.values, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

/** Independent of what is flashed later; `undefined` where nothing is in it. */
function copyOf(flash: FlashChanges | undefined): FlashChanges | undefined {
  if (flash === undefined) return undefined;
  const added = new Map<string, unknown[]>();
  for (const [type, messages] of flash.added) if (messages.length > 0) added.set(type, [...messages]);
  return added.size === 0 && flash.taken.size === 0 ? undefined : { added, taken: new Map(flash.taken) };
}
