import { type Clock, setImmediate } from "../../core/clock.ts";
import type { SqliteDatabase, SqliteStatement } from "./database.ts";
import { isBusy } from "./failures.ts";
import { rollBack } from "./schema.ts";

/** How often a hold tries to get the lock from another process, and how long it waits in between. */
const TRIES = 50;
const PAUSE_MS = 1;

/**
 * SQLite's lock for writing, which one connection has at a time. A commit takes it and gives it back within one turn
 * of the event loop. A checkpoint may hold it for longer, to keep everybody from writing; this connection's
 * commits then wait for the end of it, those of other processes try again.
 */
export class WriteLock {
  readonly #database: SqliteDatabase;
  readonly #clock: Clock;
  readonly #begin: SqliteStatement;
  #holders = 0;
  #waiting: (() => void)[] = [];

  constructor(database: SqliteDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    // IMMEDIATE: whoever is second finds out at the beginning, where nothing has to be undone.
    this.#begin = database.prepare("BEGIN IMMEDIATE");
  }

  get isHeld(): boolean {
    return this.#holders > 0;
  }

  /** Begins a transaction, which its caller ends in the same turn. */
  begin(): void {
    this.#begin.run();
  }

  /** While it is held: calls back in the turn after its release. */
  afterwards(action: () => void): void {
    this.#waiting.push(action);
  }

  /**
   * Holds it while `work` is under way, but not for longer than `longestMs`. Several may hold it at once.
   *
   * @returns `undefined` where other processes would not let go of it: then `work` was not begun. Otherwise what came of `work`,
   * later than the release where `isLate`.
   */
  async holdDuring<T>(work: () => Promise<T>, longestMs: number): Promise<{ result: T; isLate: boolean } | undefined> {
    if (!(await this.#acquire())) return undefined;
    let isLate = false;
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      this.#release();
    };
    const cancel = this.#clock.after(longestMs, () => {
      isLate = true;
      release();
    });
    try {
      return { result: await work(), isLate };
    } finally {
      cancel();
      release();
    }
  }

  async #acquire(): Promise<boolean> {
    for (let attempt = 1; this.#holders === 0; attempt++) {
      try {
        this.#begin.run();
        break;
      } catch (error) {
        if (!isBusy(error) || attempt === TRIES) return false;
        await new Promise<void>((resolve) => this.#clock.after(PAUSE_MS, resolve));
      }
    }
    this.#holders++;
    return true;
  }

  #release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    // Nothing was written.
    rollBack(this.#database);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const action of waiting) setImmediate(action);
  }
}
