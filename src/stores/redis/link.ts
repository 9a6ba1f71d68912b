import { type Clock, setImmediate } from "../../contract/clock.ts";
import { SojournError } from "../../contract/errors.ts";
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
  /** Commands without a reply, and how many have had one. */
  #pending = 0;
  #heard = 0;
  #stopListening: (() => void) | undefined;

  constructor({ connect }: Package, url: string, clock: Clock) {
    this.#clock = clock;
    this.#openingSince = clock.now();
    this.client = connect(url, {
      ready: () => {
        this.#isConnected = true;
        // A process that has nothing else to do ends, as long as no answer is waited for.
        this.client.keepAlive(this.#pending > 0);
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

  /** Whether a new link is needed: this one was ended, or takes too long to connect, and is ended now. */
  get isSpent(): boolean {
    if (this.#state === "opening" && this.#clock.now() - this.#openingSince > CONNECT_TIMEOUT_MS) this.end();
    return this.#state === "ended";
  }

  /**
   * Gives a silent connection up, whether or not anybody sends anything more: so much may be waiting for it that nothing more is let
   * through. By a timer, because the time of day may be set back.
   */
  #listen(): void {
    if (this.#stopListening !== undefined) return;
    const heard = this.#heard;
    const cancel = this.#clock.after(STALLED_MS, () =>
      // A turn later: after a stall of the event loop the timer comes before answers that are already in the socket.
      setImmediate(() => {
        if (this.#stopListening !== stop) return;
        this.#stopListening = undefined;
        if (this.#pending === 0 || this.#state === "ended") return;
        if (this.#heard === heard) this.end();
        else this.#listen();
      }),
    );
    const stop = () => {
      this.#stopListening = undefined;
      cancel();
    };
    this.#stopListening = stop;
  }

  /** Whether it is connected: known at once, unless the first attempt since it was last connected is under way. */
  isReady(): boolean | Promise<boolean> {
    if (this.#state !== "opening") return this.#state === "ready";
    if (this.#waiters.length >= MOST_WAITING) return false;
    this.client.keepAlive(true);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** What keeps it from being connected, as far as is known. */
  get failure(): SojournError {
    if (this.#why !== undefined && this.#state === "down") return storeError(this.#why);
    return new SojournError("STORE_UNAVAILABLE", "Redis can't be reached.");
  }

  async watch<T>(send: () => Promise<T>): Promise<T> {
    if (this.#pending++ === 0) this.client.keepAlive(true);
    this.#listen();
    try {
      return await send();
    } catch (error) {
      // A command may learn it before the client says so.
      if (isLost(error) && this.#isConnected) this.#enter("opening");
      throw error;
    } finally {
      this.#pending--;
      this.#heard++;
      if (this.#pending === 0) {
        this.#stopListening?.();
        this.client.keepAlive(false);
      }
    }
  }

  /** Ends the client at once. */
  end(): void {
    if (this.#state === "ended") return;
    this.#enter("ended");
    this.#stopListening?.();
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
