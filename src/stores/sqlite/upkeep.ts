import { closeSync, openSync, statfsSync, statSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { SojournError } from "../../core/errors.ts";
import { column, type SqliteDatabase, type SqliteStatement } from "./database.ts";

/** From this many pages on, a quiet moment is used for a checkpoint of a few milliseconds: 2 MiB. */
const QUIET_PAGES = 512;
/** A moment is quiet when nobody has written for this long: such a moment comes soon unless thousands write every second. */
const QUIET_MS = 2;
/** Where none comes, the log is checkpointed at 64 MiB, or at a quarter of what the disk has left. */
const MOST_PAGES = 16_384;
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
 * is given up, and the log is checkpointed into the room that it leaves. From then on the main file must not grow: so a
 * checkpoint always succeeds, and lets the log be used again from its beginning. A delete then needs no new page, and
 * what it frees can be filled again. So that the reserve suffices, a checkpoint also comes before the main file would
 * grow by more than that.
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
  /** Pages of the main file. The log may hold more. */
  #countAtCheckpoint = 0;
  /** More pages than this must not be committed; `undefined` while there is room. */
  #mostCount: number | undefined;
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
    // Where nobody can say how much is free, nothing is kept back.
    this.#hasReserve = this.#reserveBytes === 0 || this.#keepBack();
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

  /** Called before a commit that is not meant to make room: whether there is no room for it. */
  refuses(): boolean {
    return this.#mostCount !== undefined && this.#count() > this.#mostCount;
  }

  /** Called after each commit, with an estimate of the pages that it wrote. */
  committed(pages: number): void {
    if (this.#file === "") return;
    this.#logged += pages;
    if (this.#logged >= this.#mostPages || this.#outgrowsReserve()) this.checkpoint();
    if (this.#cancelQuiet === undefined) this.#awaitQuiet();
    else this.#wroteLately = true;
  }

  /**
   * The disk is full. Whether to try again: a checkpoint frees the log, and for a write that makes room the reserve
   * is given up.
   */
  makeRoom(frees: boolean): boolean {
    if (this.#file === "") return false;
    if (!frees || !this.#hasReserve) {
      this.#regainReserve();
      return this.checkpoint();
    }
    this.#hasReserve = false;
    remove(reservePath(this.#file));
    // At once, before someone else takes the room.
    this.checkpoint();
    return true;
  }

  /** Moves the log into the main file as far as no reader is in the way. */
  checkpoint(): boolean {
    this.#logged = 0;
    this.#countAgainAt = 0;
    try {
      const result = this.#checkpoint.get();
      if (column(result, "checkpointed") === column(result, "log")) this.#countAtCheckpoint = this.#count();
      this.#mostCount = this.#hasReserve ? undefined : this.#countAtCheckpoint;
      return true;
    } catch {
      // A full disk, or a failing one. The log still holds everything; if it held more, the reserve would not suffice.
      this.#mostCount ??= this.#count();
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
      this.#regainReserve();
    });
  }

  /** Whether a checkpoint would need half of the reserve. Counted seldom: the file grows by what was logged at most. */
  #outgrowsReserve(): boolean {
    if (this.#logged < this.#countAgainAt) return false;
    const grown = this.#count() - this.#countAtCheckpoint;
    const bearable = this.#reserveBytes / 2 / this.#pageBytes;
    this.#countAgainAt = this.#logged + Math.max(1, bearable - grown);
    return grown > bearable;
  }

  #regainReserve(): void {
    // Twice, so that keeping some back doesn't fill the disk.
    if (this.#hasReserve || bytesFreeBeside(this.#file) < 2 * this.#reserveBytes) return;
    this.#hasReserve = this.#keepBack();
    if (this.#hasReserve) this.#mostCount = undefined;
  }

  /** Never throws: it is asked after a commit, which must not look as if it had failed. */
  #count(): number {
    try {
      return Number(column(this.#pageCount.get(), "page_count"));
    } catch {
      return this.#countAtCheckpoint;
    }
  }

  /** Written in full: a file with holes would keep nothing back. Another process may have done it. */
  #keepBack(): boolean {
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
