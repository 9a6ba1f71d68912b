import { resolve } from "node:path";
import { type Clock, systemClock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import {
  type IndexedStore,
  leaveTombstone,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { checkFolders, makeFolder, makeRoot } from "./file/disk.ts";
import { storeError, systemCode } from "./file/failures.ts";
import { Markers } from "./file/markers.ts";
import { nameOfHandle, nameOfUser, newName, type State, stateOf } from "./file/names.ts";
import { Sessions } from "./file/sessions.ts";
import { Turns } from "./file/turns.ts";
import { checkedLimit, decodeCursor, Newest, nextPage } from "./paging.ts";
import { refuseUrl } from "./path.ts";

export type * from "../contract/types.ts";

/** What {@link FileStore} can be told. */
export interface FileStoreOptions {
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** Operations under way at once, each with one file open at a time. Node does four of their steps at once. */
const MOST_AT_ONCE = 16;
/** Sessions that a list, a sweep or a sign-out works on at once. */
const CHUNK = 8;
/** Every failed try means that somebody else's succeeded. */
const MOST_TRIES = 1_000;
/** A sweep that finds that everything was touched meanwhile stops after so many times its limit. */
const LOOKS_PER_REMOVAL = 10;

/**
 * Sessions as files in a folder, which any number of processes on one machine may share. It needs no database
 * and no package.
 *
 * A write that was acknowledged survives `kill -9` and a power cut: the payload, its name and the folder's were synced. Nobody takes
 * a lock. Of a damaged file, as of a missing one, `load` says that there is no session.
 *
 * The names of files hold hashes and numbers only. Folders have mode 0700, files 0600, and a symbolic link below the folder, or a
 * folder of another user, is an error. The folder must be on a local file system; network file systems do not keep its promises.
 *
 * @param folder created by the first session where it is missing. Where it vanishes later, everything fails with `STORE_UNAVAILABLE`,
 * since that doesn't mean that nobody is logged in, until it is back, or the next new session has made it anew
 * @throws TypeError for an impossible argument, or on Windows. A `SojournError`, here and from every method: `STORE_UNAVAILABLE`
 * (unreadable, another user's, removed, too many open files), `STORE_FULL`, `STORE_CORRUPT` (a symbolic link), `STORE_CLOSED`.
 * @example
 * app.use(session({ store: new FileStore("data/sessions") }));
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
  readonly #turns = new Turns(MOST_AT_ONCE);
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
    this.#sessions = new Sessions(this.#root);
    this.#markers = new Markers(this.#root);
    try {
      checkFolders(this.#root, this.#folders);
    } catch (error) {
      // Anything else may be over by the first call.
      if (/^(?:ELOOP|EOWNER)$/.test(systemCode(error) ?? "")) throw storeError(error, this.#root);
    }
  }

  load(handle: string): Promise<SessionRecord | undefined> {
    return this.#run(async () => {
      const found = await this.#read(nameOfHandle(handle));
      if (found === undefined || found.handle !== handle) return undefined;
      const { handle: _, ...record } = found;
      return record;
    });
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    return this.#run(async () => {
      try {
        return await this.#create(handle, record);
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
        // The first session of all, or somebody removed the folder.
        await this.#makeFolders();
        return await this.#create(handle, record);
      }
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#run(async () => {
      const name = nameOfHandle(handle);
      const payloadName = newName();
      let written = false;
      let result: UpdateResult | undefined;
      try {
        for (let tries = 0; tries < MOST_TRIES && result === undefined; tries++) {
          const { state, payloads } = await this.#sessions.look(name);
          const now = this.#clock.now();
          if (state === undefined || state.expiresAt <= now) result = "gone";
          else if (state.version !== expectedVersion) result = "conflict";
          else if (record.expiresAt <= now) {
            if (await this.#end(name, state, payloads)) result = "ok";
          } else {
            written ||= await this.#sessions.writePayload(name, handle, record, payloadName);
            if (!written) continue;
            const { version, touchedAt, expiresAt } = record;
            const next = stateOf({ version, touchedAt, expiresAt, payloadName, userName: state.userName });
            await this.#markers.bringForward(name, state, next);
            if (await this.#sessions.replace(name, state, next)) {
              written = false;
              result = "ok";
              await this.#sessions.sync(name);
              // All of these were written for versions that this one has overtaken.
              const others = payloads.filter((other) => other !== payloadName);
              await this.#sessions.removePayloads(name, others);
              await this.#markers.addUser(name, state.userName);
            }
          }
        }
      } finally {
        if (written || result === "gone") await this.#sessions.tidy(name, written ? [payloadName] : []);
      }
      return result ?? contended();
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#run(async () => {
      const name = nameOfHandle(handle);
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const { state } = await this.#sessions.look(name);
        if (state === undefined || state.expiresAt <= this.#clock.now()) return false;
        const next = stateOf({
          ...state,
          touchedAt: Math.max(touchedAt, state.touchedAt),
          expiresAt: Math.max(expiresAt, state.expiresAt),
        });
        // Not synced: a power cut may undo it, and it is the only write of which that is true.
        if (next.name === state.name || (await this.#sessions.replace(name, state, next))) return true;
      }
      return contended();
    });
  }

  delete(handle: string): Promise<boolean> {
    return this.#run(() => this.#endAny(nameOfHandle(handle)));
  }

  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    // Before, because no `rename` moves two things at once.
    if (tombstone !== undefined) await leaveTombstone(this, tombstone);
    return this.#run(async () => {
      const name = nameOfHandle(handle);
      const heir = nameOfHandle(newHandle);
      const next = newState(record);
      let isPrepared = false;
      let result: ReplaceResult | undefined;
      try {
        for (let tries = 0; tries < MOST_TRIES && result === undefined; tries++) {
          const { state, payloads } = await this.#sessions.look(name);
          if (state === undefined || state.expiresAt <= this.#clock.now()) result = "gone";
          else if (state.version !== expectedVersion) result = "conflict";
          else if (!isPrepared && !(await this.#prepareHeir(newHandle, record, next))) result = "taken";
          else {
            isPrepared = true;
            if (!(await this.#sessions.handOver(name, state, heir, next))) continue;
            result = "ok";
            // Somebody who found the user's marker before the session may have taken it away.
            await this.#markers.addUser(heir, next.userName);
            await this.#clearAway(name, state, payloads);
          }
        }
      } finally {
        if (isPrepared && result !== "ok") await this.#clearAway(heir, next, [next.payloadName]);
      }
      return result ?? contended();
    });
  }

  /** One page. Of a user: the cost is the user's sessions. Of everyone: every session's folder is looked into. */
  list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    return this.#run(async () => {
      const limit = checkedLimit(query.limit ?? 100, "list");
      const newest = new Newest(limit + 1, decodeCursor(query.cursor));
      const now = this.#clock.now();
      for await (const names of this.#namesOf(query.userId)) {
        await each(names, async (name) => {
          const { state } = await this.#sessions.look(name);
          // A name stands for a handle, which only the payload knows.
          if (state !== undefined && state.expiresAt > now && isOf(state, query.userId)) {
            newest.offer({ touchedAt: state.touchedAt, handle: name });
          }
        });
      }
      const page = newest.places.slice(0, limit);
      const sessions = new Map<string, StoredSession>();
      await each(page, async ({ handle: name }) => {
        const session = await this.#read(name);
        if (session !== undefined) sessions.set(name, session);
      });
      return { sessions: page.flatMap(({ handle }) => sessions.get(handle) ?? []), ...nextPage(newest.places, limit) };
    });
  }

  /** Sessions that begin meanwhile may stay; after an error, what was done is done. */
  deleteAll(query: { userId?: string; except?: string }): Promise<number> {
    return this.#run(async () => {
      const { userId, except } = query;
      const spared = except === undefined ? undefined : nameOfHandle(except);
      let ended = 0;
      for (let isMore = true; isMore; ) {
        isMore = false;
        for await (const names of this.#namesOf(userId)) {
          await each(names, async (name) => {
            if (name === spared) return;
            // One that had gone by its turn may have been replaced: then there is another name by now.
            isMore ||= userId !== undefined;
            if (await this.#endAny(name, userId)) ended++;
          });
        }
      }
      return ended;
    });
  }

  /** Of everyone: lists at most 4,096 folders and looks into no session, so expired ones that no prune has met are counted. */
  count(query: { userId?: string } = {}): Promise<number> {
    return this.#run(async () => {
      const { userId } = query;
      const now = this.#clock.now();
      let count = 0;
      for await (const names of this.#namesOf(userId)) {
        if (userId === undefined) count += names.length;
        else {
          await each(names, async (name) => {
            const { state } = await this.#sessions.look(name);
            if (state !== undefined && state.expiresAt > now && isOf(state, userId)) count++;
          });
        }
      }
      return count;
    });
  }

  /** Sees what ended two minutes ago or more. A session that was touched is looked at once more, when it would have ended. */
  prune(limit = 1_000): Promise<number> {
    return this.#run(async () => {
      checkedLimit(limit, "prune");
      await this.#sessions.present();
      const now = this.#clock.now();
      let pruned = 0;
      let looks = limit * LOOKS_PER_REMOVAL;
      for (const path of await this.#sessions.abandoned(limit)) {
        await this.#dropStrays({ path });
        await this.#sessions.discard(path);
      }
      for (const bucket of await this.#markers.bucketsBefore(now)) {
        const names = await this.#markers.inBucket(bucket);
        while (names.length > 0 && pruned < limit && looks > 0) {
          const chunk = names.splice(0, Math.min(CHUNK, limit - pruned));
          looks -= chunk.length;
          await each(chunk, async (name) => {
            if (await this.#pruneOne(bucket, name)) pruned++;
          });
        }
        if (names.length > 0 || pruned >= limit) return pruned;
        await this.#markers.dropBucket(bucket);
      }
      return pruned;
    });
  }

  /** Finishes what was asked for. There is nothing else to end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turns.idle();
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", `The session folder ${this.#root} is closed.`);
    try {
      return await this.#turns.take(work);
    } catch (error) {
      throw storeError(error, this.#root);
    }
  }

  get #folders(): readonly string[] {
    return [...this.#sessions.folders, ...this.#markers.folders];
  }

  async #makeFolders(): Promise<void> {
    await makeRoot(this.#root);
    for (const folder of this.#folders) await makeFolder(folder);
  }

  async #read(name: string): Promise<StoredSession | undefined> {
    let missed: State | undefined;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { state } = await this.#sessions.look(name);
      // Without its payload, twice: it was not replaced, it is damaged.
      if (state === undefined || state.expiresAt <= this.#clock.now() || state.name === missed?.name) return undefined;
      const session = await this.#sessions.record(name, state);
      if (session !== "replaced") return session;
      missed = state;
    }
    return contended();
  }

  async #create(handle: string, record: SessionRecord): Promise<boolean> {
    const name = nameOfHandle(handle);
    if (!(await this.#makeWay(name))) return false;
    // Nobody could load it.
    if (record.expiresAt <= this.#clock.now()) return true;
    const state = newState(record);
    const prepared = await this.#sessions.prepare(handle, record, state);
    let published = false;
    try {
      await this.#markers.add(name, state);
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        published = await this.#sessions.publish(prepared, name);
        if (published) {
          // Somebody who found the user's marker before the session may have taken it away.
          await this.#markers.addUser(name, state.userName);
          return true;
        }
        if (!(await this.#makeWay(name))) return false;
      }
      return contended();
    } finally {
      if (!published) await this.#sessions.discard(prepared);
    }
  }

  /** Everything of a session but its state, which comes from the one that it replaces. `false` where another one is in its place. */
  async #prepareHeir(handle: string, record: SessionRecord, state: State): Promise<boolean> {
    const name = nameOfHandle(handle);
    const prepared = await this.#sessions.prepare(handle, record, state, { withState: false });
    let published = false;
    try {
      await this.#markers.add(name, state);
      published = await this.#sessions.publish(prepared, name);
      return published;
    } finally {
      if (!published) await this.#sessions.discard(prepared);
    }
  }

  /** Clears away what has ended under a name. `false` where a session lives, or is just beginning. */
  async #makeWay(name: string): Promise<boolean> {
    const { state, payloads } = await this.#sessions.look(name);
    if (state === undefined) {
      await this.#clear(name, payloads);
      return true;
    }
    if (state.expiresAt > this.#clock.now() && (await this.#read(name)) !== undefined) return false;
    // Whoever has replaced it meanwhile is met by the next try.
    await this.#end(name, state, payloads);
    return true;
  }

  /** Ends a session whatever its state. `true` if an unexpired one was there. */
  async #endAny(name: string, userId?: string): Promise<boolean> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { state, payloads } = await this.#sessions.look(name);
      if (state === undefined || !isOf(state, userId)) {
        if (userId !== undefined) await this.#dropStray(name, nameOfUser(userId));
        return false;
      }
      if (await this.#end(name, state, payloads)) return state.expiresAt > this.#clock.now();
    }
    return contended();
  }

  async #end(name: string, state: State, payloads: readonly string[]): Promise<boolean> {
    if (!(await this.#sessions.end(name, state))) return false;
    await this.#clearAway(name, state, payloads);
    return true;
  }

  /**
   * What is left of a session that has ended. In this order, and the marker by which a sweep comes here last, so that it finds what this
   * process does not come to do.
   */
  async #clearAway(name: string, state: State, payloads: readonly string[]): Promise<void> {
    await this.#markers.dropUser(name, state.userName);
    await this.#sessions.tidy(name, payloads);
    await this.#markers.dropDue(name, state);
    await this.#mendMarkers(name);
  }

  /** What a process left that was killed while it ended a session. */
  async #clear(name: string, payloads: readonly string[]): Promise<void> {
    await this.#dropStrays({ name });
    await this.#sessions.tidy(name, payloads);
  }

  /** Users' markers of sessions of which only the payload is left: it alone still tells whose they were. */
  async #dropStrays(left: { name: string } | { path: string }): Promise<void> {
    for (const { name, userName } of await this.#sessions.owners(left)) await this.#dropStray(name, userName);
  }

  /** Takes away a user's marker of a session that has ended. */
  async #dropStray(name: string, userName: string): Promise<void> {
    await this.#markers.dropUser(name, userName);
    await this.#mendMarkers(name);
  }

  /** Of a session that began while the markers of the one before it were taken away. */
  async #mendMarkers(name: string): Promise<void> {
    const { state } = await this.#sessions.look(name);
    if (state !== undefined) await this.#markers.add(name, state);
  }

  async #pruneOne(bucket: number, name: string): Promise<boolean> {
    const { state, payloads } = await this.#sessions.look(name);
    const now = this.#clock.now();
    if (state !== undefined && state.expiresAt > now) {
      await this.#markers.postpone(name, bucket, state.expiresAt);
      return false;
    }
    if (state === undefined) await this.#clear(name, payloads);
    else if (!(await this.#end(name, state, payloads))) return false;
    await this.#markers.dropFrom(bucket, name);
    return state !== undefined;
  }

  async *#namesOf(userId: string | undefined): AsyncGenerator<string[]> {
    if (userId === undefined) yield* this.#sessions.shards();
    else {
      const names = await this.#markers.ofUser(nameOfUser(userId));
      await this.#sessions.present();
      yield names;
    }
  }
}

/** Of a session that begins. */
function newState({ version, touchedAt, expiresAt, userId }: SessionRecord): State {
  const userName = userId === null ? undefined : nameOfUser(userId);
  return stateOf({ version, touchedAt, expiresAt, payloadName: newName(), userName });
}

function isOf(state: State, userId: string | undefined): boolean {
  return userId === undefined || state.userName === nameOfUser(userId);
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += CHUNK) await Promise.all(items.slice(at, at + CHUNK).map(work));
}

function contended(): never {
  throw new SojournError("STORE_UNAVAILABLE", "Other writers were faster a thousand times in a row.");
}
