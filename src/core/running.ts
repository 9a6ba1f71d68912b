import type { Clock } from "./clock.ts";
import type { Timeouts } from "./timeouts.ts";

/** A request that has a token and is not answered yet. */
export interface Running {
  /** Whether its client has gone. */
  readonly isOver: boolean;
  /** Writes down that its session is in use. */
  use(): void;
}

/** However long sessions live: what was aborted is forgotten after this. */
const LONGEST_STEP_MS = 10_000;
/** So long a request keeps its session from ending, in the steps that this needs: one that never ends must not keep it for ever. */
const LONGEST_MS = 60 * 60 * 1_000;

/**
 * The requests that are under way. A session must not end by its idle timeout while one of them uses it, however long an upload takes; so
 * long before that its use is written down again. No timer runs where no request does.
 */
export class RunningRequests {
  readonly #clock: Clock;
  readonly #useAfterMs: number;
  readonly #stepMs: number;
  /** When it began, and when its use was written down last; `undefined` until the first step after its beginning. */
  readonly #running = new Map<Running, { began: number; used: number } | undefined>();
  #cancel: (() => void) | undefined = undefined;

  constructor(clock: Clock, { idleMs, touchAfterMs }: Timeouts) {
    this.#clock = clock;
    // At the beginning of a request its session has this twice: its last use was written down less than touchAfter ago.
    this.#useAfterMs = Math.max(1, (idleMs - touchAfterMs) / 2);
    this.#stepMs = Math.min(this.#useAfterMs, LONGEST_STEP_MS);
  }

  add(request: Running): void {
    this.#running.set(request, undefined);
    if (this.#cancel === undefined) this.#stepLater();
  }

  delete(request: Running): void {
    if (this.#running.delete(request) && this.#running.size === 0) this.#stop();
  }

  close(): void {
    this.#running.clear();
    this.#stop();
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #stepLater(): void {
    this.#cancel = this.#clock.after(this.#stepMs, () => {
      this.#cancel = undefined;
      this.#step();
      if (this.#running.size > 0) this.#stepLater();
    });
  }

  #step(): void {
    const now = this.#clock.now();
    for (const [request, known] of this.#running) {
      // Or a moment later: that is on the safe side.
      const before = now - this.#stepMs;
      const { began, used } = known ?? { began: before, used: before };
      if (request.isOver || now - began > LONGEST_MS) {
        this.#running.delete(request);
      } else if (now - used >= this.#useAfterMs) {
        this.#running.set(request, { began, used: now });
        request.use();
      } else if (known === undefined) this.#running.set(request, { began, used });
    }
  }
}
