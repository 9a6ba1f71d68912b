import { resolve } from "node:path";
import { SojournError } from "../contract/errors.ts";
import {
  type Admission,
  type AdmissionResult,
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
import { checkedAdmission } from "./admission.ts";
import { inBatches, Semaphore } from "./concurrency.ts";
import { Admissions } from "./file/admissions.ts";
import { checkFolders, makeFolder, makeRoot } from "./file/disk.ts";
import { storeError, systemCode } from "./file/failures.ts";
import { CHUNK, Lifecycle } from "./file/lifecycle.ts";
import { Listing } from "./file/listing.ts";
import { Markers } from "./file/markers.ts";
import { groupOf, groupOfUser, nameOfHandle, randomName, stateOf } from "./file/names.ts";
import { Sessions, untilDone } from "./file/sessions.ts";
import { Turns } from "./file/turns.ts";
import { checkedLimit, decodeCursor } from "./paging.ts";
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
  readonly #listing: Listing;
  readonly #admissions: Admissions;
  readonly #admitting = new Set<Promise<unknown>>();
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
    this.#listing = new Listing(this.#sessions, this.#markers, this.#clock);
    this.#admissions = new Admissions({
      sessions: this.#sessions,
      lifecycle: this.#lifecycle,
      listing: this.#listing,
      turns: new Turns(this.#sessions.tmp, (work) => this.#withFolders(work)),
      run: (step) => this.#calls.run(step),
      leave: (tombstone) => leaveTombstone(this, tombstone),
    });
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
      return this.#withFolders(() => this.#lifecycle.create(handle, record));
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
          const { userName, linkName } = state;
          const next = stateOf({ version, touchedAt, expiresAt, payloadName, userName, linkName });
          await this.#markers.bringForward(name, state, next);
          if (!(await this.#sessions.setState(name, state, next))) return undefined;
          isUnnamed = false;
          await this.#sessions.sync(name);
          // All other payloads belong to versions before this one.
          const others = payloads.filter((other) => other !== payloadName);
          await this.#sessions.removePayloads(name, others);
          await this.#markers.addNamed(name, state);
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
      const { result, finish } = await this.#lifecycle.replace(handle, expectedVersion, newHandle, record);
      await finish?.();
      return result;
    });
  }

  /**
   * Keeps a user's limit. Logins of one user take turns; one that was stopped is passed by after
   * half a second. A process that is killed between the new session and the end of the oldest one
   * leaves both, and the user's next login ends what is too much.
   */
  async admit(admission: Admission): Promise<AdmissionResult> {
    this.#assertOpen();
    const checked = checkedAdmission(admission);
    const work = this.#admissions.admit({ ...checked, group: groupOfUser(checked.userId) });
    this.#admitting.add(work);
    try {
      return await work;
    } catch (error) {
      throw storeError(error, this.#root);
    } finally {
      this.#admitting.delete(work);
    }
  }

  /** Returns one page. Reads the sessions of the user or link, or else the folders of all. */
  list(query: SessionQuery & { cursor?: string; limit?: number }): Promise<SessionPage> {
    return this.#run(async () => {
      const limit = checkedLimit(query.limit ?? 100, "list");
      return this.#listing.page(groupOf(query), limit, decodeCursor(query.cursor));
    });
  }

  /** Deletes sessions one by one. New ones may stay. After an error, call it again. */
  deleteAll({ except, ...query }: SessionQuery & { except?: string }): Promise<number> {
    return this.#run(async () => {
      const group = groupOf(query);
      const kept = except === undefined ? undefined : nameOfHandle(except);
      let ended = 0;
      for (let isMore = true; isMore; ) {
        isMore = false;
        for await (const all of this.#listing.names(group)) {
          const names = all.filter((name) => name !== kept);
          // A session may have been replaced before its turn, and then the group has a new one.
          isMore ||= group !== undefined && names.length > 0;
          const deleted = await inBatches(names, CHUNK, (name) => this.#lifecycle.delete(name, group));
          ended += deleted.filter(Boolean).length;
        }
      }
      return ended;
    });
  }

  /** Counts sessions: without a user or link only by folders, with expired ones until `prune`. */
  count(query: SessionQuery = {}): Promise<number> {
    return this.#run(() => this.#listing.count(groupOf(query)));
  }

  /** Removes sessions that expired two minutes ago or earlier. `limit` defaults to 1,000. */
  prune(limit = 1_000): Promise<number> {
    return this.#run(() => this.#lifecycle.prune(checkedLimit(limit, "prune")));
  }

  /** Waits for pending calls. Later calls fail with `STORE_CLOSED`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#admitting);
    await this.#calls.idle();
  }

  async #run<T>(call: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    try {
      return await this.#calls.run(call);
    } catch (error) {
      throw storeError(error, this.#root);
    }
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", `The session folder ${this.#root} is closed.`);
  }

  /** Makes the folders that are missing before the first session, or were removed. */
  async #withFolders<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      await makeRoot(this.#root);
      for (const folder of this.#folders) await makeFolder(folder);
      return await work();
    }
  }

  get #folders(): readonly string[] {
    return [...this.#sessions.folders, ...this.#markers.folders];
  }
}
