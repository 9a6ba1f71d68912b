import type { Clock } from "../../contract/clock.ts";
import { SojournError } from "../../contract/errors.ts";
import type { Connection } from "./client.ts";
import type { Writer } from "./commands.ts";

/** How many replicas must have a write before it is acknowledged. */
export interface WaitOptions {
  replicas: number;
  /** How long to wait for them, in milliseconds. */
  timeoutMs: number;
}

interface Write {
  key: string;
  command: readonly string[];
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

/** Writes that wait for the one that is under way, and since when that is. */
interface Queue {
  writes: Write[];
  since: number;
}

/** How long something may be under way before the next write is sent all the same, and so finds out that the connection is dead. */
const STUCK_MS = 2_000;

/**
 * Writes that are acknowledged once replicas have them (the command WAIT). On a connection of their own, which WAIT blocks, so that
 * reads never stand behind it; and whatever is written while one WAIT is under way shares the next.
 */
export class ReplicatedWrites implements Writer {
  readonly #connection: Connection;
  readonly #wait: WaitOptions;
  readonly #clock: Clock;
  /** By place: one for a server, one for each key of a Cluster. */
  readonly #queues = new Map<string, Queue>();

  constructor(connection: Connection, wait: WaitOptions, clock: Clock) {
    this.#connection = connection;
    this.#wait = checkedWait(wait);
    this.#clock = clock;
  }

  send(key: string, command: readonly string[]): Promise<unknown> {
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
      await this.#together(batch);
    }
    if (this.#queues.get(place) === queue) this.#queues.delete(place);
  }

  async #together(batch: readonly Write[]): Promise<void> {
    const { replicas, timeoutMs } = this.#wait;
    const commands = [...batch.map(({ command }) => command), ["WAIT", String(replicas), String(timeoutMs)]];
    try {
      const results = await this.#connection.sendTogether(batch[0]?.key ?? "", commands);
      const confirmed = results.at(-1);
      for (const [index, write] of batch.entries()) {
        const result = results[index];
        if (result?.status !== "fulfilled") write.reject(result?.reason);
        else if (confirmed?.status !== "fulfilled") write.reject(confirmed?.reason);
        else if (Number(confirmed.value) < replicas) write.reject(notReplicated(Number(confirmed.value), this.#wait));
        else write.resolve(result.value);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

function notReplicated(confirmed: number, { replicas, timeoutMs }: WaitOptions): SojournError {
  return new SojournError(
    "STORE_UNAVAILABLE",
    `Redis has the write, but ${confirmed} of ${replicas} replicas confirmed it within ${timeoutMs} ms: a failover may undo it.`,
  );
}

function checkedWait({ replicas, timeoutMs }: WaitOptions): WaitOptions {
  for (const [name, value] of Object.entries({ replicas, timeoutMs })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TypeError(`RedisStore: wait.${name} must be a whole number from 1`);
  }
  return { replicas, timeoutMs };
}
