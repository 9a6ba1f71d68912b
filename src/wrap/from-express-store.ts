import { SojournError } from "../contract/errors.ts";
import type { SessionRecord, SessionStore, StoreCapabilities, UpdateResult } from "../contract/store.ts";
import { type Callback, type Clock, isPromise, withDeadline } from "../contract/time.ts";
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

/** Recognizes a store written for express-session; only the methods differ. */
export function isExpressStore(store: object): store is ExpressSessionStore {
  const { get, set, destroy, create, update }: Partial<ExpressSessionStore & SessionStore> = store ?? {};
  return (
    [get, set, destroy].every((method) => typeof method === "function") && create === undefined && update === undefined
  );
}

/** How long a call waits for earlier calls on its session, which the store may never answer. */
const QUEUE_TIMEOUT_MS = 10_000;
/**
 * The longest lifetime that a store receives; each write counts it again. A session without
 * timeouts ends in the year 9999, which some stores can't hold: express-mysql-session has 32 bits
 * of seconds.
 */
const LONGEST_MS = 10 * 365 * 24 * 60 * 60 * 1_000;
/** The property of a stored session that holds our record. */
const PROPERTY = "sojourn";

/**
 * Adapts a store written for express-session to the store contract.
 *
 * Such a store can't compare and set, and its `set` overwrites. So every change reads first, and
 * changes to one session are queued: within a process the contract holds. Between processes it does
 * not: a change between another process's `get` and `set` is lost, and an ended session may come
 * back. `capabilities` say so.
 *
 * @example
 * app.use(session({ store: new RedisStore({ client }) })); // connect-redis; `session()` adapts it
 */
export function fromExpressStore(store: ExpressSessionStore, clock: Clock): SessionStore {
  return new FromExpressStore(store, clock);
}

class FromExpressStore implements SessionStore {
  readonly capabilities: Readonly<StoreCapabilities> = {
    durable: "no",
    shared: false,
    atomicUpdate: false,
    indexed: false,
  };
  readonly #store: ExpressSessionStore;
  readonly #clock: Clock;
  #isClosed = false;
  /** The last change in each session's queue. */
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(store: ExpressSessionStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async load(handle: string): Promise<SessionRecord | undefined> {
    this.#refuseIfClosed();
    return this.#read(handle);
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    return this.#enqueue(handle, async () => {
      // A session's handle is 128 fresh random bits, so it can't be taken, and some stores search
      // long for a missing session (session-file-store: 250 ms). The handle of any other record may
      // be taken.
      const isSession = isHandle(handle) && isSecretHash(record.secretHash);
      if (!isSession && (await this.#read(handle)) !== undefined) return false;
      await this.#write(handle, record);
      return true;
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#enqueue(handle, async () => {
      const current = await this.#read(handle);
      if (current === undefined) return "gone";
      if (current.version !== expectedVersion) return "conflict";
      await this.#write(handle, record);
      return "ok";
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#enqueue(handle, async () => {
      const current = await this.#read(handle);
      if (current === undefined) return false;
      // The store's own `touch` would move its expiry, but not the times in our record.
      await this.#write(handle, {
        ...current,
        touchedAt: Math.max(current.touchedAt, touchedAt),
        expiresAt: Math.max(current.expiresAt, expiresAt),
      });
      return true;
    });
  }

  delete(handle: string): Promise<boolean> {
    return this.#enqueue(handle, async () => {
      const wasThere = await this.#read(handle).then(
        (record) => record !== undefined,
        () => true,
      );
      await this.#call((callback) => this.#store.destroy(handle, callback));
      return wasThere;
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled(this.#queues.values());
    await this.#store.close?.();
  }

  async #read(handle: string): Promise<SessionRecord | undefined> {
    try {
      const record = recordIn(await this.#call((callback) => this.#store.get(handle, callback)));
      return record !== undefined && record.expiresAt > this.#clock.now() ? record : undefined;
    } catch (error) {
      // Stores report a missing session, or one that is not JSON, with these errors.
      if (Object(error).code === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  async #write(handle: string, record: SessionRecord): Promise<void> {
    const now = this.#clock.now();
    const left = Math.min(record.expiresAt - now, LONGEST_MS);
    if (left <= 0) {
      await this.#call((callback) => this.#store.destroy(handle, callback));
      return;
    }
    // Each store reads the lifetime from another one of these properties.
    const cookie = { originalMaxAge: left, maxAge: left, expires: new Date(now + left), httpOnly: true, path: "/" };
    const session = { cookie, [PROPERTY]: { ...record } };
    await this.#call((callback) => Reflect.apply(this.#store.set, this.#store, [handle, session, callback]));
  }

  /** Turns a callback into a promise. A store may also throw, or return a promise that rejects. */
  #call(method: (callback: Callback<unknown>) => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const returned = method((error, value) => (error ? reject(error) : resolve(value)));
      if (isPromise(returned)) returned.catch(reject);
    });
  }

  /** Runs a change after the earlier changes to its session. */
  async #enqueue<T>(handle: string, change: () => Promise<T>): Promise<T> {
    this.#refuseIfClosed();
    const before = this.#queues.get(handle);
    const mine = before === undefined ? change() : this.#settled(before).then(change);
    this.#queues.set(handle, mine);
    const done = (): void => {
      if (this.#queues.get(handle) === mine) this.#queues.delete(handle);
    };
    mine.then(done, done);
    return mine;
  }

  /** Waits for an earlier change, whatever its outcome, for a limited time. */
  #settled(change: Promise<unknown>): Promise<unknown> {
    return withDeadline(change, QUEUE_TIMEOUT_MS, this.#clock, () => new Error("timeout")).catch(() => undefined);
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", "The session store was closed.");
  }
}

/** Returns our record from a stored session, if it is complete. */
function recordIn(session: unknown): SessionRecord | undefined {
  const { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt } = Object(Object(session)[PROPERTY]);
  if (typeof payload !== "string" || typeof secretHash !== "string") return undefined;
  if (userId !== null && typeof userId !== "string") return undefined;
  if (![version, createdAt, touchedAt, expiresAt].every(Number.isFinite)) return undefined;
  return { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt };
}
