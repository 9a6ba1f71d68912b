import { type IndexedStore, isIndexed, type SessionRecord, type SessionStore } from "../contract/store.ts";
import { type Clock, setImmediate, systemClock } from "../contract/time.ts";
import { handleOf } from "../crypto/signature.ts";
import { hashSecret } from "../crypto/token.ts";
import { type Duration, FOREVER, parseDuration } from "../session/timeouts.ts";
import type { Session } from "./express-session/session.ts";
import type { SessionData } from "./express-session/session-data.ts";
import { Store } from "./express-session/store.ts";

/** Options for {@link toExpressStore}. */
export interface ToExpressStoreOptions {
  /** How long a session without `cookie.maxAge` is kept after its last use. Default `"1d"`. */
  ttl?: Duration | undefined;
  /** The source of the time. Default: the machine's. */
  clock?: Clock | undefined;
}

type Origin = Pick<SessionRecord, "version" | "createdAt">;
type Done = (error?: unknown) => void;

/** How often a change that met another one is put over it. Each time another one was done, so a crowd gets through. */
const TRIES = 50;

/**
 * Converts a store of Sojourn to a store for express-session, the original or the drop-in.
 *
 * The store keeps sessions under a hash of their IDs, so that a stolen database opens nothing. A session that is destroyed while a request uses
 * it stays destroyed. Two requests that change one session at once overwrite each other, because express-session saves whole sessions.
 *
 * @throws TypeError if `ttl` is not a positive duration
 * @example
 * import session from "express-session";
 * import { toExpressStore } from "sojourn/express-session";
 * import { SqliteStore } from "sojourn/sqlite";
 *
 * const store = toExpressStore(new SqliteStore("sessions.db"), { ttl: "2w" });
 * const middleware = session({ store, secret: "s", resave: false, saveUninitialized: false });
 */
export function toExpressStore(store: SessionStore, options: ToExpressStoreOptions = {}): ToExpressStore {
  const made = new StoreOverStore(store, options);
  assertFits(made);
  return made;
}

/** Is what {@link toExpressStore} returns: a `Store` for the types of the drop-in and of the original. */
export type ToExpressStore = Store & StoreOfAnyData & { /** Closes the store beneath. */ close(): Promise<void> };

/** Is a store's methods for any declared data, because the types of the original have a `SessionData` and a `Cookie` of their own. */
export interface StoreOfAnyData {
  get<Data>(id: string, callback: (error: unknown, session?: Data | null) => void): void;
  set(id: string, session: object, callback?: Done): void;
  touch(id: string, session: object, callback?: Done): void;
  all<Data>(callback: (error: unknown, sessions?: Data[] | null) => void): void;
  load<Data>(id: string, callback: (error?: unknown, session?: Data) => unknown): void;
  createSession<Data>(req: object, data: object): Data;
}

/** It hands over whatever a session holds, which only the application knows the type of. */
function assertFits(_store: StoreOverStore): asserts _store is StoreOverStore & StoreOfAnyData {}

class StoreOverStore extends Store {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  /** The record that a session was read from, or last written as. */
  readonly #origins = new WeakMap<object, Origin>();

  constructor(store: SessionStore, { ttl = "1d", clock = systemClock }: ToExpressStoreOptions) {
    super();
    this.#store = store;
    this.#clock = clock;
    this.#ttlMs = parseDuration(ttl, "ttl");
  }

  get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    answer(async () => {
      const record = await this.#store.load(handleOf(id));
      const data = record === undefined ? undefined : dataIn(record);
      if (record !== undefined && data !== undefined) this.#origins.set(data, record);
      return data ?? null;
    }, callback);
  }

  /** Remembers which record the request's session came from. */
  override createSession(req: object, data: SessionData): Session & SessionData {
    const session = super.createSession(req, data);
    const origin = this.#origins.get(data);
    if (origin !== undefined) this.#origins.set(session, origin);
    return session;
  }

  set(id: string, session: SessionData, callback?: Done): void {
    // Now, because the session may be changed until the store answers.
    const payload = JSON.stringify(session);
    const expiresAt = this.#endOf(session);
    answer(() => this.#write(id, session, payload, expiresAt), callback);
  }

  destroy(id: string, callback?: Done): void {
    answer(async () => void (await this.#store.delete(handleOf(id))), callback);
  }

  override touch(id: string, session: SessionData, callback?: Done): void {
    const expiresAt = this.#endOf(session);
    answer(async () => void (await this.#store.touch(handleOf(id), this.#clock.now(), expiresAt)), callback);
  }

  override length(callback: (error: unknown, length?: number) => void): void {
    answer(async () => this.#indexed().count(), callback);
  }

  override clear(callback?: Done): void {
    answer(async () => void (await this.#indexed().deleteAll({})), callback);
  }

  override all(callback: (error: unknown, sessions?: SessionData[] | null) => void): void {
    answer(async () => {
      const store = this.#indexed();
      const all: SessionData[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.list({ limit: 1_000, ...(cursor !== undefined && { cursor }) });
        for (const record of page.sessions) {
          const data = dataIn(record);
          if (data !== undefined) all.push(data);
        }
        cursor = page.cursor;
      } while (cursor !== undefined);
      return all;
    }, callback);
  }

  /** Closes the store beneath. */
  async close(): Promise<void> {
    await this.#store.close();
  }

  async #write(id: string, session: SessionData, payload: string, expiresAt: number): Promise<void> {
    const handle = handleOf(id);
    const origin = this.#origins.get(session);
    let base: Origin | undefined = origin;
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const now = this.#clock.now();
      const record: SessionRecord = {
        payload,
        version: (base?.version ?? 0) + 1,
        secretHash: hashSecret(id),
        userId: null,
        createdAt: base?.createdAt ?? now,
        touchedAt: now,
        expiresAt,
      };
      const isWritten =
        base === undefined
          ? await this.#store.create(handle, record)
          : (await this.#store.update(handle, record, base.version)) === "ok";
      if (isWritten) {
        this.#origins.set(session, record);
        return;
      }
      base = await this.#store.load(handle);
      // It was there when this session was read from it, so it was ended since: what is written now must not bring it back.
      if (base === undefined && origin !== undefined) return;
    }
    throw new Error("other requests kept changing the session; nothing was saved");
  }

  #endOf({ cookie }: SessionData): number {
    const { expires } = cookie;
    const end = expires ? new Date(expires).valueOf() : Number.NaN;
    return Math.min(Number.isNaN(end) ? this.#clock.now() + this.#ttlMs : end, FOREVER);
  }

  #indexed(): IndexedStore {
    if (isIndexed(this.#store)) return this.#store;
    throw new Error("this store can't list its sessions");
  }
}

/** A record's session; a touch has moved the record's end, and not the cookie's in it. Damaged ones count as absent. */
function dataIn(record: SessionRecord): SessionData | undefined {
  try {
    const data: SessionData = JSON.parse(record.payload);
    if (data.cookie.expires) data.cookie.expires = new Date(record.expiresAt);
    return data;
  } catch {
    return undefined;
  }
}

/** Calls back with the outcome of some work. An error that the callback throws reaches the application. */
function answer<T>(work: () => Promise<T>, callback: ((error: unknown, value?: T) => void) | undefined): void {
  work().then(
    (value) => setImmediate(() => callback?.(null, value)),
    (error: unknown) => setImmediate(() => callback?.(error)),
  );
}
