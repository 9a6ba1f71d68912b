import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord, SessionStore } from "../contract/store.ts";
import { type Clock, withDeadline } from "../contract/time.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { newKey } from "../crypto/random.ts";
import { Events } from "./events.ts";
import { inOrder, type KeyPlan, type KeyTimes, nextChange, nextKeyFrom, stillNeeded } from "./key-plan.ts";
import { noteHandle, noteRecord } from "./notes.ts";
import { StoreAccess } from "./store-access.ts";
import { FOREVER } from "./timeouts.ts";

/** Seals keys for the store, and opens them again: by a key management service, for example. */
export interface KeySealer {
  /** Returns a text that only `open` can read. */
  seal(key: Buffer): string | Promise<string>;
  /** Returns what was sealed. Throws or rejects for anything else. */
  open(sealed: string): Buffer | Promise<Buffer>;
}

interface Key extends KeyTimes {
  readonly bytes: Buffer;
  /** As the store has it. */
  readonly text: string;
}

const READ_MS = 2_000;
const COMMIT_MS = 2_000;
/** A key management service is slower than a store. */
const SEALER_MS = 10_000;
/** Unknown tokens and failures make a process read the keys this often at most. */
const PAUSE_MS = 10_000;
const RETRY_MS = 1_000;
const TRIES = 20;

/**
 * Keys that a store keeps for all processes of an application, sealed, and that are rotated on time.
 * {@link managedKeys} makes them, for the option `secret` of `session()`.
 */
export class ManagedKeys {
  readonly #access: StoreAccess;
  readonly #clock: Clock;
  readonly #handle: string;
  readonly #sealer: KeySealer;
  readonly #plan: KeyPlan;
  readonly #events = new Events();
  readonly #rings = new Set<KeyRing>();
  /** In the order of a ring; empty before the first read. */
  #keys: readonly Key[] = [];
  #reading: Promise<void> | undefined = undefined;
  #lastRead = Number.NEGATIVE_INFINITY;
  #failure: { error: unknown; until: number } | undefined = undefined;
  #cancel: (() => void) | undefined = undefined;

  /** @internal */
  constructor(store: SessionStore, name: string, sealer: KeySealer, plan: KeyPlan, clock: Clock) {
    this.#access = new StoreAccess(store, clock, { readMs: READ_MS, commitMs: COMMIT_MS }, this.#events);
    this.#clock = clock;
    this.#handle = noteHandle("keys", name);
    this.#sealer = sealer;
    this.#plan = plan;
  }

  /**
   * Waits until the keys were read, or made. Requests wait for that by themselves; await it at the
   * start of your application to fail early.
   *
   * @throws SojournError `STORE_…` if the store fails; `KEYS_UNAVAILABLE` if a key can't be opened
   * @example
   * import { MemoryStore } from "sojourn";
   * import { managedKeys } from "sojourn/keys";
   *
   * const keys = managedKeys({ store: new MemoryStore(), rootKey: process.env.SESSION_SECRET ?? "" });
   * await keys.ready();
   */
  async ready(): Promise<void> {
    if (this.#keys.length > 0) return;
    if (this.#failure !== undefined && this.#clock.now() < this.#failure.until) throw this.#failure.error;
    await this.#read();
  }

  /**
   * @internal Keeps a ring up to date. Returns a function that ends that.
   * @throws TypeError if sessions could outlive the keys that made them
   */
  attach(ring: KeyRing, events: Events, absoluteMs: number): () => void {
    if (absoluteMs > this.#plan.keepMs) {
      throw new TypeError(
        "managedKeys({ keepFor }) must be at least as long as absoluteTimeout; with absoluteTimeout: false, set keepFor: false",
      );
    }
    const stop = [
      this.#events.on("store-error", (detail) => events.emit("store-error", detail)),
      this.#events.on("keys-rotated", (detail) => events.emit("keys-rotated", detail)),
    ];
    this.#rings.add(ring);
    if (this.#keys.length > 0) ring.replace(this.#keys.map(({ bytes }) => bytes));
    if (this.#rings.size === 1) this.#refresh();
    return () => {
      for (const off of stop) off();
      this.#rings.delete(ring);
      if (this.#rings.size === 0) this.#cancel?.();
    };
  }

  /**
   * @internal Waits for the keys before a request, and reads them again for a token that none of
   * them made: another process may know a newer one. Forged tokens can't make it read each time.
   */
  prepare(hasUnknown: () => boolean): Awaitable<void> {
    if (this.#keys.length === 0) return this.ready().then(() => this.prepare(hasUnknown));
    if (!hasUnknown()) return undefined;
    const isEarly = this.#clock.now() < this.#lastRead + PAUSE_MS;
    if (this.#reading === undefined && isEarly) return undefined;
    // The store is down: the known keys go on. An event has told.
    return this.#read().catch(() => undefined);
  }

  /** Reads the keys, now and on time. */
  #refresh(): void {
    this.#cancel?.();
    const again = (ms: number): void => {
      if (this.#rings.size > 0) this.#cancel = this.#clock.after(ms, () => this.#refresh());
    };
    this.#read().then(
      () => again(Math.min(this.#plan.refreshMs, this.#untilChange())),
      () => again(Math.min(this.#plan.refreshMs, PAUSE_MS)),
    );
  }

  #untilChange(): number {
    const now = this.#clock.now();
    return (nextChange(this.#keys, now) ?? Number.POSITIVE_INFINITY) - now;
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    this.#lastRead = this.#clock.now();
    try {
      for (let tries = 1; tries <= TRIES; tries += 1) if (await this.#attempt()) return;
      throw new SojournError("CONFLICT", "other processes kept changing the managed keys");
    } catch (error) {
      this.#failure = { error, until: this.#clock.now() + RETRY_MS };
      // The store's own failures have emitted theirs.
      if (error instanceof SojournError && error.code === "KEYS_UNAVAILABLE") {
        this.#events.emit("store-error", { operation: "read the managed keys", error });
      }
      throw error;
    }
  }

  /** Takes over what the store has, and makes a key if one is due. Returns `false` after a conflict. */
  async #attempt(): Promise<boolean> {
    const note = await this.#access.load(this.#handle);
    // Lost keys are written back: sessions in other stores live on.
    const keys = note === undefined ? this.#keys : await this.#opened(note.payload);
    if (note !== undefined) this.#use(keys);
    const now = this.#clock.now();
    const writesFrom = nextKeyFrom(keys, now, this.#plan);
    if (note !== undefined && writesFrom === undefined) return true;
    const next =
      writesFrom === undefined ? keys : [...stillNeeded(keys, now, this.#plan), await this.#make(now, writesFrom)];
    if (!(await this.#store(note, next, now))) return false;
    this.#use(next);
    if (writesFrom !== undefined) {
      this.#events.emit("keys-rotated", { keys: next.length, writesFrom: new Date(writesFrom) });
    }
    return true;
  }

  async #store(note: SessionRecord | undefined, keys: readonly Key[], now: number): Promise<boolean> {
    const record = noteRecord(JSON.stringify(keys.map(({ text }) => text)), now, FOREVER);
    if (note === undefined) return this.#access.note(this.#handle, record);
    const updated = { ...record, createdAt: note.createdAt, version: note.version + 1 };
    return (await this.#access.update(this.#handle, updated, note.version)) === "ok";
  }

  async #make(madeAt: number, writesFrom: number): Promise<Key> {
    const bytes = newKey();
    const body = JSON.stringify({ key: bytes.toString("base64url"), madeAt, writesFrom });
    const text = await this.#sealed("seal", async () => this.#sealer.seal(Buffer.from(body, "utf8")));
    if (typeof text !== "string" || text === "") throw unavailable("rootKey.seal returned no text");
    return { bytes, text, madeAt, writesFrom };
  }

  /** Opens the keys that this process does not know yet. */
  async #opened(payload: string): Promise<Key[]> {
    const texts = textsIn(payload);
    const known = new Map(this.#keys.map((key) => [key.text, key]));
    return Promise.all(texts.map(async (text) => known.get(text) ?? (await this.#open(text))));
  }

  async #open(text: string): Promise<Key> {
    const body = await this.#sealed("open", async () => this.#sealer.open(text));
    const key = keyIn(text, body);
    if (key === undefined) throw unavailable("rootKey.open returned something that is no key");
    return key;
  }

  /** Calls the sealer. A failure says nothing of a key. */
  #sealed<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const late = () => unavailable(`rootKey.${operation} did not answer within ${SEALER_MS} ms`);
    const failed = (cause: unknown): never => {
      throw cause instanceof SojournError ? cause : unavailable(`rootKey.${operation} failed`, cause);
    };
    return withDeadline(work().catch(failed), SEALER_MS, this.#clock, late);
  }

  #use(keys: readonly Key[]): void {
    const ordered = inOrder(keys, this.#clock.now());
    const isSame =
      ordered.length === this.#keys.length && ordered.every(({ text }, at) => text === this.#keys[at]?.text);
    if (isSame) return;
    this.#keys = ordered;
    for (const ring of this.#rings) ring.replace(ordered.map(({ bytes }) => bytes));
  }
}

/** @throws SojournError KEYS_UNAVAILABLE for a note that is none of ours */
function textsIn(payload: string): string[] {
  try {
    const texts: unknown = JSON.parse(payload);
    if (Array.isArray(texts) && texts.length > 0 && texts.every((text) => typeof text === "string")) return texts;
  } catch {
    // Below.
  }
  throw unavailable("the store's note of the managed keys is damaged");
}

function keyIn(text: string, body: unknown): Key | undefined {
  if (!(body instanceof Uint8Array)) return undefined;
  try {
    const { key, madeAt, writesFrom } = Object(JSON.parse(Buffer.from(body).toString("utf8")));
    const bytes = Buffer.from(String(key), "base64url");
    const isKey = bytes.length === 32 && typeof madeAt === "number" && typeof writesFrom === "number";
    return isKey ? { text, bytes, madeAt, writesFrom } : undefined;
  } catch {
    return undefined;
  }
}

function unavailable(message: string, cause?: unknown): SojournError {
  return new SojournError("KEYS_UNAVAILABLE", message, cause);
}
