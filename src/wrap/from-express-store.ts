import { type Callback, isPromise, withDeadline } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import type { SessionRecord, SessionStore, StoreCapabilities, UpdateResult } from "../contract/store.ts";
import { isHandle, isSecretHash } from "../crypto/token.ts";

/** Is a store written for express-session, as far as Sojourn calls it. */
export interface ExpressSessionStore {
  /** Reads a session. */
  get(id: string, callback: Callback<unknown>): unknown;
  /** Stores a session. */
  set(id: string, session: never, callback?: Callback<unknown>): unknown;
  /** Deletes a session. */
  destroy(id: string, callback?: Callback<unknown>): unknown;
  /** Closes the store's connections, if it has any. */
  close?(): unknown;
}

/** Recognised by its methods: nothing else tells the two kinds of stores apart. */
export function isExpressStore(store: object): store is ExpressSessionStore {
  const { get, set, destroy, create, update }: Partial<ExpressSessionStore & SessionStore> = store ?? {};
  return (
    [get, set, destroy].every((method) => typeof method === "function") && create === undefined && update === undefined
  );
}

/** Nobody waits longer for another call on the same session: the store may never answer that one. */
const PATIENCE_MS = 10_000;
/**
 * The furthest end, from now, that a store is given: a session without timeouts says the year 9999, which not every store can
 * hold (express-mysql-session has 32 bits of seconds). Each write counts from now again.
 */
const LONGEST_MS = 10 * 365 * 24 * 60 * 60 * 1_000;
/** Where in a stored session our record stands. */
const PLACE = "sojourn";

/**
 * Makes a store written for express-session keep our records. Such a store can neither compare and set nor refuse to create, so every
 * change reads first, and the changes of one session take turns: within a process the contract holds. Between processes a change
 * that comes between another one's `get` and `set` is lost, and a session that is ended there is brought back; `capabilities` say so.
 */
export function fromExpressStore(store: ExpressSessionStore, clock: Clock): SessionStore {
  return new ExpressStore(store, clock);
}

class ExpressStore implements SessionStore {
  readonly capabilities: Readonly<StoreCapabilities> = {
    durable: "no",
    shared: false,
    atomicUpdate: false,
    indexed: false,
  };
  readonly #store: ExpressSessionStore;
  readonly #clock: Clock;
  #isClosed = false;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(store: ExpressSessionStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async load(handle: string): Promise<SessionRecord | undefined> {
    this.#refuseIfClosed();
    return this.#read(handle);
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    return this.#inTurn(handle, async () => {
      // A session's handle is 128 random bits, drawn a moment ago, and can't be there. Some stores search long for a missing
      // session: session-file-store takes 250 ms. The handle of any other record may be taken.
      const isFresh = isHandle(handle) && isSecretHash(record.secretHash);
      if (!isFresh && (await this.#read(handle)) !== undefined) return false;
      await this.#write(handle, record);
      return true;
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#inTurn(handle, async () => {
      const current = await this.#read(handle);
      if (current === undefined) return "gone";
      if (current.version !== expectedVersion) return "conflict";
      await this.#write(handle, record);
      return "ok";
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#inTurn(handle, async () => {
      const current = await this.#read(handle);
      if (current === undefined) return false;
      // Not by the store's own touch, which moves the record's end and not what we know of it.
      await this.#write(handle, {
        ...current,
        touchedAt: Math.max(current.touchedAt, touchedAt),
        expiresAt: Math.max(current.expiresAt, expiresAt),
      });
      return true;
    });
  }

  delete(handle: string): Promise<boolean> {
    return this.#inTurn(handle, async () => {
      // Ended even where it can't be read.
      const wasThere = await this.#read(handle).then(
        (record) => record !== undefined,
        () => true,
      );
      await this.#ask((answer) => this.#store.destroy(handle, answer));
      return wasThere;
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled(this.#turns.values());
    await this.#store.close?.();
  }

  async #read(handle: string): Promise<SessionRecord | undefined> {
    let session: unknown;
    try {
      session = await this.#ask((answer) => this.#store.get(handle, answer));
    } catch (error) {
      // What a store says of a session that isn't there, or that is no JSON.
      if (Object(error).code === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
    const record = recordIn(session);
    return record !== undefined && record.expiresAt > this.#clock.now() ? record : undefined;
  }

  async #write(handle: string, record: SessionRecord): Promise<void> {
    const now = this.#clock.now();
    const left = Math.min(record.expiresAt - now, LONGEST_MS);
    if (left <= 0) {
      await this.#ask((answer) => this.#store.destroy(handle, answer));
      return;
    }
    // Stores take a session's end from one of these, each from another.
    const cookie = {
      originalMaxAge: left,
      maxAge: left,
      expires: new Date(now + left),
      httpOnly: true,
      path: "/",
    };
    const session = { cookie, [PLACE]: { ...record } };
    await this.#ask((answer) => Reflect.apply(this.#store.set, this.#store, [handle, session, answer]));
  }

  /** The answer to a call that takes a callback; a store may also throw, or return a promise that fails. */
  #ask(call: (answer: Callback<unknown>) => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const returned = call((error, value) => (error ? reject(error) : resolve(value)));
      if (isPromise(returned)) returned.catch(reject);
    });
  }

  async #inTurn<T>(handle: string, work: () => Promise<T>): Promise<T> {
    this.#refuseIfClosed();
    const before = this.#turns.get(handle);
    const mine = before === undefined ? work() : this.#patiently(before).then(work);
    this.#turns.set(handle, mine);
    const done = (): void => {
      if (this.#turns.get(handle) === mine) this.#turns.delete(handle);
    };
    mine.then(done, done);
    return mine;
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", "the session store was closed");
  }

  #patiently(before: Promise<unknown>): Promise<unknown> {
    return withDeadline(before, PATIENCE_MS, this.#clock, () => new Error("too late")).catch(() => undefined);
  }
}

/** Our record in a stored session, if it has all of its parts. */
function recordIn(session: unknown): SessionRecord | undefined {
  const { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt } = Object(Object(session)[PLACE]);
  if (typeof payload !== "string" || typeof secretHash !== "string") return undefined;
  if (userId !== null && typeof userId !== "string") return undefined;
  if (![version, createdAt, touchedAt, expiresAt].every(Number.isFinite)) return undefined;
  return { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt };
}
