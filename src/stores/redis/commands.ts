import type { Clock } from "../../contract/clock.ts";
import { SojournError } from "../../contract/errors.ts";
import type { Connection } from "./client.ts";
import { isLost, storeError, wantsScript } from "./failures.ts";
import { textOf } from "./replies.ts";
import type { Script } from "./scripts.ts";

/** Where commands go that change something: a connection, or one that also waits for replicas. */
export type Writer = Pick<Connection, "send">;

/** How long after a command was sent it may be sent again because its connection was lost. */
const AGAIN_WITHIN_MS = 1_000;
/** A connection that has not answered anything for this long, with so many commands waiting, gets no more of them. */
const STALLED_MS = 2_000;
const STALLED_COMMANDS = 1_000;
/** However fast it answers. */
const MOST_COMMANDS = 50_000;

/**
 * Sends the store's commands, and makes of every failure a {@link SojournError}.
 *
 * A command whose connection is lost is sent once more, on the next one: reads change nothing, and the scripts are
 * written so that a second run of the same call does nothing more than the first did.
 */
export class Commands {
  readonly #reads: Connection;
  readonly #writes: Writer;
  readonly #clock: Clock;
  /** What the server calls each script; empty while it is being asked. */
  readonly #names = new Map<Script, string>();
  #waiting = 0;
  #lastAnswer = 0;
  #onFirstAnswer: (() => void) | undefined;

  /** @param onFirstAnswer called once, when the server has answered for the first time */
  constructor(options: { reads: Connection; writes: Writer; clock: Clock; onFirstAnswer: () => void }) {
    this.#reads = options.reads;
    this.#writes = options.writes;
    this.#clock = options.clock;
    this.#onFirstAnswer = options.onFirstAnswer;
  }

  read(key: string, command: readonly string[]): Promise<unknown> {
    return this.#patiently(() => this.#reads.send(key, command));
  }

  write(key: string, command: readonly string[], onRepeat?: () => void): Promise<unknown> {
    return this.#patiently(() => this.#writes.send(key, command), onRepeat);
  }

  /** Runs a script that only reads. */
  ask(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#run(this.#reads, script, keys, args);
  }

  /** @param onRepeat called when the script is sent again: it may have run before, and a reply "too late" may be its own doing */
  run(script: Script, keys: readonly string[], args: readonly string[], onRepeat?: () => void): Promise<unknown> {
    return this.#run(this.#writes, script, keys, args, onRepeat);
  }

  async #run(
    to: Writer,
    script: Script,
    keys: readonly string[],
    args: readonly string[],
    onRepeat?: () => void,
  ): Promise<unknown> {
    const [first = ""] = keys;
    const rest = [String(keys.length), ...keys, ...args];
    const byText = () => this.#patiently(() => to.send(first, ["EVAL", script.text, ...rest]), onRepeat);
    const name = this.#names.get(script);
    if (!name) {
      if (name === undefined) this.#learnName(first, script);
      return byText();
    }
    try {
      return await this.#patiently(() => to.send(first, ["EVALSHA", name, ...rest]), onRepeat);
    } catch (error) {
      if (error instanceof SojournError && wantsScript(error.cause)) return byText();
      throw error;
    }
  }

  /** The server says what it calls a script; until then, or where it may not be asked, the text is sent each time. */
  #learnName(key: string, script: Script): void {
    this.#names.set(script, "");
    this.#reads
      .send(key, ["SCRIPT", "LOAD", script.text])
      .then((name) => this.#names.set(script, textOf(name)))
      .catch(() => this.#names.delete(script));
  }

  async #patiently(send: () => Promise<unknown>, onRepeat?: () => void): Promise<unknown> {
    const began = this.#clock.now();
    if (this.#waiting === 0) this.#lastAnswer = began;
    const isStalled = this.#waiting >= STALLED_COMMANDS && began - this.#lastAnswer > STALLED_MS;
    if (isStalled || this.#waiting >= MOST_COMMANDS) {
      throw new SojournError("STORE_UNAVAILABLE", `Redis has not answered ${this.#waiting} commands yet.`);
    }
    this.#waiting++;
    try {
      const reply = await send();
      this.#onFirstAnswer?.();
      this.#onFirstAnswer = undefined;
      return reply;
    } catch (error) {
      if (!isLost(error) || this.#clock.now() - began > AGAIN_WITHIN_MS) throw storeError(error);
      onRepeat?.();
      try {
        return await send();
      } catch (again) {
        throw storeError(again);
      }
    } finally {
      this.#waiting--;
      this.#lastAnswer = this.#clock.now();
    }
  }
}
