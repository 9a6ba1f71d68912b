import { optionalPackage } from "../optional-package.ts";
import { reconnectPauseMs } from "./chance.ts";
import { type Connection, connectionOf, endClient } from "./client.ts";

/** Which package makes the client for a URL. */
export type ClientPackage = "redis" | "ioredis";

/** A client that we made, and end. */
export interface OwnClient {
  readonly connection: Connection;
  /** Whether its socket keeps the process alive. */
  keepAlive(isNeeded: boolean): void;
  /** Ends it at once: whatever waits for a reply fails. */
  destroy(): void;
}

/** What a client tells. */
interface ClientEvents {
  ready(): void;
  /** An attempt to connect has failed, or the connection was lost; the client tries again by itself. */
  lost(why: unknown): void;
  /** The connection is there, but what comes over it can't be understood. */
  garbled(): void;
}

/** What a package makes of a URL. */
export interface Package {
  /** A client that connects at once, again and again, queues nothing and repeats nothing. */
  connect(url: string, events: ClientEvents): OwnClient;
}

export const CONNECT_TIMEOUT_MS = 2_000;

/** @throws TypeError where neither package, or not the wanted one, is installed */
export async function loadPackage(wanted?: ClientPackage): Promise<Package> {
  if (wanted !== "ioredis") {
    const redis = await optionalPackage("redis", "createClient", () => import("redis"));
    if (redis !== undefined) return ofRedis(redis);
  }
  if (wanted !== "redis") {
    const ioredis = await optionalPackage("ioredis", "Redis", () => import("ioredis"));
    if (ioredis !== undefined) return ofIoredis(ioredis);
  }
  throw new TypeError(
    wanted === undefined
      ? 'RedisStore: a URL needs the package "redis" or "ioredis": npm install redis'
      : `RedisStore: the package "${wanted}" is not installed: npm install ${wanted}`,
  );
}

function ofRedis({ createClient }: Pick<typeof import("redis"), "createClient">): Package {
  return {
    connect(url, events) {
      const client = createClient({
        url,
        disableOfflineQueue: true,
        // Its own deadline is a timer for every command, five seconds long; a link that is silent is given up long before.
        commandOptions: { timeout: 0 },
        socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: reconnectPauseMs },
      });
      client.on("ready", events.ready);
      // The one event for everything. After a reply that it can't read, the client would go on with the next one.
      client.on("error", (error) => (client.isReady ? events.garbled() : events.lost(error)));
      client.connect().catch(() => undefined);
      return {
        connection: connectionOf(client),
        keepAlive: (isNeeded) => (isNeeded ? client.ref() : client.unref()),
        destroy: () => endClient(client),
      };
    },
  };
}

function ofIoredis({ Redis }: Pick<typeof import("ioredis"), "Redis">): Package {
  return {
    connect(url, events) {
      const client = new Redis(url, {
        lazyConnect: true,
        enableOfflineQueue: false,
        autoResendUnfulfilledCommands: false,
        // Also what makes commands fail that were under way when the connection was lost.
        maxRetriesPerRequest: 0,
        connectTimeout: CONNECT_TIMEOUT_MS,
        // How long it may wait to ask again whether a server that was loading its data has done so.
        maxLoadingRetryTime: 500,
        retryStrategy: (attempts) => reconnectPauseMs(attempts - 1),
      });
      client.on("ready", events.ready);
      let why: unknown;
      client.on("error", (error) => {
        why = error;
      });
      client.on("close", () => events.lost(why));
      client.connect().catch(() => undefined);
      return {
        connection: connectionOf(client),
        // Absent before the first attempt to connect, and a plain stream in a test.
        keepAlive: (isNeeded) => (isNeeded ? client.stream?.ref?.() : client.stream?.unref?.()),
        destroy: () => endClient(client),
      };
    },
  };
}
