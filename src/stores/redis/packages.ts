import { notInstalled, optionalPackage } from "../optional-package.ts";
import { type Connection, connectionOf, endClient } from "./client.ts";

/** The package that makes the client for a URL. */
export type ClientPackage = "redis" | "ioredis";

/** A client that the store makes and ends. */
export interface OwnClient {
  readonly connection: Connection;
  /** Sets whether its socket keeps the process alive. */
  keepAlive(isNeeded: boolean): void;
  /** Ends it at once; pending commands fail. */
  destroy(): void;
}

interface ClientEvents {
  ready(): void;
  /** An attempt to connect failed, or the connection was lost. The client tries again by itself. */
  lost(error: unknown): void;
  /** The connection sends what the client can't parse. */
  garbled(): void;
}

/** A package that makes clients. */
export interface Package {
  /** Makes a client that connects again and again, and neither queues nor repeats commands. */
  connect(url: string, events: ClientEvents): OwnClient;
}

export const CONNECT_TIMEOUT_MS = 2_000;

/** Returns the pause before connecting: none, then longer ones up to 2 s, with jitter. */
export function reconnectPauseMs(failures: number): number {
  return failures === 0 ? 0 : Math.round(Math.min(2_000, 50 * 2 ** failures) * (0.5 + Math.random() / 2));
}

/** @throws SojournError STORE_UNAVAILABLE if neither package, or not the requested one, is installed */
export async function loadPackage(wanted?: ClientPackage): Promise<Package> {
  if (wanted !== "ioredis") {
    const redis = await optionalPackage("redis", "createClient", () => import("redis"));
    if (redis !== undefined) return { connect: (url, events) => connectRedis(redis, url, events) };
  }
  if (wanted !== "redis") {
    const ioredis = await optionalPackage("ioredis", "Redis", () => import("ioredis"));
    if (ioredis !== undefined) return { connect: (url, events) => connectIoredis(ioredis, url, events) };
  }
  throw notInstalled(
    wanted === undefined
      ? 'RedisStore: a URL needs the package "redis" or "ioredis": npm install redis'
      : `RedisStore: the package "${wanted}" is not installed: npm install ${wanted}`,
  );
}

function connectRedis(
  { createClient }: Pick<typeof import("redis"), "createClient">,
  url: string,
  events: ClientEvents,
): OwnClient {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    // Its own timeout is a timer of 5 s for each command; the link ends a silent connection before.
    commandOptions: { timeout: 0 },
    socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: reconnectPauseMs },
  });
  client.on("ready", events.ready);
  // While connected, an error is an unreadable reply, and the next reply would be misread.
  client.on("error", (error) => (client.isReady ? events.garbled() : events.lost(error)));
  client.connect().catch(() => undefined);
  return {
    connection: connectionOf(client),
    keepAlive: (isNeeded) => (isNeeded ? client.ref() : client.unref()),
    destroy: () => endClient(client),
  };
}

function connectIoredis(
  { Redis }: Pick<typeof import("ioredis"), "Redis">,
  url: string,
  events: ClientEvents,
): OwnClient {
  const client = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // Also makes pending commands fail when the connection is lost.
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // How long it waits before it asks a loading server again.
    maxLoadingRetryTime: 500,
    retryStrategy: (attempts) => reconnectPauseMs(attempts - 1),
  });
  client.on("ready", events.ready);
  let lastError: unknown;
  client.on("error", (error) => {
    lastError = error;
  });
  client.on("close", () => events.lost(lastError));
  client.connect().catch(() => undefined);
  return {
    connection: connectionOf(client),
    // The stream is missing before the first attempt to connect, and a plain stream in a test.
    keepAlive: (isNeeded) => (isNeeded ? client.stream?.ref?.() : client.stream?.unref?.()),
    destroy: () => {
      endClient(client);
      // The package alone waits two seconds for a silent server to close the connection.
      client.stream?.destroy?.();
    },
  };
}
