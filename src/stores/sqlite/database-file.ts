import { rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { SojournError } from "../../contract/errors.ts";
import type { Clock } from "../../contract/time.ts";
import { fileOf, type SqliteDatabase, type SqliteStatement, valuesOf } from "./database.ts";

/** From this many logged pages on (2 MiB), a quiet moment checkpoints, in a few milliseconds. */
const QUIET_PAGES = 512;
/** A moment is quiet after this time without a write. */
const QUIET_MS = 2;
/** At this many logged pages (64 MiB) a commit checkpoints. Few requests wait for that. */
const MAX_LOGGED_PAGES = 16_384;
const CHECK_IDENTITY_MS = 100;
/** The reserve's size, or an eighth of the free space if that is less. */
const MAX_RESERVE_BYTES = 2 * 1024 * 1024;

/**
 * Maintains a database's file, its write-ahead log and its disk reserve.
 *
 * SQLite's own checkpoints delay one commit in a hundred by 20 ms. These come in quiet moments; if
 * there are none, within a commit, seldom.
 *
 * The reserve is a file that occupies some of the disk, so that logging out works when the disk is
 * full. Then it is deleted, and a checkpoint moves the log into its room. From then on the main
 * file must not grow, so that each checkpoint succeeds and the log starts over. A delete needs no
 * new page, and later writes fill what it frees. To keep the reserve sufficient, a checkpoint also
 * comes before the main file grows by half of it.
 */
export class DatabaseFile {
  /** `""` for a database in memory, which needs no maintenance. */
  readonly #path: string;
  readonly #clock: Clock;
  readonly #checkpoint: SqliteStatement;
  readonly #pageCount: SqliteStatement;
  readonly #pageBytes: number;
  /** Identities of the files that SQLite has open. */
  readonly #opened: ReadonlyMap<string, string | undefined>;
  readonly #maxLoggedPages: number;
  readonly #reserveBytes: number;
  #hasReserve: boolean;
  /** An estimate of the pages logged since the last checkpoint. */
  #logged = 0;
  /** Pages of the main file after the last checkpoint. The log may hold more. */
  #pagesAtCheckpoint = 0;
  /** The most pages that a commit may leave. `undefined` while the disk has room. */
  #maxPages: number | undefined;
  /** The count of logged pages at which to compare the main file with the reserve again. */
  #compareAt = 0;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #wroteRecently = false;
  #cancelQuiet: (() => void) | undefined;

  constructor(database: SqliteDatabase, clock: Clock) {
    this.#path = fileOf(database);
    this.#clock = clock;
    // FULL would wait for writers, but this connection waits for nothing: then it acts as PASSIVE.
    this.#checkpoint = database.prepare("PRAGMA wal_checkpoint(FULL)");
    this.#pageCount = database.prepare("PRAGMA page_count");
    this.#pageBytes = Number(valuesOf(database.prepare("PRAGMA page_size").get())[0]);
    this.#pagesAtCheckpoint = this.#pages();
    const paths = this.#path === "" ? [] : ["", "-wal", "-shm"].map((suffix) => this.#path + suffix);
    this.#opened = new Map(paths.map((path) => [path, identityOf(path)] as const).filter(([, identity]) => identity));
    const freeBytes = this.#freeBytes();
    this.#maxLoggedPages = Math.min(MAX_LOGGED_PAGES, Math.ceil(freeBytes / 4 / this.#pageBytes));
    this.#reserveBytes = Math.min(MAX_RESERVE_BYTES, Math.floor(freeBytes / 8));
    // Where the free space is unknown, there is no reserve to lose.
    this.#hasReserve = this.#reserveBytes === 0 || this.#allocateReserve();
  }

  /**
   * Checks that the file, its log and its index are the ones that SQLite opened. Runs with each
   * read and before each commit. Otherwise SQLite would go on with deleted files: acknowledged
   * writes would end with the process, and sessions ended by another process would live on here.
   *
   * @throws SojournError `STORE_UNAVAILABLE`
   */
  checkIdentity(): void {
    const now = this.#clock.now();
    const elapsed = now - this.#checkedAt;
    if (elapsed >= 0 && elapsed < CHECK_IDENTITY_MS) return;
    for (const [path, identity] of this.#opened) {
      if (identityOf(path) === identity) continue;
      throw new SojournError("STORE_UNAVAILABLE", `The session database ${path} was removed or replaced while in use.`);
    }
    this.#checkedAt = now;
  }

  /** Whether there is no room for a commit that needs space. Valid before the commit. */
  isFull(): boolean {
    return this.#maxPages !== undefined && this.#pages() > this.#maxPages;
  }

  /** Checkpoints after a commit if that is due. */
  committed(pages: number): void {
    if (this.#path === "") return;
    this.#logged += pages;
    if (this.#logged >= this.#maxLoggedPages || this.#outgrowsReserve()) this.checkpoint();
    if (this.#cancelQuiet === undefined) this.#awaitQuiet();
    else this.#wroteRecently = true;
  }

  /**
   * Makes room on a full disk: a checkpoint frees the log, and a write that frees space may use the
   * reserve.
   *
   * @returns whether to try the write again
   */
  makeRoom(frees: boolean): boolean {
    if (this.#path === "") return false;
    if (!frees || !this.#hasReserve) {
      this.#regainReserve();
      return this.checkpoint();
    }
    this.#hasReserve = false;
    this.#deleteReserve();
    // Immediately, before another process takes the room.
    this.checkpoint();
    return true;
  }

  /** Moves the log into the main file, as far as no reader is in the way. */
  checkpoint(): boolean {
    this.#logged = 0;
    this.#compareAt = 0;
    try {
      const [busy, logged, moved] = valuesOf(this.#checkpoint.get());
      if (Number(busy) === 0 && logged === moved) this.#pagesAtCheckpoint = this.#pages();
      this.#maxPages = this.#hasReserve ? undefined : this.#pagesAtCheckpoint;
      return true;
    } catch {
      // The disk is full or fails. If the log grew, the reserve would not suffice.
      this.#maxPages ??= this.#pages();
      return false;
    }
  }

  close(): void {
    this.#cancelQuiet?.();
    this.#cancelQuiet = undefined;
    if (this.#path !== "") this.checkpoint();
  }

  #awaitQuiet(): void {
    this.#wroteRecently = false;
    this.#cancelQuiet = this.#clock.after(QUIET_MS, () => {
      this.#cancelQuiet = undefined;
      if (this.#wroteRecently) {
        this.#awaitQuiet();
        return;
      }
      if (this.#logged >= QUIET_PAGES) this.checkpoint();
      this.#regainReserve();
    });
  }

  /**
   * Whether a checkpoint would need more than half of the reserve. Seldom counts pages: the file
   * grows by no more than was logged.
   */
  #outgrowsReserve(): boolean {
    if (this.#logged < this.#compareAt) return false;
    const grown = this.#pages() - this.#pagesAtCheckpoint;
    const left = this.#reserveBytes / this.#pageBytes / 2 - grown;
    this.#compareAt = this.#logged + Math.max(1, left);
    return left < 0;
  }

  /** Waits for twice the space, so that the reserve itself doesn't fill the disk. */
  #regainReserve(): void {
    if (this.#hasReserve || this.#freeBytes() < 2 * this.#reserveBytes) return;
    this.#hasReserve = this.#allocateReserve();
    if (this.#hasReserve) this.#maxPages = undefined;
  }

  /** Writes the file in full: a sparse one would reserve nothing. */
  #allocateReserve(): boolean {
    try {
      writeFileSync(`${this.#path}-reserve`, Buffer.alloc(this.#reserveBytes), { flag: "wx", mode: 0o600 });
      return true;
    } catch (error) {
      // Another process may have written it.
      if (Object(error).code === "EEXIST") return true;
      this.#deleteReserve();
      return false;
    }
  }

  #deleteReserve(): void {
    try {
      rmSync(`${this.#path}-reserve`, { force: true });
    } catch {}
  }

  /** What this process may still write; 0 if that is unknown. */
  #freeBytes(): number {
    if (this.#path === "") return 0;
    try {
      const { bavail, bsize } = statfsSync(dirname(this.#path));
      return bavail * bsize;
    } catch {
      return 0;
    }
  }

  /** Never throws: after a commit, an error would look as if the commit had failed. */
  #pages(): number {
    try {
      return Number(valuesOf(this.#pageCount.get())[0]);
    } catch {
      return this.#pagesAtCheckpoint;
    }
  }
}

/** Identifies a file under any name. `undefined` if there is none. */
function identityOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.dev} ${stats.ino}`;
}
