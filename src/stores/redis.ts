import { type Clock, systemClock } from "../core/clock.ts";
import { SojournError } from "../core/errors.ts";
import { checkedLimit, decodeCursor } from "./paging.ts";
import { marks } from "./redis/chance.ts";
import { connectionOf, type RedisClient } from "./redis/client.ts";
import { Commands } from "./redis/commands.ts";
import { Duplicate } from "./redis/duplicate.ts";
import { Ending } from "./redis/ending.ts";
import { warnOfEviction } from "./redis/eviction.ts";
import { Keys, shardOf } from "./redis/keys.ts";
import { Listing } from "./redis/listing.ts";
import { OwnConnection } from "./redis/own-connection.ts";
import type { ClientPackage } from "./redis/packages.ts";
import { ReplicatedWrites, type WaitOptions } from "./redis/replicated-writes.ts";
import { numberOf } from "./redis/replies.ts";
import { CREATE, TOUCH, UPDATE } from "./redis/scripts.ts";
import { encodeValue, owner, timeField } from "./redis/value.ts";
import type { IndexedStore, SessionPage, SessionRecord, StoreCapabilities, UpdateResult } from "./store.ts";

export type {
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisPool,
  NodeRedisSentinel,
  RedisClient,
} from "./redis/client.ts";
export type { WaitOptions } from "./redis/replicated-writes.ts";

/** What {@link RedisStore} can be told. */
export interface RedisStoreOptions {
  /** What all keys begin with. Default `"sojourn:"`. Stores of different prefixes may share a server. */
  prefix?: string;
  /** Which package makes the client for a URL. Default: `"redis"` if it is installed, else `"ioredis"`. */
  client?: ClientPackage;
  /**
   * Acknowledge a write only when so many replicas have it, so that a failover can't undo it. Where they don't
   * confirm within `timeoutMs`, the write fails with `STORE_UNAVAILABLE`, though the primary has it. Default: don't wait.
   */
  wait?: WaitOptions;
  /** Default: the machine's time. */
  clock?: Clock;
}

/**
 * How much longer than its session a key lives, in milliseconds: whether a session has expired is told by the
 * application's clock and the record, and Redis only sweeps up, so that clocks that differ end no session early.
 */
const SLACK_MS = 300_000;

/** How long `close` waits for what is under way. */
const CLOSE_TIMEOUT_MS = 1_000;

/** What UPDATE returns. */
const RESULTS: readonly UpdateResult[] = ["gone", "ok", "conflict"];

/**
 * Sessions in Redis 7 or Valkey: one server, Sentinel or Cluster. Any number of processes may share it.
 *
 * Each of `load`, `create`, `update`, `touch` and `delete` is one round trip; the writes are atomic. What a write that was
 * acknowledged survives is up to the server: its append-only file, its replicas and `wait`.
 *
 * @param clientOrUrl a connected client of the package `redis` (`createClient`, `createClientPool`, `createSentinel`,
 * `createCluster`) or `ioredis` (`Redis`, `Cluster`), which stays the application's to configure and to end; or a URL,
 * `redis://user:password@host:6379/0`, `rediss://` for TLS. For a URL one of the two packages must be installed; the client
 * fails fast while the server is down, and `close` ends it.
 *
 * @throws TypeError for an impossible argument or option. A `SojournError` from every method: `STORE_UNAVAILABLE` (not
 * reached, or in no state to serve), `STORE_FULL` (maxmemory), `STORE_CORRUPT` (a damaged session, or other data under the
 * prefix), `STORE_CLOSED`.
 * @example
 * app.use(session({ store: new RedisStore("redis://localhost:6379") }));
 */
export class RedisStore implements IndexedStore {
  readonly capabilities: Readonly<StoreCapabilities> = {
    durable: "process-crash",
    shared: true,
    atomicUpdate: true,
    indexed: true,
  };

  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #commands: Commands;
  readonly #listing: Listing;
  readonly #ending: Ending;
  readonly #ownConnections: { close(): Promise<void> }[] = [];
  readonly #nextMark = marks();
  #underWay = 0;
  #onDrained: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(clientOrUrl: RedisClient | string, options: RedisStoreOptions = {}) {
    const { prefix = "sojourn:", client, wait, clock = systemClock } = options;
    this.#clock = clock;
    this.#keys = new Keys(prefix);
    const own = () => {
      const connection =
        typeof clientOrUrl === "string"
          ? new OwnConnection(clientOrUrl, { client, clock })
          : new Duplicate(clientOrUrl);
      this.#ownConnections.push(connection);
      return connection;
    };
    const reads = typeof clientOrUrl === "string" ? own() : connectionOf(clientOrUrl);
    this.#commands = new Commands({
      reads,
      writes: wait === undefined ? reads : new ReplicatedWrites(own(), wait),
      clock,
      onFirstAnswer: () => void warnOfEviction(reads, this.#keys.newest(0)),
    });
    this.#listing = new Listing(this.#commands, this.#keys);
    this.#ending = new Ending(this.#commands, this.#keys, this.#listing);
  }

  load(handle: string): Promise<SessionRecord | undefined> {
    return this.#work((now) => this.#listing.load(handle, now));
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    return this.#work(async (now) => {
      const values = this.#values(handle, record, now, lifetime(record.expiresAt, now));
      const created = this.#commands.run(CREATE, this.#keysOf(handle), values);
      if (record.userId === null) return numberOf(await created) === 1;
      // In the same round trip, and second: a session that its user's index lacks is one whose creation was not acknowledged.
      const index = this.#keys.user(record.userId);
      const [reply] = await Promise.all([created, this.#commands.write(index, ["ZADD", index, String(now), handle])]);
      return numberOf(reply) === 1;
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#work(async (now) => {
      const forMs = record.expiresAt > now ? lifetime(record.expiresAt, now) : "0";
      const args = [...this.#values(handle, record, now, forMs), timeField(expectedVersion)];
      let isRepeated = false;
      const reply = await this.#commands.run(UPDATE, this.#keysOf(handle), args, () => {
        isRepeated = true;
      });
      const result = RESULTS[numberOf(reply)];
      // The first try may have been done, and somebody else may have come after it: a caller who merged would do it twice.
      if (result === undefined || (result === "conflict" && isRepeated)) throw outcomeUnknown();
      return result;
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#work(async (now) => {
      const [session = "", newest = ""] = this.#keysOf(handle);
      const args = [
        String(now),
        timeField(expiresAt),
        timeField(touchedAt),
        lifetime(expiresAt, now),
        String(-whole(touchedAt)),
        handle,
      ];
      return numberOf(await this.#commands.run(TOUCH, [session, newest], args)) === 1;
    });
  }

  delete(handle: string): Promise<boolean> {
    return this.#work((now) => this.#ending.one(handle, now));
  }

  /** One page. Of a user: a command for each of the user's sessions. Of everyone: 256, however many there are. */
  async list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor);
    const { userId } = query;
    return this.#work((now) =>
      userId === undefined
        ? this.#listing.everyone(limit, start, now)
        : this.#listing.ofUser(userId, limit, start, now),
    );
  }

  /** In batches of 500. After an error, what was done is done, and a second call does the rest. */
  deleteAll({ userId, except }: { userId?: string; except?: string }): Promise<number> {
    return this.#work((now) =>
      userId === undefined ? this.#ending.everyone(except, now) : this.#ending.allOfUser(userId, except, now),
    );
  }

  /** Of a user: a command for each of the user's sessions. Of everyone: 256, and what has expired unswept is counted. */
  count({ userId }: { userId?: string } = {}): Promise<number> {
    return this.#work(async (now) =>
      userId === undefined ? this.#listing.countEveryone() : (await this.#listing.placesOf(userId, now)).length,
    );
  }

  /** 256 commands, and a few for each session that is removed. Redis removes by itself what no prune has met in five minutes. */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    return this.#work((now) => this.#ending.expired(limit, now));
  }

  /** Waits a second at most for what is under way, and ends the connections that the store made, not those it was given. */
  close(): Promise<void> {
    this.#closing ??= this.#drained().then(async () => {
      await Promise.all(this.#ownConnections.map((connection) => connection.close()));
    });
    return this.#closing;
  }

  async #work<T>(work: (now: number) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new SojournError("STORE_CLOSED", "The Redis store was closed.");
    this.#underWay++;
    try {
      return await work(this.#clock.now());
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#onDrained?.();
    }
  }

  #drained(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(CLOSE_TIMEOUT_MS, resolve);
      this.#onDrained = () => {
        cancel();
        resolve();
      };
    });
  }

  /** The keys of a session, in one slot. */
  #keysOf(handle: string): string[] {
    const shard = shardOf(handle);
    return [this.#keys.session(handle), this.#keys.newest(shard), this.#keys.ends(shard)];
  }

  /** What CREATE and UPDATE take. */
  #values(handle: string, record: SessionRecord, now: number, forMs: string): string[] {
    return [
      String(now),
      encodeValue(handle, record, this.#nextMark()),
      forMs,
      String(-whole(record.touchedAt)),
      String(whole(record.expiresAt)),
      handle,
      owner(record.userId),
    ];
  }
}

function lifetime(expiresAt: number, now: number): string {
  return String(whole(expiresAt - now) + SLACK_MS);
}

function whole(time: number): number {
  return Math.min(Math.max(0, Math.trunc(time)), Number.MAX_SAFE_INTEGER - SLACK_MS);
}

function outcomeUnknown(): SojournError {
  return new SojournError(
    "STORE_UNAVAILABLE",
    "The connection to Redis was lost, and whether the session was saved is not known.",
  );
}
