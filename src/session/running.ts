import type { Clock } from "../contract/time.ts";
import type { Timeouts } from "./timeouts.ts";

/** A request that has a token and is not answered yet. */
export interface Running {
  /** Whether its answer has begun to leave, or its client has gone. */
  readonly isOver: boolean;
  /** Writes down that its session is in use. */
  use(): void;
}

/** However long sessions live: what was aborted is forgotten after this. */
const LONGEST_STEP_MS = 10_000;
/** So long a request keeps its session from ending, in the steps that this needs: one that never ends must not keep it for ever. */
const LONGEST_MS = 60 * 60 * 1_000;

/** So many may be over before those are forgotten: their requests and responses wait for it. */
const MOST_OVER = 64;

/**
 * The requests that are under way. A session must not end by its idle timeout while one of them uses it, however long an upload takes; so
 * long before that its use is written down again. Nearly all requests are over before the first step: they cost a place in a list.
 */
export class RunningRequests {
  readonly #clock: Clock;
  readonly #useAfterMs: number;
  readonly #stepMs: number;
  /** Those that came since the last step. Some are over. */
  #young: Running[] = [];
  #room = MOST_OVER;
  /** Those that came before it: when they began, and when their use was written down last. */
  readonly #old = new Map<Running, { began: number; used: number }>();
  #cancel: (() => void) | undefined = undefined;

  constructor(clock: Clock, { idleMs, touchAfterMs }: Timeouts) {
    this.#clock = clock;
    // At the beginning of a request its session has this twice: its last use was written down less than touchAfter ago.
    this.#useAfterMs = Math.max(1, (idleMs - touchAfterMs) / 2);
    this.#stepMs = Math.min(this.#useAfterMs, LONGEST_STEP_MS);
  }

  add(request: Running): void {
    if (this.#young.length >= this.#room) {
      this.#young = this.#young.filter(({ isOver }) => !isOver);
      this.#room = this.#young.length + MOST_OVER;
    }
    this.#young.push(request);
    if (this.#cancel === undefined) this.#stepLater();
  }

  close(): void {
    this.#young = [];
    this.#old.clear();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #stepLater(): void {
    this.#cancel = this.#clock.after(this.#stepMs, () => {
      this.#cancel = undefined;
      this.#step();
      if (this.#old.size > 0) this.#stepLater();
    });
  }

  #step(): void {
    const now = this.#clock.now();
    // They began a moment later: that is on the safe side.
    const began = now - this.#stepMs;
    for (const request of this.#young) if (!request.isOver) this.#old.set(request, { began, used: began });
    this.#young = [];
    this.#room = MOST_OVER;
    for (const [request, times] of this.#old) {
      if (request.isOver || now - times.began > LONGEST_MS) {
        this.#old.delete(request);
      } else if (now - times.used >= this.#useAfterMs) {
        times.used = now;
        request.use();
      }
    }
  }
}
