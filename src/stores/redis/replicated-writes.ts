import { SojournError } from "../../contract/errors.ts";
import type { Clock } from "../../contract/time.ts";
import type { Command, Connection } from "./client.ts";
import type { Writer } from "./commands.ts";

/** How many replicas must confirm a write before it is acknowledged. */
export interface WaitOptions {
  /** A whole number from 1. */
  replicas: number;
  /** How long to wait for them, in milliseconds. */
  timeoutMs: number;
}

interface Write {
  key: string;
  command: Command;
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

/** The writes that wait for the current batch, and when that began. */
interface Queue {
  writes: Write[];
  since: number;
}

/** After this long a new write ignores the current batch, and detects a dead connection. */
const STUCK_MS = 2_000;

/**
 * @internal
 * Acknowledges writes once replicas have them (the command WAIT). WAIT blocks its connection, so
 * reads use another one. Writes that arrive during one WAIT share the next.
 */
export class ReplicatedWrites implements Writer {
  readonly #connection: Connection;
  readonly #wait: WaitOptions;
  readonly #clock: Clock;
  /** One queue for a server, or one for each key of a Cluster. */
  readonly #queues = new Map<string, Queue>();

  constructor(connection: Connection, { replicas, timeoutMs }: WaitOptions, clock: Clock) {
    for (const [name, value] of Object.entries({ replicas, timeoutMs })) {
      if (Number.isSafeInteger(value) && value >= 1) continue;
      throw new TypeError(`RedisStore: wait.${name} must be a whole number from 1`);
    }
    this.#connection = connection;
    this.#wait = { replicas, timeoutMs };
    this.#clock = clock;
  }

  send(key: string, command: Command): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const place = this.#connection.isCluster ? key : "";
      const write = { key, command, resolve, reject };
      const queue = this.#queues.get(place);
      const isMoving = queue !== undefined && this.#clock.now() - queue.since <= this.#wait.timeoutMs + STUCK_MS;
      if (isMoving) queue.writes.push(write);
      else void this.#drain(place, [write]);
    });
  }

  async #drain(place: string, first: Write[]): Promise<void> {
    let queue: Queue = { writes: first, since: 0 };
    while (queue.writes.length > 0) {
      const batch = queue.writes;
      queue = { writes: [], since: this.#clock.now() };
      this.#queues.set(place, queue);
      await this.#sendBatch(batch);
    }
    if (this.#queues.get(place) === queue) this.#queues.delete(place);
  }

  async #sendBatch(batch: readonly Write[]): Promise<void> {
    const { replicas, timeoutMs } = this.#wait;
    const wait = ["WAIT", String(replicas), String(timeoutMs)];
    try {
      const commands = [...batch.map(({ command }) => command), wait];
      const results = await this.#connection.sendTogether(batch[0]?.key ?? "", commands);
      const waited = results.at(-1);
      const confirmed = waited?.status === "fulfilled" ? Number(waited.value) : 0;
      const failure =
        waited?.status === "rejected"
          ? waited.reason
          : new SojournError(
              "STORE_UNAVAILABLE",
              `Redis has the write, but only ${confirmed} of ${replicas} replicas confirmed it within ${timeoutMs} ms: a failover may undo it.`,
            );
      for (const [index, write] of batch.entries()) {
        const result = results[index];
        if (result?.status !== "fulfilled") write.reject(result?.reason);
        else if (confirmed < replicas) write.reject(failure);
        else write.resolve(result.value);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
