import { statSync } from "node:fs";
import { SojournError } from "../../contract/errors.ts";
import type { Clock } from "../../contract/time.ts";
import { type SqliteDatabase, type SqliteStatement, valuesOf } from "./database.ts";
import { bytesFreeBeside, giveUpReserve, keepReserve } from "./reserve.ts";

/** From this many pages on, a quiet moment is used for a checkpoint of a few milliseconds: 2 MiB. */
const QUIET_PAGES = 512;
/** A moment is quiet when nobody has written for this long: such a moment comes soon unless thousands write every second. */
const QUIET_MS = 2;
/** Where none comes a commit checkpoints a log of 64 MiB, or of a quarter of what the disk has left: seldom, so that few requests meet it. */
const MOST_PAGES = 16_384;
/** How often a call makes sure that the file is still there. */
const CHECK_PLACE_MS = 100;
/** The reserve: 2 MiB, or an eighth of what the disk has left. */
const MOST_RESERVED_BYTES = 2 * 1024 * 1024;
/** A checkpoint is due when it would need this share of the reserve. */
const DUE_GROWTH = 1 / 2;

/** `incomplete`: a reader or another process's checkpoint is in the way. `failed`: the disk is full, or worse. */
type CheckpointOutcome = "complete" | "incomplete" | "failed";

/**
 * Looks after a database file and its write-ahead log.
 *
 * Checkpoints: SQLite's own come in the middle of commits, and one commit in a hundred then takes 20 ms. These come
 * in quiet moments; where there is none, within a commit, seldom.
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
  readonly #opened: readonly { path: string; place: string }[];
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
    // FULL is PASSIVE where somebody writes: it waits for nobody, since the connection doesn't.
    this.#checkpoint = database.prepare("PRAGMA wal_checkpoint(FULL)");
    this.#pageCount = database.prepare("PRAGMA page_count");
    this.#pageBytes = Number(valuesOf(database.prepare("PRAGMA page_size").get())[0]);
    this.#countAtCheckpoint = this.#count();
    this.#opened = file === "" ? [] : [file, `${file}-wal`, `${file}-shm`].flatMap(present);
    const freeBytes = file === "" ? 0 : bytesFreeBeside(file);
    this.#mostPages = Math.min(MOST_PAGES, Math.ceil(freeBytes / 4 / this.#pageBytes));
    this.#reserveBytes = Math.min(MOST_RESERVED_BYTES, Math.floor(freeBytes / 8));
    // Where nobody can say how much is free, nothing is kept back.
    this.#hasReserve = this.#reserveBytes === 0 || keepReserve(file, this.#reserveBytes);
  }

  /**
   * Called with each read, and before each commit.
   *
   * @throws SojournError where the file, its log or its index is no longer the one that was opened: SQLite would go on
   * reading and writing what was removed. What it acknowledged would end with the process, and a session that another process ended
   * would live on here.
   */
  checkPlace(): void {
    const now = this.#clock.now();
    const elapsed = now - this.#checkedPlaceAt;
    if (elapsed >= 0 && elapsed < CHECK_PLACE_MS) return;
    for (const { path, place } of this.#opened) {
      if (placeOf(path) !== place) {
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
    giveUpReserve(this.#file);
    // At once, before someone else takes the room.
    this.checkpoint();
    return true;
  }

  /** Moves the log into the main file as far as no reader is in the way. */
  checkpoint(): boolean {
    try {
      this.#note(outcomeOf(this.#checkpoint.get()));
      return true;
    } catch {
      this.#note("failed");
      return false;
    }
  }

  close(): void {
    this.#cancelQuiet?.();
    this.#cancelQuiet = undefined;
    if (this.#file !== "") this.checkpoint();
  }

  #note(outcome: CheckpointOutcome): void {
    this.#logged = 0;
    this.#countAgainAt = 0;
    // A full disk, or a failing one. The log still holds everything; if it held more, the reserve would not suffice.
    if (outcome === "failed") this.#mostCount ??= this.#count();
    else {
      if (outcome === "complete") this.#countAtCheckpoint = this.#count();
      this.#mostCount = this.#hasReserve ? undefined : this.#countAtCheckpoint;
    }
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

  /**
   * Whether the main file has grown so far that a checkpoint would need more than its share of the reserve. Counted seldom: the file grows by what
   * was logged at most.
   */
  #outgrowsReserve(): boolean {
    if (this.#logged < this.#countAgainAt) return false;
    const grown = this.#count() - this.#countAtCheckpoint;
    const left = (this.#reserveBytes / this.#pageBytes) * DUE_GROWTH - grown;
    this.#countAgainAt = this.#logged + Math.max(1, left);
    return left < 0;
  }

  #regainReserve(): void {
    // Twice, so that keeping some back doesn't fill the disk.
    if (this.#hasReserve || bytesFreeBeside(this.#file) < 2 * this.#reserveBytes) return;
    this.#hasReserve = keepReserve(this.#file, this.#reserveBytes);
    if (this.#hasReserve) this.#mostCount = undefined;
  }

  /** Never throws: it is asked after a commit, which must not look as if it had failed. */
  #count(): number {
    try {
      return Number(valuesOf(this.#pageCount.get())[0]);
    } catch {
      return this.#countAtCheckpoint;
    }
  }
}

function present(path: string): { path: string; place: string }[] {
  const place = placeOf(path);
  return place === undefined ? [] : [{ path, place }];
}

/** Tells a file from every other one, whatever it is called; `undefined` where there is none. */
function placeOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.dev} ${stats.ino}`;
}

/** Of a row of `PRAGMA wal_checkpoint`. */
function outcomeOf(result: unknown): CheckpointOutcome {
  const [busy, log, checkpointed] = valuesOf(result);
  return Number(busy) === 0 && log === checkpointed ? "complete" : "incomplete";
}
