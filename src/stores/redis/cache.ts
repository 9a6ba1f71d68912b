import type { Clock } from "../../core/clock.ts";
import type { SessionRecord } from "../store.ts";
import type { IoredisClient, NodeRedisClient } from "./client.ts";
import type { Commands } from "./commands.ts";
import type { Keys } from "./keys.ts";
import { track } from "./tracking.ts";

/** Sessions kept in this process for a moment; see `cache` among the store's options. */
export interface CacheOptions {
  /** How many sessions. Default 10,000. */
  maxEntries?: number | undefined;
  /** How old a session from the cache is at most, in milliseconds. Default 1,000. */
  maxAgeMs?: number | undefined;
}

interface Entry {
  /** When it was asked for: what is answered is at least as new. */
  readonly askedAt: number;
  /** Absent while the answer is under way. */
  record?: SessionRecord;
}

/**
 * Answers of the server, each until the server says that its key changed, or it is too old. Empty while nobody would be
 * told of changes.
 *
 * A change that becomes known between a question and its answer takes the place for that answer away, so an answer
 * that was overtaken is never kept.
 */
export class Cache {
  readonly #maxEntries: number;
  readonly #maxAgeMs: number;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #commands: Commands;
  readonly #model: () => Promise<NodeRedisClient | IoredisClient>;
  readonly #entries = new Map<string, Entry>();
  #isTold = false;
  #tracking: Promise<() => void> | undefined;

  /** @param from.model gives the client whose likes are told of changes */
  constructor(
    { maxEntries = 10_000, maxAgeMs = 1_000 }: CacheOptions,
    from: { clock: Clock; keys: Keys; commands: Commands; model: () => Promise<NodeRedisClient | IoredisClient> },
  ) {
    for (const [name, value] of Object.entries({ maxEntries, maxAgeMs })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new TypeError(`RedisStore: cache.${name} must be a whole number from 1`);
      }
    }
    this.#maxEntries = maxEntries;
    this.#maxAgeMs = maxAgeMs;
    this.#clock = from.clock;
    this.#keys = from.keys;
    this.#commands = from.commands;
    this.#model = from.model;
  }

  /** A copy of the record that is known, if it may still be used. */
  get(handle: string): SessionRecord | undefined {
    const entry = this.#entries.get(handle);
    const now = this.#clock.now();
    if (entry?.record === undefined || now - entry.askedAt > this.#maxAgeMs || now < entry.askedAt) return undefined;
    return entry.record.expiresAt > now ? { ...entry.record } : undefined;
  }

  /** Asks, and keeps the answer where that may be done. */
  async ask(handle: string, question: () => Promise<SessionRecord | undefined>): Promise<SessionRecord | undefined> {
    // Where nobody can be asked to tell, every answer comes from the server.
    this.#tracking ??= this.#track().catch(() => () => undefined);
    if (!this.#isTold) return question();
    const entry: Entry = { askedAt: this.#clock.now() };
    this.#entries.delete(handle);
    this.#entries.set(handle, entry);
    if (this.#entries.size > this.#maxEntries) this.#dropOldest();
    let record: SessionRecord | undefined;
    try {
      record = await question();
    } finally {
      if (this.#entries.get(handle) === entry) {
        if (record === undefined) this.#entries.delete(handle);
        else entry.record = { ...record };
      }
    }
    return record;
  }

  /** @param handle all of them where none is named */
  drop(handle?: string): void {
    if (handle === undefined) this.#entries.clear();
    else this.#entries.delete(handle);
  }

  async close(): Promise<void> {
    const end = await this.#tracking;
    end?.();
  }

  async #track(): Promise<() => void> {
    const { probe } = this.#keys;
    return track(await this.#model(), this.#keys.sessions, {
      // Told only once something was told: not every version of the packages passes the messages on.
      asked: () => void this.#commands.write(probe, ["SET", probe, "", "PX", "1000"]).catch(() => undefined),
      lost: () => {
        this.#isTold = false;
        this.drop();
      },
      changed: (key) => {
        if (key === probe) this.#isTold = true;
        this.drop(key === undefined ? undefined : this.#keys.handleOf(key));
      },
    });
  }

  #dropOldest(): void {
    for (const handle of this.#entries.keys()) {
      this.#entries.delete(handle);
      return;
    }
  }
}
