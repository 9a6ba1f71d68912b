import type { Clock } from "../contract/time.ts";
import type { Timeouts } from "./timeouts.ts";

/** A request that has a token and no response yet. */
export interface Running {
  /** Whether its response has begun to leave, or its client has disconnected. */
  readonly isOver: boolean;
  /** Stores a use of its session. */
  use(): void;
}

/** The longest step, after which aborted requests are dropped whatever the idle timeout. */
const LONGEST_STEP_MS = 10_000;
/** The longest time that a request keeps its session alive, because a request may never end. */
const LONGEST_MS = 60 * 60 * 1_000;

/** How many finished requests may keep their memory before they are dropped. */
const MOST_OVER = 64;

/**
 * Tracks the requests in progress, and stores a use of their sessions in time. So a session never
 * times out during its request, however long an upload takes. Nearly all requests end before the
 * first step, at the cost of a place in a list.
 */
export class RunningRequests {
  readonly #clock: Clock;
  readonly #useAfterMs: number;
  readonly #stepMs: number;
  /** Requests since the last step, including finished ones. */
  #young: Running[] = [];
  #room = MOST_OVER;
  /** Earlier requests, with their beginning and the last stored use. */
  readonly #old = new Map<Running, { began: number; used: number }>();
  #cancel: (() => void) | undefined = undefined;

  constructor(clock: Clock, { idleMs, touchAfterMs }: Timeouts) {
    this.#clock = clock;
    // When a request begins, its session has at least twice this time left, because the last use
    // was stored less than touchAfter ago.
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
    // Assumes the earliest possible beginning, which is safe.
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
