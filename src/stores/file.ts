import { resolve } from "node:path";
import { SojournError } from "../contract/errors.ts";
import {
  type IndexedStore,
  leaveTombstone,
  type ReplaceResult,
  type SessionPage,
  type SessionQuery,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { type Clock, systemClock } from "../contract/time.ts";
import { inBatches, Semaphore } from "./concurrency.ts";
import { checkFolders, makeFolder, makeRoot } from "./file/disk.ts";
import { storeError, systemCode } from "./file/failures.ts";
import { CHUNK, isOf, Lifecycle } from "./file/lifecycle.ts";
import { Markers } from "./file/markers.ts";
import { nameOfHandle, nameOfUser, newState, randomName, stateOf } from "./file/names.ts";
import { Sessions, untilDone } from "./file/sessions.ts";
import { checkedLimit, decodeCursor, Newest, nextPage } from "./paging.ts";
import { refuseUrl } from "./path.ts";

export type * from "../contract/types.ts";

/** Options for {@link FileStore}. */
export interface FileStoreOptions {
  /** Default: the system clock. */
  clock?: Clock | undefined;
}

/** Limits the open files of a burst of requests. Node runs four file operations at once. */
const MOST_AT_ONCE = 16;

/**
 * Keeps sessions as files in a folder, which any number of processes on one machine may share. It
 * needs no database and no package.
 *
 * An acknowledged write survives `kill -9` and a power cut, except that a power cut may undo a
 * touch. There are no locks. `load` treats a damaged file as a missing session.
 *
 * File names contain hashes and numbers only. Folders have mode 0700, files 0600. A symbolic link
 * below the folder, or a folder of another user, is an error. The folder must be on a local file
 * system: network file systems don't keep these promises.
 *
 * @param folder the first session creates it. If it disappears later, all calls fail with
 * `STORE_UNAVAILABLE`, until it is back or a new session creates it again: a missing folder does
 * not mean that all sessions have ended
 * @throws TypeError for an invalid argument, and on Windows. All methods reject with
 * `SojournError`: `STORE_UNAVAILABLE` (unreadable, removed, owned by another user, too many open
 * files), `STORE_FULL`, `STORE_CORRUPT` (a symbolic link), `STORE_CLOSED`. The constructor throws
 * the error about a link or an owner.
 * @example
 * import { session } from "sojourn";
 * import { FileStore } from "sojourn/file";
 *
 * const sessions = session({ store: new FileStore("sessions") });
 */
export class FileStore implements IndexedStore {
  readonly capabilities: Readonly<StoreCapabilities> = {
    durable: "power-loss",
    shared: true,
    atomicUpdate: true,
    indexed: true,
  };

  readonly #clock: Clock;
  readonly #root: string;
  readonly #sessions: Sessions;
  readonly #markers: Markers;
  readonly #lifecycle: Lifecycle;
  readonly #calls = new Semaphore(MOST_AT_ONCE);
  #isClosed = false;

  constructor(folder: string, options: FileStoreOptions = {}) {
    if (typeof folder !== "string" || folder === "" || folder.includes("\0")) {
      throw new TypeError("FileStore: the first argument must be the path of a folder");
    }
    refuseUrl(folder, "FileStore");
    if (process.platform === "win32") {
      throw new TypeError("FileStore: needs a POSIX file system; on Windows, use the SQLite store");
    }
    this.#clock = options.clock ?? systemClock;
    this.#root = resolve(folder);
    this.#sessions = new Sessions(this.#root, this.#clock);
    this.#markers = new Markers(this.#root);
    this.#lifecycle = new Lifecycle(this.#sessions, this.#markers, this.#clock);
    try {
      checkFolders(this.#root, this.#folders);
    } catch (error) {
      // Other failures may be over by the first call.
      if (/^(?:ELOOP|EOWNER)$/.test(systemCode(error) ?? "")) throw storeError(error, this.#root);
    }
  }

  load(handle: string): Promise<SessionRecord | undefined> {
    return this.#run(async () => {
      const found = await this.#sessions.load(nameOfHandle(handle));
      if (found?.handle !== handle) return undefined;
      const { handle: _, ...record } = found;
      return record;
    });
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    return this.#run(async () => {
      try {
        return await this.#lifecycle.create(handle, record);
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
        // This is the first session, or the folder was removed.
        await makeRoot(this.#root);
        for (const folder of this.#folders) await makeFolder(folder);
        return await this.#lifecycle.create(handle, record);
      }
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#run(async () => {
      const name = nameOfHandle(handle);
      const payloadName = randomName();
      let isUnnamed = false;
      let result: UpdateResult | undefined;
      try {
        result = await untilDone(async () => {
          const { state, payloads } = await this.#sessions.look(name);
          const now = this.#clock.now();
          if (state === undefined || state.expiresAt <= now) return "gone";
          if (state.version !== expectedVersion) return "conflict";
          if (record.expiresAt <= now) return (await this.#lifecycle.end(name, state, payloads)) ? "ok" : undefined;
          isUnnamed ||= await this.#sessions.writePayload(name, handle, record, payloadName);
          if (!isUnnamed) return undefined;
          const { version, touchedAt, expiresAt } = record;
          const next = stateOf({ version, touchedAt, expiresAt, payloadName, userName: state.userName });
          await this.#markers.bringForward(name, state, next);
          if (!(await this.#sessions.setState(name, state, next))) return undefined;
          isUnnamed = false;
          await this.#sessions.sync(name);
          // All other payloads belong to versions before this one.
          const others = payloads.filter((other) => other !== payloadName);
          await this.#sessions.removePayloads(name, others);
          await this.#markers.addUser(name, state.userName);
          return "ok";
        });
        return result;
      } finally {
        if (isUnnamed || result === "gone") await this.#sessions.tidy(name, isUnnamed ? [payloadName] : []);
      }
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#run(() => {
      const name = nameOfHandle(handle);
      return untilDone(async () => {
        const { state } = await this.#sessions.look(name);
        if (state === undefined || state.expiresAt <= this.#clock.now()) return false;
        const next = stateOf({
          ...state,
          touchedAt: Math.max(touchedAt, state.touchedAt),
          expiresAt: Math.max(expiresAt, state.expiresAt),
        });
        // A touch is the only write that is not synced.
        return next.name === state.name || (await this.#sessions.setState(name, state, next)) || undefined;
      });
    });
  }

  delete(handle: string): Promise<boolean> {
    return this.#run(() => this.#lifecycle.delete(nameOfHandle(handle)));
  }

  /** Replaces a session in one step, after its tombstone: no `rename` moves two files. */
  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    if (tombstone !== undefined) await leaveTombstone(this, tombstone);
    return this.#run(async () => {
      const name = nameOfHandle(handle);
      const newName = nameOfHandle(newHandle);
      const next = newState(record);
      let isPrepared = false;
      let isDone = false;
      try {
        return await untilDone(async () => {
          const { state, payloads } = await this.#sessions.look(name);
          if (state === undefined || state.expiresAt <= this.#clock.now()) return "gone";
          if (state.version !== expectedVersion) return "conflict";
          isPrepared ||= await this.#lifecycle.publish(newHandle, record, next, { withState: false });
          if (!isPrepared) return "taken";
          isDone = await this.#sessions.replace(name, state, newName, next);
          if (!isDone) return undefined;
          await this.#markers.addUser(newName, next.userName);
          await this.#lifecycle.remove(name, state, payloads);
          return "ok";
        });
      } finally {
        if (isPrepared && !isDone) await this.#lifecycle.remove(newName, next, [next.payloadName]);
      }
    });
  }

  /** Returns one page. Reads the user's sessions, or without a user the folders of all. */
  list(query: SessionQuery & { cursor?: string; limit?: number }): Promise<SessionPage> {
    return this.#run(async () => {
      const limit = checkedLimit(query.limit ?? 100, "list");
      const newest = new Newest(limit + 1, decodeCursor(query.cursor));
      for await (const names of this.#namesOf(query.userId)) {
        // Only the payload has the handle, so the name stands for it until the page is known.
        for (const place of await this.#live(names, query.userId)) newest.offer(place);
      }
      const page = newest.places.slice(0, limit);
      const sessions = await inBatches(page, CHUNK, ({ handle: name }) => this.#sessions.load(name));
      return { sessions: sessions.flatMap((session) => session ?? []), ...nextPage(newest.places, limit) };
    });
  }

  /** Deletes sessions one by one. New ones may stay. After an error, call it again. */
  deleteAll({ userId, except }: SessionQuery & { except?: string }): Promise<number> {
    return this.#run(async () => {
      const kept = except === undefined ? undefined : nameOfHandle(except);
      let ended = 0;
      for (let isMore = true; isMore; ) {
        isMore = false;
        for await (const all of this.#namesOf(userId)) {
          const names = all.filter((name) => name !== kept);
          // A session may have been replaced before its turn, and then the user has a new one.
          isMore ||= userId !== undefined && names.length > 0;
          ended += (await inBatches(names, CHUNK, (name) => this.#lifecycle.delete(name, userId))).filter(
            Boolean,
          ).length;
        }
      }
      return ended;
    });
  }

  /** Counts sessions: without a user only by folders, with expired ones until `prune`. */
  count({ userId }: SessionQuery = {}): Promise<number> {
    return this.#run(async () => {
      let count = 0;
      for await (const names of this.#namesOf(userId)) {
        count += userId === undefined ? names.length : (await this.#live(names, userId)).length;
      }
      return count;
    });
  }

  /** Removes sessions that expired two minutes ago or earlier. `limit` defaults to 1,000. */
  prune(limit = 1_000): Promise<number> {
    return this.#run(() => this.#lifecycle.prune(checkedLimit(limit, "prune")));
  }

  /** Waits for pending calls. Later calls fail with `STORE_CLOSED`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#calls.idle();
  }

  async #run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", `The session folder ${this.#root} is closed.`);
    try {
      return await this.#calls.run(call);
    } catch (error) {
      throw storeError(error, this.#root);
    }
  }

  get #folders(): readonly string[] {
    return [...this.#sessions.folders, ...this.#markers.folders];
  }

  /** Returns the unexpired sessions among these, of one user or of everyone. */
  async #live(names: readonly string[], userId: string | undefined): Promise<{ touchedAt: number; handle: string }[]> {
    const now = this.#clock.now();
    const looks = await inBatches(names, CHUNK, async (name) => ({
      name,
      state: (await this.#sessions.look(name)).state,
    }));
    return looks.flatMap(({ name, state }) =>
      state !== undefined && state.expiresAt > now && isOf(state, userId)
        ? [{ touchedAt: state.touchedAt, handle: name }]
        : [],
    );
  }

  async *#namesOf(userId: string | undefined): AsyncGenerator<string[]> {
    if (userId === undefined) return yield* this.#sessions.shards();
    const names = await this.#markers.ofUser(nameOfUser(userId));
    await this.#sessions.assertPresent();
    yield names;
  }
}
