import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { SojournError } from "../../contract/errors.ts";
import type { SessionRecord, StoredSession } from "../../contract/store.ts";
import { type Clock, systemClock } from "../../contract/time.ts";
import { decodeContent, decodeNames, encodeContent } from "./content.ts";
import * as disk from "./disk.ts";
import { refusal, succeeds, unless } from "./failures.ts";
import {
  type Group,
  groupsOf,
  isPayloadName,
  isSessionName,
  nameOfHandle,
  namesOf,
  parseState,
  randomName,
  type State,
} from "./names.ts";

/** The files in a session's folder. */
export interface Look {
  readonly state: State | undefined;
  /** The state's payload file, and those of unfinished or killed writers. */
  readonly payloads: readonly string[];
}

/** Folders in `tmp` that are older belong to no running writer. */
const ABANDONED_MS = 3_600_000;
const MOST_TRIES = 1_000;

/** Repeats an attempt until it has a result. It only fails because another writer succeeds. */
export async function untilDone<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw new SojournError("STORE_UNAVAILABLE", `Other writers changed this session ${MOST_TRIES} times in a row.`);
}

/**
 * The sessions, one folder each: an empty file whose name is the state, and the payload file that
 * the state names.
 *
 * `rename` from the exact name that was read replaces a state, and fails if another writer was
 * first. So processes compare and set without a lock, which a killed process could leave behind.
 * The `rename` of a complete folder creates a session, and fails if one exists. The `unlink` of its
 * state ends it. The `rename` of its state into another folder replaces it. Whenever a process is
 * killed, the session is the old or the new one, and the rest is unnamed files.
 */
export class Sessions {
  readonly #sessions: string;
  readonly #tmp: string;
  readonly #clock: Clock;
  /** Whether the folder of all sessions ever existed. */
  #wasThere = false;

  constructor(root: string, clock: Clock) {
    this.#sessions = join(root, "sessions");
    this.#tmp = join(root, "tmp");
    this.#clock = clock;
  }

  get folders(): readonly string[] {
    return [this.#sessions, this.#tmp];
  }

  /** Where writers prepare folders. A sweep removes what killed ones left. */
  get tmp(): string {
    return this.#tmp;
  }

  /**
   * Throws if the folder of all sessions has disappeared: a removed folder or an unmounted disk
   * does not mean that there are no sessions. Before the first session the folder may be missing.
   */
  async assertPresent(): Promise<void> {
    if (await disk.isOwn(this.#sessions)) this.#wasThere = true;
    else if (this.#wasThere) throw refusal("ENOENT", "the folder of all sessions is missing", this.#sessions);
  }

  /** Lists a session's folder: again without a state, because a `rename` may hide a file. */
  async look(name: string): Promise<Look> {
    const first = await this.#list(name);
    if (first === undefined) return { state: undefined, payloads: [] };
    return first.state === undefined ? ((await this.#list(name)) ?? first) : first;
  }

  /** Returns an unexpired session, or `undefined` if there is none or it is damaged. */
  async load(name: string): Promise<StoredSession | undefined> {
    let previous: string | undefined;
    const session = await untilDone(async () => {
      const { state } = await this.look(name);
      if (state === undefined || state.expiresAt <= this.#clock.now()) return null;
      const file = await disk.read(join(this.#folder(name), state.payloadName));
      if (file === undefined) {
        // An update replaced the payload. A state that lacks it twice is damaged.
        if (state.name === previous) return null;
        previous = state.name;
        return undefined;
      }
      const decoded = decodeContent(file, state);
      // A file that was moved here from another session's folder does not count.
      return decoded !== undefined && nameOfHandle(decoded.handle) === name ? decoded : null;
    });
    return session ?? undefined;
  }

  /** Returns users and links of the payloads in a session's folder, or in an abandoned folder. */
  async owners(left: { name: string } | { path: string }): Promise<{ name: string; group: Group }[]> {
    const folder = "path" in left ? left.path : this.#folder(left.name);
    const owners: { name: string; group: Group }[] = [];
    for (const payload of (await disk.namesIn(folder)).filter(isPayloadName)) {
      const file = await disk.read(join(folder, payload));
      const names = file && decodeNames(file);
      if (names === undefined) continue;
      const name = nameOfHandle(names.handle);
      owners.push(...groupsOf(namesOf(names)).map((group) => ({ name, group })));
    }
    return owners;
  }

  /** Prepares a session's folder in `tmp`; without a state for `replace`. Returns its path. */
  async prepare(handle: string, record: SessionRecord, state: State, withState: boolean): Promise<string> {
    const prepared = join(this.#tmp, randomName());
    await mkdir(prepared, { mode: 0o700 });
    try {
      await disk.writeNew(join(prepared, state.payloadName), encodeContent(handle, record));
      if (withState) await disk.mark(join(prepared, state.name));
      await disk.syncNames(prepared);
    } catch (error) {
      await this.discard(prepared);
      throw error;
    }
    return prepared;
  }

  /** Publishes a prepared folder. Returns `false` if the session's folder exists and has files. */
  async publish(prepared: string, name: string): Promise<boolean> {
    const shard = this.#shard(name);
    const publish = () => disk.moveFolder(prepared, this.#folder(name));
    let isPublished = await unless(["ENOENT"], undefined, publish);
    if (isPublished === undefined) {
      await disk.makeFolder(shard);
      isPublished = await publish();
    }
    if (isPublished) await disk.syncNames(shard);
    return isPublished;
  }

  async discard(prepared: string): Promise<void> {
    for (const file of await disk.namesIn(prepared)) await disk.remove(join(prepared, file));
    await disk.removeFolder(prepared);
  }

  /** Writes a payload that no state names yet. Returns `false` if the folder is missing. */
  writePayload(name: string, handle: string, record: SessionRecord, payloadName: string): Promise<boolean> {
    const path = join(this.#folder(name), payloadName);
    return succeeds(["ENOENT"], () => disk.writeNew(path, encodeContent(handle, record)));
  }

  /** Compares and sets. Returns `false` if the state is no longer `from`. */
  setState(name: string, from: State, to: State): Promise<boolean> {
    const folder = this.#folder(name);
    return disk.move(join(folder, from.name), join(folder, to.name));
  }

  /** Compares, and moves the state to a published folder. Returns `false` as `setState`. */
  async replace(name: string, from: State, newName: string, to: State): Promise<boolean> {
    const [old, replacement] = [this.#folder(name), this.#folder(newName)];
    if (!(await disk.move(join(old, from.name), join(replacement, to.name)))) return false;
    await disk.syncNames(replacement);
    await disk.syncNames(old);
    return true;
  }

  /** Compares, ends the session, and syncs. Returns `false` as `setState`. */
  async end(name: string, state: State): Promise<boolean> {
    if (!(await disk.remove(join(this.#folder(name), state.name)))) return false;
    await this.sync(name);
    return true;
  }

  async sync(name: string): Promise<void> {
    await disk.syncNames(this.#folder(name));
  }

  async removePayloads(name: string, payloads: readonly string[]): Promise<void> {
    for (const payload of payloads) await disk.remove(join(this.#folder(name), payload));
  }

  /** Removes payloads, and the session's folder if it is empty then. */
  async tidy(name: string, payloads: readonly string[]): Promise<void> {
    await this.removePayloads(name, payloads);
    await disk.removeFolder(this.#folder(name));
  }

  /** Yields the names of all sessions after one, sorted, a shard at a time. Notes are in other shards. */
  async *shards(after = ""): AsyncGenerator<string[]> {
    await this.assertPresent();
    for (const shard of (await disk.namesIn(this.#sessions)).sort()) {
      if (!/^[0-9a-f]{3}$/.test(shard) || shard < after.slice(0, 3)) continue;
      const names = await disk.namesIn(join(this.#sessions, shard));
      yield names.filter((name) => isSessionName(name) && name > after).sort();
    }
    await this.assertPresent();
  }

  /** Returns folders of killed writers. Uses the system clock, as the times of files do. */
  async abandoned(most: number): Promise<string[]> {
    const paths: string[] = [];
    for (const name of (await disk.namesIn(this.#tmp)).slice(0, most)) {
      const path = join(this.#tmp, name);
      const stats = await unless(["ENOENT"], undefined, () => stat(path));
      if (stats !== undefined && stats.mtimeMs <= systemClock.now() - ABANDONED_MS) paths.push(path);
    }
    return paths;
  }

  async #list(name: string): Promise<Look | undefined> {
    const [names] = await Promise.all([
      disk.namesIfPresent(this.#folder(name)),
      disk.isOwn(this.#shard(name)),
      this.assertPresent(),
    ]);
    if (names === undefined) return undefined;
    // There is one state, unless somebody restored a backup over a live session.
    const [state] = names.flatMap((file) => parseState(file) ?? []).sort(byAge);
    return { state, payloads: names.filter(isPayloadName) };
  }

  #shard(name: string): string {
    return join(this.#sessions, name.slice(0, 3));
  }

  #folder(name: string): string {
    return join(this.#shard(name), name);
  }
}

/** Sorts the newest state first. */
function byAge(a: State, b: State): number {
  return b.version - a.version || b.touchedAt - a.touchedAt || b.expiresAt - a.expiresAt;
}
