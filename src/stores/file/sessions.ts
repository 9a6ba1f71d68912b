import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../contract/clock.ts";
import type { SessionRecord, StoredSession } from "../../contract/store.ts";
import { decodeContent, decodeOwner, encodeContent } from "./content.ts";
import {
  isOwn,
  makeFolder,
  mark,
  move,
  moveFolder,
  namesIn,
  read,
  remove,
  removeFolder,
  syncNames,
  writeNew,
} from "./disk.ts";
import { unless, vanishedError } from "./failures.ts";
import { isPayloadName, isSessionName, nameOfHandle, nameOfUser, newName, parseState, type State } from "./names.ts";

/** What a session's folder holds. */
export interface Look {
  readonly state: State | undefined;
  /** Names of payload files: the state's own, and any that a writer has not published, or has left behind. */
  readonly payloads: readonly string[];
}

/** What is left in `tmp` for this long belongs to nobody. */
const ABANDONED_MS = 3_600_000;

/**
 * Sessions, a folder each: an empty file whose name is the state, and the payload file that the state names.
 *
 * A state is replaced by `rename` from exactly the name that was read, which fails where anyone else was first: compare and set between
 * processes, without a lock that a killed process could leave or a stopped one could think it still has. A session begins by the
 * `rename` of a folder that is complete, which fails where one is, and ends by the `unlink` of its state. One takes another one's place by
 * the `rename` of that one's state into its own folder. Whatever a process is killed
 * between, the session is the old or the new one, and what remains is a file that no state names.
 */
export class Sessions {
  readonly #sessions: string;
  readonly #tmp: string;
  /** Whether the folder of all sessions was ever there. */
  #wasThere = false;

  constructor(root: string) {
    this.#sessions = join(root, "sessions");
    this.#tmp = join(root, "tmp");
  }

  get folders(): readonly string[] {
    return [this.#sessions, this.#tmp];
  }

  /**
   * A folder that was removed, or a disk that is not mounted any more, does not mean that there are no sessions.
   *
   * @throws what `storeError` makes STORE_UNAVAILABLE of, unless there never was a folder, as before the first session
   */
  async present(): Promise<void> {
    if (await isOwn(this.#sessions)) this.#wasThere = true;
    else if (this.#wasThere) throw vanishedError(this.#sessions);
  }

  /**
   * What is under a name. A folder without a state is looked at twice: no file system promises that a listing shows a file
   * that is being renamed.
   */
  async look(name: string): Promise<Look> {
    const first = await this.#list(name);
    if (first === undefined) return { state: undefined, payloads: [] };
    return first.state === undefined ? ((await this.#list(name)) ?? first) : first;
  }

  /**
   * The record of a state, `undefined` if it is damaged; `"replaced"` if its payload has gone, as it does after an update.
   */
  async record(name: string, state: State): Promise<StoredSession | "replaced" | undefined> {
    const file = await read(join(this.#folder(name), state.payloadName));
    if (file === undefined) return "replaced";
    const session = decodeContent(file, state);
    // A file that was moved here from another session's folder is nobody's.
    return session !== undefined && nameOfHandle(session.handle) === name ? session : undefined;
  }

  /** Which users' sessions the payloads under a name are of, or in a folder that a writer has left. */
  async owners(left: { name: string } | { path: string }): Promise<{ name: string; userName: string }[]> {
    const folder = "path" in left ? left.path : this.#folder(left.name);
    const owners: { name: string; userName: string }[] = [];
    for (const payload of ((await namesIn(folder)) ?? []).filter(isPayloadName)) {
      const file = await read(join(folder, payload));
      const owner = file === undefined ? undefined : decodeOwner(file);
      if (owner !== undefined) owners.push({ name: nameOfHandle(owner.handle), userName: nameOfUser(owner.userId) });
    }
    return owners;
  }

  /** Makes a session's folder out of sight; without its state where another session's is going to become it. Returns its path. */
  async prepare(
    handle: string,
    record: SessionRecord,
    state: State,
    { withState = true }: { withState?: boolean } = {},
  ): Promise<string> {
    const prepared = join(this.#tmp, newName());
    await mkdir(prepared, { mode: 0o700 });
    try {
      await writeNew(join(prepared, state.payloadName), encodeContent(handle, record));
      if (withState) await mark(join(prepared, state.name));
      await syncNames(prepared);
    } catch (error) {
      await this.discard(prepared);
      throw error;
    }
    return prepared;
  }

  /** Puts a prepared session in its place. `false` where there is one. */
  async publish(prepared: string, name: string): Promise<boolean> {
    const shard = this.#shard(name);
    const folder = this.#folder(name);
    let moved = await unless(["ENOENT"], undefined, () => moveFolder(prepared, folder));
    if (moved === undefined) {
      await makeFolder(shard);
      moved = await moveFolder(prepared, folder);
    }
    if (!moved) return false;
    await syncNames(shard);
    return true;
  }

  async discard(prepared: string): Promise<void> {
    for (const file of (await namesIn(prepared)) ?? []) await remove(join(prepared, file));
    await removeFolder(prepared);
  }

  /** Writes a payload that no state names yet. `false` if the session's folder has gone. */
  async writePayload(name: string, handle: string, record: SessionRecord, payloadName: string): Promise<boolean> {
    const path = join(this.#folder(name), payloadName);
    return await unless(["ENOENT"], false, async () => {
      await writeNew(path, encodeContent(handle, record));
      return true;
    });
  }

  /** Compare and set. `false` where the state is not `from` any more. */
  async replace(name: string, from: State, to: State): Promise<boolean> {
    const folder = this.#folder(name);
    return await move(join(folder, from.name), join(folder, to.name));
  }

  /**
   * Compare and set, of two sessions at once: the state leaves the one's folder and is the other's, whose payload is there already.
   * `false` where it is not `from` any more.
   */
  async handOver(name: string, from: State, newName: string, to: State): Promise<boolean> {
    if (!(await move(join(this.#folder(name), from.name), join(this.#folder(newName), to.name)))) return false;
    await syncNames(this.#folder(newName));
    await syncNames(this.#folder(name));
    return true;
  }

  /** Ends a session, if its state still is this one, and waits until the disk has it. */
  async end(name: string, state: State): Promise<boolean> {
    const folder = this.#folder(name);
    if (!(await remove(join(folder, state.name)))) return false;
    await syncNames(folder);
    return true;
  }

  async sync(name: string): Promise<void> {
    await syncNames(this.#folder(name));
  }

  async removePayloads(name: string, payloads: readonly string[]): Promise<void> {
    for (const payload of payloads) await remove(join(this.#folder(name), payload));
  }

  /** Takes away the folder of a session that has ended. `false` where something is in it. */
  async tidy(name: string, payloads: readonly string[]): Promise<boolean> {
    await this.removePayloads(name, payloads);
    return await removeFolder(this.#folder(name));
  }

  /** Every session's name, a shard at a time. Notes are in shards of their own. */
  async *shards(): AsyncGenerator<string[]> {
    for (const shard of (await namesIn(this.#sessions)) ?? []) {
      if (/^[0-9a-f]{3}$/.test(shard)) {
        yield ((await namesIn(join(this.#sessions, shard))) ?? []).filter(isSessionName);
      }
    }
    await this.present();
  }

  /** Folders that writers that were killed have left, which `discard` removes. By the machine's own time, as files have it. */
  async abandoned(most: number): Promise<string[]> {
    const paths: string[] = [];
    for (const name of ((await namesIn(this.#tmp)) ?? []).slice(0, most)) {
      const path = join(this.#tmp, name);
      const stats = await unless(["ENOENT"], undefined, () => stat(path));
      if (stats !== undefined && stats.mtimeMs <= systemClock.now() - ABANDONED_MS) paths.push(path);
    }
    return paths;
  }

  async #list(name: string): Promise<Look | undefined> {
    const [names] = await Promise.all([namesIn(this.#folder(name)), isOwn(this.#shard(name)), this.present()]);
    if (names === undefined) return undefined;
    const states = names.flatMap((file) => parseState(file) ?? []);
    // There is one; a backup that was unpacked over a living session may have brought others.
    const state = states.reduce<State | undefined>((best, other) => newer(best, other), undefined);
    return { state, payloads: names.filter(isPayloadName) };
  }

  #shard(name: string): string {
    return join(this.#sessions, name.slice(0, 3));
  }

  #folder(name: string): string {
    return join(this.#shard(name), name);
  }
}

function newer(a: State | undefined, b: State): State {
  if (a === undefined) return b;
  return (b.version - a.version || b.touchedAt - a.touchedAt || b.expiresAt - a.expiresAt) > 0 ? b : a;
}
