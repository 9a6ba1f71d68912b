import { SojournError } from "../contract/errors.ts";
import {
  type Admission,
  type AdmissionResult,
  type IndexedStore,
  isNote,
  type ReplaceResult,
  type SessionPage,
  type SessionQuery,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { type Clock, systemClock, withDeadline } from "../contract/time.ts";
import { checkedAdmission } from "./admission.ts";
import { Semaphore } from "./concurrency.ts";
import { checkedLimit, decodeCursor } from "./paging.ts";
import { Bulk } from "./redis/bulk.ts";
import { connectionOf, type RedisClient } from "./redis/client.ts";
import { Commands } from "./redis/commands.ts";
import { duplicateOf } from "./redis/duplicate.ts";
import { evictionWarnings } from "./redis/eviction.ts";
import { groupOf } from "./redis/groups.ts";
import { Keys } from "./redis/keys.ts";
import { Listing } from "./redis/listing.ts";
import { OwnConnection } from "./redis/own-connection.ts";
import type { ClientPackage } from "./redis/packages.ts";
import { RedisRecords } from "./redis/records.ts";
import { ReplicatedWrites, type WaitOptions } from "./redis/replicated-writes.ts";

export type * from "../contract/types.ts";
export type {
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisPool,
  NodeRedisSentinel,
  RedisClient,
} from "./redis/client.ts";
export type { ClientPackage } from "./redis/packages.ts";
export type { WaitOptions } from "./redis/replicated-writes.ts";

/** Options for {@link RedisStore}. */
export interface RedisStoreOptions {
  /** The start of all keys, different for each store on a server. Default: `"sojourn:"`. */
  prefix?: string | undefined;
  /** The client for a URL. Default: `"redis"` if it is installed, else `"ioredis"`. */
  client?: ClientPackage | undefined;
  /**
   * Acknowledges a write only when this many replicas have it, so that a failover can't undo it. If
   * they don't confirm within `timeoutMs` milliseconds, the write fails with `STORE_UNAVAILABLE`,
   * although the primary has it. Default: does not wait.
   */
  wait?: WaitOptions | undefined;
  /** Default: the system clock. */
  clock?: Clock | undefined;
}

/** How long `close` waits for pending calls. */
const CLOSE_TIMEOUT_MS = 1_000;

/**
 * Keeps sessions in Redis 7 or Valkey: one server, Sentinel or Cluster. Any number of processes may
 * share it.
 *
 * `load`, `create`, `update`, `touch`, `delete` and `replace` take one round trip each, and writes
 * are atomic. What an acknowledged write survives depends on the server's persistence and
 * replication, and on `wait`.
 *
 * @param clientOrUrl a connected client of the package `redis` (`createClient`, `createClientPool`,
 * `createSentinel`, `createCluster`) or `ioredis` (`Redis`, `Cluster`), which the application
 * configures and ends; or a URL, `redis://user:password@host:6379/0`, `rediss://` for TLS. A URL
 * needs one of the packages. Its client fails fast while the server is down, and `close` ends it.
 * @throws TypeError for an invalid argument or option. All methods reject with `SojournError`:
 * `STORE_UNAVAILABLE` (unreachable, or unable to serve), `STORE_FULL` (maxmemory), `STORE_CORRUPT`
 * (a damaged session, or other data under the prefix), `STORE_CLOSED`.
 * @example
 * import { session } from "sojourn";
 * import { RedisStore } from "sojourn/redis";
 *
 * const store = new RedisStore(process.env.REDIS_URL ?? "redis://localhost:6379");
 * const sessions = session({ store });
 * process.once("SIGTERM", () => sessions.close());
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
  readonly #records: RedisRecords;
  readonly #listing: Listing;
  readonly #bulk: Bulk;
  readonly #warnOfEviction: ReturnType<typeof evictionWarnings>;
  /** The connections that the store makes, and ends. */
  readonly #own: { close(): Promise<void> }[] = [];
  readonly #calls = new Semaphore(Number.POSITIVE_INFINITY);
  #closing: Promise<void> | undefined;

  constructor(clientOrUrl: RedisClient | string, options: RedisStoreOptions = {}) {
    const { prefix = "sojourn:", client, wait, clock = systemClock } = options;
    const keys = new Keys(prefix);
    const connect = () => {
      const connection =
        typeof clientOrUrl === "string" ? new OwnConnection(clientOrUrl, { client, clock }) : duplicateOf(clientOrUrl);
      this.#own.push(connection);
      return connection;
    };
    const reads = typeof clientOrUrl === "string" ? connect() : connectionOf(clientOrUrl);
    const writes = wait === undefined ? reads : new ReplicatedWrites(connect(), wait, clock);
    this.#warnOfEviction = evictionWarnings(reads, keys.handles(0));
    const commands = new Commands({ reads, writes, clock, onAnswer: () => this.#warnOfEviction("sessions") });
    this.#clock = clock;
    this.#keys = keys;
    this.#records = new RedisRecords(commands, keys, reads.isCluster);
    this.#listing = new Listing(commands, keys);
    this.#bulk = new Bulk(commands, keys, this.#listing, this.#records);
  }

  load(handle: string): Promise<SessionRecord | undefined> {
    return this.#run((now) => this.#records.load(handle, now));
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const created = await this.#run((now) => this.#records.create(handle, record, now));
    if (isNote(handle)) this.#warnOfEviction("notes");
    return created;
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#run((now) => this.#records.update(handle, record, expectedVersion, now));
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#run((now) => this.#records.touch(handle, touchedAt, expiresAt, now));
  }

  delete(handle: string): Promise<boolean> {
    return this.#run((now) => this.#records.delete(handle, now));
  }

  /** Returns `"unsupported"` on a Cluster, where the keys are on different nodes. */
  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    return this.#run((now) => this.#records.replace(handle, expectedVersion, newHandle, record, tombstone, now));
  }

  /**
   * Keeps a user's limit in one round trip, at the cost of a look at each of the user's sessions.
   * Returns `"unsupported"` on a Cluster, where these are on different nodes.
   */
  async admit(admission: Admission): Promise<AdmissionResult> {
    const checked = checkedAdmission(admission);
    return this.#run((now) => this.#records.admit(checked, now));
  }

  /**
   * Returns one page, with a command for each of its sessions, and one for each other session of
   * the user or link, or else one for each of 256 shards until the page is full.
   */
  async list(query: SessionQuery & { cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor);
    const group = groupOf(this.#keys, query);
    return this.#run((now) =>
      group === undefined ? this.#listing.everyone(limit, start, now) : this.#listing.ofGroup(group, limit, start, now),
    );
  }

  /** Deletes sessions in batches of 500. After an error, call it again. */
  deleteAll({ except, ...query }: SessionQuery & { except?: string }): Promise<number> {
    const group = groupOf(this.#keys, query);
    return this.#run((now) =>
      group === undefined ? this.#bulk.everyone(except, now) : this.#bulk.allOf(group, except, now),
    );
  }

  /** Counts sessions, at the cost of `list`. Without a user or link, expired ones count until `prune`. */
  count(query: SessionQuery = {}): Promise<number> {
    const group = groupOf(this.#keys, query);
    return this.#run(async (now) =>
      group === undefined ? this.#listing.countEveryone() : (await this.#listing.placesOf(group, now)).length,
    );
  }

  /**
   * Removes expired sessions with 256 commands, and a few for each session. `limit` defaults to
   * 1,000. Redis itself removes sessions five minutes after they expired.
   */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    return this.#run((now) => this.#bulk.expired(limit, now));
  }

  /** Waits up to one second for pending calls, then ends the connections that the store made. */
  close(): Promise<void> {
    this.#closing ??= withDeadline(this.#calls.idle(), CLOSE_TIMEOUT_MS, this.#clock, () => new Error("timeout"))
      .catch(() => {})
      .then(async () => {
        await Promise.all(this.#own.map((connection) => connection.close()));
      });
    return this.#closing;
  }

  async #run<T>(call: (now: number) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new SojournError("STORE_CLOSED", "The Redis store was closed.");
    return this.#calls.run(() => call(this.#clock.now()));
  }
}
