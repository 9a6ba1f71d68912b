import { SojournError } from "../../contract/errors.ts";
import type { Clock } from "../../contract/time.ts";
import type { Command, Connection } from "./client.ts";
import { isLost, isUnknownScript, storeError } from "./replies.ts";
import type { Script } from "./scripts.ts";

/** A connection for writes; it may also wait for replicas. */
export type Writer = Pick<Connection, "send">;

/** A command is only sent again this long after it was first sent. */
const RETRY_WITHIN_MS = 1_000;
/** A connection with this many pending commands that stays silent this long gets no more. */
const STALLED_COMMANDS = 1_000;
const STALLED_MS = 2_000;
/** The limit of pending commands, however fast the server answers. */
const MOST_COMMANDS = 50_000;

/**
 * Sends commands and scripts. Every failure becomes a {@link SojournError}.
 *
 * If the connection is lost, a command is sent once more on the next connection. That is safe:
 * reads change nothing, and a second run of the same script call does no more than the first did.
 */
export class Commands {
  readonly #reads: Connection;
  readonly #writes: Writer;
  readonly #clock: Clock;
  readonly #onAnswer: () => void;
  /** The scripts that the server has had as text, and caches by their hashes. */
  readonly #sent = new Set<Script>();
  #pending = 0;
  #lastAnswer = 0;

  /** @param options `onAnswer` is called after each reply */
  constructor(options: { reads: Connection; writes: Writer; clock: Clock; onAnswer: () => void }) {
    this.#reads = options.reads;
    this.#writes = options.writes;
    this.#clock = options.clock;
    this.#onAnswer = options.onAnswer;
  }

  read(key: string, command: Command): Promise<unknown> {
    return this.#sendWithRetry(this.#reads, key, command);
  }

  write(key: string, command: Command): Promise<unknown> {
    return this.#sendWithRetry(this.#writes, key, command);
  }

  /**
   * @param onRepeat called if the script is sent again: it may have run before, so a conflict may
   * be its own
   */
  async run(script: Script, keys: readonly string[], args: readonly string[], onRepeat?: () => void): Promise<unknown> {
    const to = this.#writes;
    const [first = ""] = keys;
    const rest = [String(keys.length), ...keys, ...args];
    if (this.#sent.has(script)) {
      try {
        return await this.#sendWithRetry(to, first, ["EVALSHA", script.sha1, ...rest], onRepeat);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
      }
    }
    const reply = await this.#sendWithRetry(to, first, ["EVAL", script.text, ...rest], onRepeat);
    this.#sent.add(script);
    return reply;
  }

  async #sendWithRetry(to: Writer, key: string, command: Command, onRepeat?: () => void): Promise<unknown> {
    const began = this.#clock.now();
    if (this.#pending === 0) this.#lastAnswer = began;
    const isStalled = this.#pending >= STALLED_COMMANDS && began - this.#lastAnswer > STALLED_MS;
    if (isStalled || this.#pending >= MOST_COMMANDS) {
      throw new SojournError("STORE_UNAVAILABLE", `Redis has not yet answered ${this.#pending} commands.`);
    }
    this.#pending++;
    try {
      let reply: unknown;
      try {
        reply = await to.send(key, command);
      } catch (error) {
        if (!isLost(error) || this.#clock.now() - began > RETRY_WITHIN_MS) throw error;
        onRepeat?.();
        reply = await to.send(key, command);
      }
      this.#onAnswer();
      return reply;
    } catch (error) {
      throw storeError(error);
    } finally {
      this.#pending--;
      this.#lastAnswer = this.#clock.now();
    }
  }
}
