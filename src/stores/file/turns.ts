import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterPause } from "../pause.ts";
import * as disk from "./disk.ts";
import { randomName } from "./names.ts";

/** The longest pause before a waiting call looks again. */
const PAUSE_MS = 10;
/** A turn that was not given back for this long belongs to a process that was killed or stopped. */
const STALE_MS = 500;

/** The right to admit sessions of one user. */
export interface Turn {
  /** Whether no other call has had a turn since this one began. */
  isMine(): Promise<boolean>;
  /** Gives it back. */
  end(): Promise<void>;
}

/**
 * Hands out turns, one at a time for each name, in all processes. A turn is a folder with one file
 * of a random name, which a `rename` puts where no other folder with a file is. It can be taken
 * away by removing exactly that file, so no killed process stops the others; whoever has a turn
 * must look afterwards whether it was still its own.
 */
export class Turns {
  readonly #tmp: string;
  readonly #withFolders: <T>(work: () => Promise<T>) => Promise<T>;
  /** The last call of each name in this process: they queue up here instead of on the disk. */
  readonly #queues = new Map<string, Promise<unknown>>();

  /** @param withFolders runs work again after it has made folders that were missing */
  constructor(tmp: string, withFolders: <T>(work: () => Promise<T>) => Promise<T>) {
    this.#tmp = tmp;
    this.#withFolders = withFolders;
  }

  /** Runs `work` when no other call of this name runs in this process. */
  async inQueue<T>(name: string, work: () => Promise<T>): Promise<T> {
    const running = (this.#queues.get(name) ?? Promise.resolve()).then(work, work);
    this.#queues.set(name, running);
    try {
      return await running;
    } finally {
      if (this.#queues.get(name) === running) this.#queues.delete(name);
    }
  }

  /** Waits for a turn. @param run runs each look at the disk */
  async take(name: string, run: <T>(step: () => Promise<T>) => Promise<T>): Promise<Turn> {
    const place = join(this.#tmp, `turn-${name}`);
    const own = `turn-${randomName()}`;
    const prepared = join(this.#tmp, randomName());
    await run(async () => {
      await this.#withFolders(() => mkdir(prepared, { mode: 0o700 }));
      await disk.mark(join(prepared, own));
    });
    try {
      let seen: string | undefined;
      let waitedMs = 0;
      while (!(await run(() => disk.moveFolder(prepared, place)))) {
        const [held] = await run(() => disk.namesIn(place));
        if (held !== undefined && held === seen && waitedMs >= STALE_MS) {
          await run(() => disk.remove(join(place, held)));
          continue;
        }
        if (held !== seen) [seen, waitedMs] = [held, 0];
        const pauseMs = PAUSE_MS * (0.5 + Math.random() / 2);
        waitedMs += pauseMs;
        await new Promise<void>((resolve) => afterPause(pauseMs, resolve));
      }
    } catch (error) {
      await run(async () => {
        await disk.remove(join(prepared, own));
        await disk.removeFolder(prepared);
      });
      throw error;
    }
    return {
      isMine: () => run(() => disk.isOwn(join(place, own))),
      end: () =>
        run(async () => {
          await disk.remove(join(place, own));
          await disk.removeFolder(place);
        }),
    };
  }
}
