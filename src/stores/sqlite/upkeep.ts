import { closeSync, openSync, statfsSync, statSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { SojournError } from "../../core/errors.ts";
import { column, type SqliteDatabase, type SqliteStatement } from "./database.ts";

/** From this many pages on, a quiet moment is used for a checkpoint of a few milliseconds: 2 MiB. */
const QUIET_PAGES = 512;
/** A moment is quiet when nobody has written for this long. */
const QUIET_MS = 5;
/** Where no quiet moment comes, the log is checkpointed at 32 MiB, or at a quarter of what the disk has left. */
const MOST_PAGES = 8_192;
/** How often a commit makes sure that the file is still there. */
const CHECK_PLACE_MS = 100;
/** The reserve: 2 MiB, or an eighth of what the disk has left. */
const MOST_RESERVED_BYTES = 2 * 1024 * 1024;

/**
 * Looks after a database file and its write-ahead log.
 *
 * Checkpoints: SQLite's own come in the middle of commits, and one commit in a hundred then takes 20 ms. These come
 * in quiet moments, and at a ceiling.
 *
 * Logging out on a full disk: a file beside the database keeps some of the disk back. When the disk is full that file
 * is given up; the log is checkpointed into the room that it leaves, from then on after every commit, and used again
 * from its beginning. A delete then needs no new page. So that the reserve always suffices, a checkpoint
 * also comes before the database has grown by more than that.
 */
export class Upkeep {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #checkpoint: SqliteStatement;
  readonly #pageCount: SqliteStatement;
  readonly #pageBytes: number;
  readonly #opened: readonly { path: string; inode: number }[];
  readonly #mostPages: number;
  readonly #reserveBytes: number;
  #hasReserve: boolean;
  /** Pages written to the log since the last checkpoint: an estimate. */
  #logged = 0;
  #countAtCheckpoint: number;
  /** So many logged pages later the file may have outgrown the reserve. */
  #countAgainAt = 0;
  #checkedPlaceAt = Number.NEGATIVE_INFINITY;
  #wroteLately = false;
  #cancelQuiet: (() => void) | undefined;

  /** @param file the path of the main file, `""` for a database in memory: then there is nothing to look after */
  constructor(database: SqliteDatabase, file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    this.#checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    this.#pageCount = database.prepare("PRAGMA page_count");
    this.#pageBytes = Number(column(database.prepare("PRAGMA page_size").get(), "page_size"));
    this.#countAtCheckpoint = this.#count();
    this.#opened = file === "" ? [] : [file, `${file}-wal`].flatMap(inodeOf);
    const freeBytes = file === "" ? 0 : bytesFreeBeside(file);
    this.#mostPages = Math.min(MOST_PAGES, Math.ceil(freeBytes / 4 / this.#pageBytes));
    this.#reserveBytes = Math.min(MOST_RESERVED_BYTES, Math.floor(freeBytes / 8));
    this.#hasReserve = file !== "" && this.#keepBack();
  }

  /**
   * Called before each commit.
   *
   * @throws SojournError where the file, or its log, is no longer the one that was opened: SQLite would go on writing
   * to what was removed, and what it acknowledged would end with the process.
   */
  checkPlace(): void {
    const now = this.#clock.now();
    const elapsed = now - this.#checkedPlaceAt;
    if (elapsed >= 0 && elapsed < CHECK_PLACE_MS) return;
    for (const { path, inode } of this.#opened) {
      if (statSync(path, { throwIfNoEntry: false })?.ino !== inode) {
        throw new SojournError(
          "STORE_UNAVAILABLE",
          `The session database ${path} was removed or replaced while in use.`,
        );
      }
    }
    this.#checkedPlaceAt = now;
  }

  /** Called after each commit, with an estimate of the pages that it wrote. */
  committed(pages: number): void {
    if (this.#file === "") return;
    this.#logged += pages;
    if (!this.#hasReserve || this.#logged >= this.#mostPages || this.#hasOutgrownReserve()) this.checkpoint();
    this.#wroteLately = true;
    if (this.#cancelQuiet === undefined) this.#awaitQuiet();
  }

  /**
   * The disk is full. Whether to try again: a checkpoint frees the log, and for a write that makes room the reserve
   * is given up.
   */
  makeRoom(frees: boolean): boolean {
    if (this.#file === "") return false;
    if (!frees || !this.#hasReserve) return this.checkpoint();
    this.#hasReserve = false;
    remove(reservePath(this.#file));
    this.checkpoint();
    return true;
  }

  /** Moves the log into the main file as far as no reader is in the way. */
  checkpoint(): boolean {
    this.#logged = 0;
    this.#countAgainAt = 0;
    try {
      this.#checkpoint.get();
      this.#countAtCheckpoint = this.#count();
      return true;
    } catch {
      // A full disk, or a failing one: the log still holds everything, and the next commit meets the error itself.
      return false;
    }
  }

  close(): void {
    this.#cancelQuiet?.();
    this.#cancelQuiet = undefined;
    if (this.#file !== "") this.checkpoint();
  }

  #awaitQuiet(): void {
    this.#wroteLately = false;
    this.#cancelQuiet = this.#clock.after(QUIET_MS, () => {
      this.#cancelQuiet = undefined;
      if (this.#wroteLately) {
        this.#awaitQuiet();
        return;
      }
      if (this.#logged >= QUIET_PAGES) this.checkpoint();
      // Twice, so that keeping some back doesn't fill the disk.
      if (!this.#hasReserve && bytesFreeBeside(this.#file) > 2 * this.#reserveBytes)
        this.#hasReserve = this.#keepBack();
    });
  }

  /** Whether a checkpoint would make the file grow by more than the reserve. Counted seldom: it grows by what was logged at most. */
  #hasOutgrownReserve(): boolean {
    if (this.#logged < this.#countAgainAt) return false;
    const grown = this.#count() - this.#countAtCheckpoint;
    const reserve = this.#reserveBytes / this.#pageBytes;
    this.#countAgainAt = this.#logged + Math.max(1, reserve - grown);
    return grown > reserve;
  }

  #count(): number {
    return Number(column(this.#pageCount.get(), "page_count"));
  }

  /** Written in full: a file with holes would keep nothing back. Another process may have done it. */
  #keepBack(): boolean {
    if (this.#reserveBytes === 0) return false;
    const path = reservePath(this.#file);
    try {
      const descriptor = openSync(path, "wx", 0o600);
      const zeros = Buffer.alloc(this.#reserveBytes);
      try {
        for (let written = 0; written < zeros.length; ) written += writeSync(descriptor, zeros, written);
      } finally {
        closeSync(descriptor);
      }
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") return true;
      remove(path);
      return false;
    }
  }
}

function reservePath(file: string): string {
  return `${file}-reserve`;
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Another process was first.
  }
}

function inodeOf(path: string): { path: string; inode: number }[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? [] : [{ path, inode: stats.ino }];
}

/** What this process may still write there. */
function bytesFreeBeside(file: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize;
  } catch {
    return 0;
  }
}
