import { SojournError } from "../../contract/errors.ts";
import { type Clock, setImmediate } from "../../contract/time.ts";
import type { SqliteDatabase } from "./database.ts";
import { isBusy, isFull, isOwnFault, storeError } from "./failures.ts";
import { rollBack } from "./schema.ts";
import type { Upkeep } from "./upkeep.ts";

/** What a write does to the file. */
export interface Footprint {
  /** About how many pages it changes. */
  pages: number;
  /** Whether it makes room: such a write may use the space kept back for it. */
  frees: boolean;
}

interface Write extends Footprint {
  /** Runs inside a transaction; what it returns tells the caller, and is called after the commit. */
  run(): () => void;
  reject(error: unknown): void;
  /** For how long the database has been locked for it. */
  waitedMs: number;
}

/** The longest pause before a locked database is tried again. */
const LONGEST_PAUSE_MS = 25;

/**
 * All writes of one turn of the event loop in one transaction: what costs is the commit, not the write. A promise
 * is settled after its commit and never before. A transaction begins and ends within one turn, so
 * nothing else on this connection ever sees half of it.
 *
 * A locked database is tried again from timers, with jitter, since waiting inside SQLite would stop the process.
 */
export class Commits {
  readonly #database: SqliteDatabase;
  readonly #upkeep: Upkeep;
  readonly #clock: Clock;
  readonly #place: string;
  readonly #patienceMs: number;
  readonly #begin;
  readonly #commit;
  #queue: Write[] = [];
  #scheduled = false;
  #attempts = 0;
  #drained: (() => void) | undefined;

  constructor(options: {
    database: SqliteDatabase;
    upkeep: Upkeep;
    clock: Clock;
    place: string;
    patienceMs: number;
  }) {
    this.#database = options.database;
    this.#upkeep = options.upkeep;
    this.#clock = options.clock;
    this.#place = options.place;
    this.#patienceMs = options.patienceMs;
    // IMMEDIATE: whoever is second finds out at the beginning, where nothing has to be undone.
    this.#begin = options.database.prepare("BEGIN IMMEDIATE");
    this.#commit = options.database.prepare("COMMIT");
  }

  /** Resolves with what `work` returned once that is committed; rejects with our error if it isn't. */
  write<T>(work: () => T, footprint: Footprint): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { pages, frees } = footprint;
      this.#queue.push({
        run: () => {
          const result = work();
          return () => resolve(result);
        },
        reject,
        pages,
        frees,
        waitedMs: 0,
      });
      this.#schedule();
    });
  }

  /** Resolves when nothing waits to be written. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#tellIfDrained();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After the poll phase: every request that came in with this turn has had its say.
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const writes = this.#queue;
    this.#queue = [];
    const left = this.#together(writes);
    if (left.length === 0) this.#attempts = 0;
    else this.#waitFor(left);
    this.#tellIfDrained();
  }

  /** @returns the writes that a lock has kept from being tried */
  #together(writes: readonly Write[]): readonly Write[] {
    try {
      this.#transact(writes);
      return [];
    } catch (error) {
      if (isBusy(error)) return writes;
      if (writes.length > 1) return this.#oneByOne(writes);
      const [write] = writes;
      if (write === undefined) return [];
      if (isFull(error) && this.#upkeep.makeRoom(write.frees)) return this.#lastTry(write);
      write.reject(storeError(error, this.#place));
      return [];
    }
  }

  /** One of them can't be written, or the disk has no room for all: each for itself, in their order. */
  #oneByOne(writes: readonly Write[]): readonly Write[] {
    for (const [index, write] of writes.entries()) if (this.#together([write]).length > 0) return writes.slice(index);
    return [];
  }

  #lastTry(write: Write): readonly Write[] {
    try {
      this.#transact([write]);
    } catch (error) {
      if (isBusy(error)) return [write];
      write.reject(storeError(error, this.#place));
    }
    return [];
  }

  /** @throws whatever keeps the transaction from being committed; then none of the writes has happened or been told */
  #transact(writes: readonly Write[]): void {
    this.#begin.run();
    const outcomes: (() => void)[] = [];
    let pages = 0;
    try {
      this.#upkeep.checkPlace();
      for (const write of writes) {
        try {
          outcomes.push(write.run());
          pages += write.pages;
        } catch (error) {
          if (!isOwnFault(error)) throw error;
          outcomes.push(() => write.reject(storeError(error, this.#place)));
        }
      }
      if (!writes.every(({ frees }) => frees) && this.#upkeep.refuses()) throw fullError(this.#place);
      this.#commit.run();
    } catch (error) {
      rollBack(this.#database);
      throw error;
    }
    for (const tell of outcomes) tell();
    this.#upkeep.committed(pages);
  }

  #waitFor(writes: readonly Write[]): void {
    const pauseMs = Math.min(2 ** this.#attempts++, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
    const patient: Write[] = [];
    for (const write of writes) {
      write.waitedMs += pauseMs;
      if (write.waitedMs <= this.#patienceMs) patient.push(write);
      else write.reject(lockedError(this.#place));
    }
    // What is written meanwhile comes after them.
    this.#queue = patient;
    if (this.#queue.length === 0) return;
    this.#scheduled = true;
    const release = stayAlive();
    this.#clock.after(pauseMs, () => {
      release();
      this.#scheduled = false;
      this.#flush();
    });
  }

  #tellIfDrained(): void {
    if (this.#queue.length > 0) return;
    this.#drained?.();
  }
}

function fullError(place: string): SojournError {
  return new SojournError("STORE_FULL", `The session database ${place} has no room left on its disk.`);
}

function lockedError(place: string): SojournError {
  return new SojournError(
    "STORE_UNAVAILABLE",
    `The session database ${place} has been locked by another connection for too long.`,
  );
}

/** The clock's timers let a process end; a write that waits must not vanish with it. */
function stayAlive(): () => void {
  const { port1 } = new MessageChannel();
  port1.ref();
  return () => port1.close();
}
