import { setImmediate } from "../../contract/time.ts";
import { afterPause } from "../pause.ts";
import type { SqliteDatabase, SqliteStatement } from "./database.ts";
import type { DatabaseFile } from "./database-file.ts";
import { failure, isFull, isLocked, isStatementError, storeError } from "./failures.ts";
import { rollBack } from "./schema.ts";

interface Write {
  /** Runs inside a transaction. Returns a callback that resolves the caller's promise. */
  run(): () => void;
  reject(error: unknown): void;
  /** An estimate of the pages that the write changes. */
  pages: number;
  /** Whether the write frees space, and so may use the disk reserve. */
  frees: boolean;
  /** Milliseconds that locks have delayed it. */
  waitedMs: number;
}

/** The longest pause before the queue tries a locked database again. */
const MAX_PAUSE_MS = 25;

/**
 * Commits all writes of one turn of the event loop in one transaction, because a commit costs more
 * than a write. Settles each promise after its commit. A transaction begins and ends within one
 * turn, so nothing else on this connection sees half of it.
 *
 * Retries a locked database from timers with jitter: waiting inside SQLite would block the process.
 */
export class WriteQueue {
  readonly #database: SqliteDatabase;
  readonly #file: DatabaseFile;
  readonly #name: string;
  readonly #busyTimeoutMs: number;
  readonly #begin: SqliteStatement;
  readonly #commit: SqliteStatement;
  #queue: Write[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #isScheduled = false;
  #attempts = 0;

  /** @param name what errors call the database */
  constructor(database: SqliteDatabase, file: DatabaseFile, name: string, busyTimeoutMs: number) {
    this.#database = database;
    this.#file = file;
    this.#name = name;
    this.#busyTimeoutMs = busyTimeoutMs;
    // IMMEDIATE takes the write lock at the start, where nothing has to be rolled back yet.
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
  }

  /** Queues a write. Resolves with the result of `work` once that is committed. */
  write<T>(pages: number, frees: boolean, work: () => T): Promise<T> {
    const written = new Promise<T>((resolve, reject) => {
      const run = () => {
        const result = work();
        return () => resolve(result);
      };
      this.#queue.push({ run, reject, pages, frees, waitedMs: 0 });
    });
    this.#last = written;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      // After the poll phase, so that every request of this turn has queued its writes.
      setImmediate(() => this.#flush());
    }
    return written;
  }

  /** Waits for all writes. The last one settles last, because the queue keeps their order. */
  async drain(): Promise<void> {
    await this.#last.catch(() => {});
  }

  #flush(): void {
    const writes = this.#queue;
    this.#queue = [];
    this.#isScheduled = false;
    const locked = this.#write(writes);
    if (locked.length === 0) this.#attempts = 0;
    else this.#waitForLock(locked);
  }

  /** @returns the writes that a lock prevented */
  #write(writes: readonly Write[], mayMakeRoom = true): readonly Write[] {
    try {
      this.#transact(writes);
      return [];
    } catch (error) {
      if (isLocked(error)) return writes;
      const [write] = writes;
      if (write === undefined || writes.length > 1) return this.#writeEach(writes);
      if (mayMakeRoom && isFull(error) && this.#file.makeRoom(write.frees)) return this.#write(writes, false);
      write.reject(storeError(error, this.#name));
      return [];
    }
  }

  /** Writes each alone, in order: one of them fails, or the disk has no room for all. */
  #writeEach(writes: readonly Write[]): readonly Write[] {
    for (const [index, write] of writes.entries()) if (this.#write([write]).length > 0) return writes.slice(index);
    return [];
  }

  /** @throws the error that prevents the commit; then no write has happened or been acknowledged */
  #transact(writes: readonly Write[]): void {
    this.#begin.run();
    const outcomes: (() => void)[] = [];
    let pages = 0;
    try {
      this.#file.checkIdentity();
      for (const write of writes) {
        try {
          outcomes.push(write.run());
          pages += write.pages;
        } catch (error) {
          if (!isStatementError(error)) throw error;
          outcomes.push(() => write.reject(storeError(error, this.#name)));
        }
      }
      if (!writes.every(({ frees }) => frees) && this.#file.isFull()) throw failure("FULL", this.#name);
      this.#commit.run();
    } catch (error) {
      rollBack(this.#database);
      throw error;
    }
    for (const settle of outcomes) settle();
    this.#file.committed(pages);
  }

  /** Tries again after a pause. */
  #waitForLock(writes: readonly Write[]): void {
    const pauseMs = Math.min(2 ** this.#attempts++, MAX_PAUSE_MS) * (0.5 + Math.random() / 2);
    for (const write of writes) {
      write.waitedMs += pauseMs;
      if (write.waitedMs <= this.#busyTimeoutMs) this.#queue.push(write);
      else write.reject(failure("BUSY", this.#name));
    }
    if (this.#queue.length === 0) return;
    this.#isScheduled = true;
    afterPause(pauseMs, () => this.#flush());
  }
}
