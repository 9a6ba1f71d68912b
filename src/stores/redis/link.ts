import { SojournError } from "../../contract/errors.ts";
import { type Clock, setImmediate } from "../../contract/time.ts";
import type { Connection } from "./client.ts";
import { CONNECT_TIMEOUT_MS, type OwnClient, type Package } from "./packages.ts";
import { isLost, storeError } from "./replies.ts";

/** A connection that leaves commands unanswered this long is ended: its peer may be gone. */
const STALLED_MS = 2_000;
/** How many commands may wait for one attempt to connect. */
const MOST_WAITING = 10_000;

type State = "opening" | "ready" | "down" | "ended";

/** A client that the store made, and the state of its connection. */
export class Link {
  readonly #client: OwnClient;
  readonly #clock: Clock;
  #state: State = "opening";
  #openingSince: number;
  /** Whether the client's last event was that it is connected. */
  #isConnected = false;
  #lastFailure: unknown;
  #waiters: ((isReady: boolean) => void)[] = [];
  #pending = 0;
  #replies = 0;
  #stopWatchdog: (() => void) | undefined;

  constructor({ connect }: Package, url: string, clock: Clock) {
    this.#clock = clock;
    this.#openingSince = clock.now();
    this.#client = connect(url, {
      ready: () => {
        this.#isConnected = true;
        // An idle connection must not keep the process alive.
        this.#client.keepAlive(this.#pending > 0);
        this.#enter("ready");
      },
      // After a lost connection the client reconnects at once. If that fails, the server is down.
      lost: (error) => {
        this.#lastFailure = error;
        const state = this.#isConnected ? "opening" : "down";
        this.#isConnected = false;
        this.#enter(state);
      },
      garbled: () => this.end(),
    });
  }

  /** Returns whether the store needs a new link. Ends this one if it takes too long to connect. */
  get isSpent(): boolean {
    if (this.#state === "opening" && this.#clock.now() - this.#openingSince > CONNECT_TIMEOUT_MS) this.end();
    return this.#state === "ended";
  }

  /** Returns whether it is connected, after the first attempt if it is connecting. */
  isReady(): boolean | Promise<boolean> {
    if (this.#state !== "opening") return this.#state === "ready";
    if (this.#waiters.length >= MOST_WAITING) return false;
    // Once: a socket that is still connecting adds a listener for each call.
    if (this.#waiters.length === 0) this.#client.keepAlive(true);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** The reason why it is not connected. */
  get failure(): SojournError {
    if (this.#lastFailure !== undefined && this.#state === "down") return storeError(this.#lastFailure);
    return new SojournError("STORE_UNAVAILABLE", "Redis can't be reached.");
  }

  async use<T>(send: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#pending++ === 0) this.#client.keepAlive(true);
    this.#startWatchdog();
    try {
      return await send(this.#client.connection);
    } catch (error) {
      // A command may notice a lost connection before the client's event.
      if (isLost(error) && this.#isConnected) this.#enter("opening");
      throw error;
    } finally {
      this.#pending--;
      this.#replies++;
      if (this.#pending === 0) {
        this.#stopWatchdog?.();
        this.#client.keepAlive(false);
      }
    }
  }

  end(): void {
    if (this.#state === "ended") return;
    this.#enter("ended");
    this.#stopWatchdog?.();
    this.#client.destroy();
  }

  /**
   * Ends a silent connection, even if so many commands are pending that no more are sent. Uses a
   * timer, because the time of day may be set back.
   */
  #startWatchdog(): void {
    if (this.#stopWatchdog !== undefined) return;
    const replies = this.#replies;
    const cancel = this.#clock.after(STALLED_MS, () =>
      // After a stall of the event loop, replies that are already in the socket come first.
      setImmediate(() => {
        if (this.#stopWatchdog !== stop) return;
        this.#stopWatchdog = undefined;
        if (this.#replies === replies) this.end();
        else this.#startWatchdog();
      }),
    );
    const stop = () => {
      this.#stopWatchdog = undefined;
      cancel();
    };
    this.#stopWatchdog = stop;
  }

  #enter(state: State): void {
    if (this.#state === "ended") return;
    this.#state = state;
    if (state === "opening") {
      this.#openingSince = this.#clock.now();
      return;
    }
    for (const resolve of this.#waiters.splice(0)) resolve(state === "ready");
  }
}
