import type { Clock } from "../../core/clock.ts";
import { SojournError } from "../../core/errors.ts";
import { isLost, storeError } from "./failures.ts";
import { CONNECT_TIMEOUT_MS, type OwnClient, type Package } from "./packages.ts";

/** A connection that answers nothing for this long is given up: its other end may be gone without having said so. */
const STALLED_MS = 2_000;
/** How many commands may wait for one attempt to connect. */
const MOST_WAITING = 10_000;

/** One client, and what is known of its connection. */
export class Link {
  readonly client: OwnClient;
  readonly #clock: Clock;
  #state: "opening" | "ready" | "down" | "ended" = "opening";
  #openingSince: number;
  /** Whether the client's last news was good. */
  #isConnected = false;
  #why: unknown;
  #waiters: ((isReady: boolean) => void)[] = [];
  /** Commands without a reply, and when the first of them was sent or the last reply came. */
  #pending = 0;
  #quietSince = 0;

  constructor({ connect }: Package, url: string, clock: Clock) {
    this.#clock = clock;
    this.#openingSince = clock.now();
    this.client = connect(url, {
      ready: () => {
        this.#isConnected = true;
        this.#enter("ready");
      },
      // A connection that was lost is one attempt away from being there again; an attempt that failed is bad news.
      lost: (why) => {
        this.#why = why;
        const wasConnected = this.#isConnected;
        this.#isConnected = false;
        this.#enter(wasConnected ? "opening" : "down");
      },
      garbled: () => this.end(),
    });
  }

  /** Whether a new link is needed: this one was ended, or has been silent for too long, and is ended now. */
  get isSpent(): boolean {
    const now = this.#clock.now();
    const isStuck = this.#state === "opening" && now - this.#openingSince > CONNECT_TIMEOUT_MS;
    const isSilent = this.#pending > 0 && now - this.#quietSince > STALLED_MS;
    if (isStuck || isSilent) this.end();
    return this.#state === "ended";
  }

  /** Whether it is connected: known at once, unless the first attempt since it was last connected is under way. */
  isReady(): boolean | Promise<boolean> {
    if (this.#state !== "opening") return this.#state === "ready";
    if (this.#waiters.length >= MOST_WAITING) return false;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** What keeps it from being connected, as far as is known. */
  get failure(): SojournError {
    if (this.#why !== undefined && this.#state === "down") return storeError(this.#why);
    return new SojournError("STORE_UNAVAILABLE", "Redis can't be reached.");
  }

  async watch<T>(send: () => Promise<T>): Promise<T> {
    if (this.#pending === 0) this.#quietSince = this.#clock.now();
    this.#pending++;
    try {
      return await send();
    } catch (error) {
      // A command may learn it before the client says so.
      if (isLost(error) && this.#isConnected) this.#enter("opening");
      throw error;
    } finally {
      this.#pending--;
      this.#quietSince = this.#clock.now();
    }
  }

  /** Ends the client at once. */
  end(): void {
    if (this.#state === "ended") return;
    this.#enter("ended");
    this.client.destroy();
  }

  #enter(state: "opening" | "ready" | "down" | "ended"): void {
    if (this.#state === "ended") return;
    this.#state = state;
    if (state === "opening") {
      this.#openingSince = this.#clock.now();
      return;
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const tell of waiters) tell(state === "ready");
  }
}
