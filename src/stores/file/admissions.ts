import type { Admission, AdmissionResult, StoredSession } from "../../contract/store.ts";
import { endedBy } from "../admission.ts";
import type { PageStart } from "../paging.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Listing } from "./listing.ts";
import { type Group, isNoteName, nameOfHandle } from "./names.ts";
import type { Sessions } from "./sessions.ts";
import type { Turn, Turns } from "./turns.ts";

/** The parts of the store that an admission uses. */
interface Parts {
  sessions: Sessions;
  lifecycle: Lifecycle;
  listing: Listing;
  turns: Turns;
  /** Runs one step, and not too many at once. No step waits for another call. */
  run<T>(step: () => Promise<T>): Promise<T>;
  /** Writes a tombstone. */
  leave(tombstone: StoredSession): Promise<void>;
}

interface Stored {
  result: Exclude<AdmissionResult["result"], "unsupported" | "limit">;
  finish?(): Promise<void>;
  undo?(): Promise<void>;
}

/**
 * Keeps a user's limit. Calls for one user take turns, so what one of them reads stays true until
 * it writes. One `rename` begins the new session and ends the one that it replaces; the oldest ones
 * end after that.
 *
 * A turn may be taken away from a process that was stopped for long, and that then goes on. So each
 * call looks after its `rename` whether the turn was still its own. If not, it waits for another
 * turn and looks at the sessions again: it takes its own back, or ends those that are too many.
 * Every call that comes later has counted it by then.
 */
export class Admissions {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  admit(admission: Admission & { userId: string; group: Group }): Promise<AdmissionResult> {
    const { turns, run } = this.#parts;
    const { name } = admission.group;
    return turns.inQueue(name, async () => {
      const turn = await turns.take(name, run);
      try {
        return await this.#inTurn(admission, turn);
      } finally {
        await turn.end();
      }
    });
  }

  async #inTurn(admission: Admission & { group: Group }, turn: Turn): Promise<AdmissionResult> {
    const { turns, run, leave } = this.#parts;
    const early = await run(() => this.#early(admission));
    if (early !== undefined) return early;
    if (admission.replaces?.tombstone) await leave(admission.replaces.tombstone);
    const stored = await run(() => this.#store(admission));
    if (stored.result !== "ok") return { result: stored.result };
    if (await turn.isMine()) return { result: "ok", revoked: await this.#finish(admission, stored) };
    const another = await turns.take(admission.group.name, run);
    try {
      if (endedBy(admission, await run(() => this.#others(admission))) !== undefined) {
        return { result: "ok", revoked: await this.#finish(admission, stored) };
      }
      await run(async () => stored.undo?.());
      return { result: "limit" };
    } finally {
      await another.end();
    }
  }

  /** Returns the result of an admission that has nothing to store. */
  async #early(admission: Admission & { group: Group }): Promise<AdmissionResult | undefined> {
    const { sessions, lifecycle } = this.#parts;
    const { session, replaces } = admission;
    const there = await sessions.load(nameOfHandle(session.handle));
    if (there?.secretHash === session.secretHash) return { result: "ok", revoked: [] };
    if (replaces !== undefined) {
      const version = await lifecycle.versionOf(nameOfHandle(replaces.handle));
      if (version !== replaces.expectedVersion) return { result: version === undefined ? "gone" : "conflict" };
    }
    if (there !== undefined) return { result: "taken" };
    return endedBy(admission, await this.#others(admission)) === undefined ? { result: "limit" } : undefined;
  }

  async #store({ session, replaces }: Admission): Promise<Stored> {
    const { lifecycle } = this.#parts;
    const { handle, ...record } = session;
    if (replaces !== undefined) {
      return lifecycle.replace(replaces.handle, replaces.expectedVersion, handle, record);
    }
    if (!(await lifecycle.create(handle, record))) return { result: "taken" };
    return {
      result: "ok",
      undo: async () => {
        await lifecycle.delete(nameOfHandle(handle));
      },
    };
  }

  /** Ends the sessions that are too many, and removes what is left of the replaced one. */
  async #finish(admission: Admission & { group: Group }, stored: Stored): Promise<string[]> {
    const { sessions, lifecycle, run } = this.#parts;
    const revoked: string[] = [];
    for (;;) {
      // Again, because one of them may have been replaced before its turn.
      const ended = endedBy(admission, await run(() => this.#others(admission))) ?? [];
      if (ended.length === 0) break;
      for (const { handle: name } of ended) {
        const session = await run(() => sessions.load(name));
        const isEnded = await run(() => lifecycle.delete(name, admission.group));
        if (isEnded && session !== undefined) revoked.push(session.handle);
      }
    }
    await run(async () => stored.finish?.());
    return revoked;
  }

  /** Returns the user's other sessions, under their names. */
  async #others({ session, replaces, group }: Admission & { group: Group }): Promise<PageStart[]> {
    const { listing } = this.#parts;
    const own = [session.handle, ...(replaces === undefined ? [] : [replaces.handle])].map(nameOfHandle);
    const others: PageStart[] = [];
    for await (const names of listing.names(group)) {
      others.push(
        ...(await listing.live(
          names.filter((name) => !own.includes(name) && !isNoteName(name)),
          group,
        )),
      );
    }
    return others;
  }
}
