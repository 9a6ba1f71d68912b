import {
  connectionOf,
  endClient,
  type IoredisClient,
  isConnecting,
  type NodeRedisClient,
  type RedisClient,
} from "./client.ts";

/** What a tracking connection tells. */
export interface TrackingEvents {
  /** The server was asked to tell of changes. */
  asked(): void;
  /** The connection is lost: changes are told no longer. */
  lost(): void;
  /** The key was written or removed; all of them where none is named. */
  changed(key: string | undefined): void;
}

/** The channel on which RESP2 clients are told (https://redis.io/docs/latest/develop/reference/client-side-caching/). */
const CHANNEL = "__redis__:invalidate";

/**
 * A connection of its own on which the server tells of every write to keys that begin with the prefix, whoever reads
 * them (the broadcasting mode of CLIENT TRACKING). Set up again whenever it is connected again.
 *
 * @returns how to end it
 */
export function track(model: NodeRedisClient | IoredisClient, prefix: string, events: TrackingEvents): () => void {
  return "status" in model ? trackIoredis(model, prefix, events) : trackNodeRedis(model, prefix, events);
}

/** @throws TypeError for a client of more than one server, or that puts a prefix of its own before the keys */
export function trackable(client: RedisClient): NodeRedisClient | IoredisClient {
  if (
    "masters" in client ||
    "idleClients" in client ||
    "getMasterNode" in client ||
    ("status" in client && client.isCluster)
  ) {
    throw new TypeError(
      "RedisStore: cache needs a client of one server: leave it out for a cluster, a pool or Sentinel",
    );
  }
  const options: unknown = Reflect.get(client, "options");
  if (typeof options === "object" && options !== null && Reflect.get(options, "keyPrefix")) {
    throw new TypeError("RedisStore: cache needs a client without keyPrefix: use the store's prefix");
  }
  return client;
}

function trackNodeRedis(model: NodeRedisClient, prefix: string, events: TrackingEvents): () => void {
  // `emitInvalidate` is what makes the package read the server's messages; what it asks for is not broadcasting.
  const client = model.duplicate({ RESP: 3, emitInvalidate: true, clientSideCache: undefined });
  return tracking(client, events, async (ask) => {
    await ask("CLIENT", "TRACKING", "OFF");
    await ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix);
  });
}

function trackIoredis(model: IoredisClient, prefix: string, events: TrackingEvents): () => void {
  // RESP2, since the package has no ears for the messages of RESP3.
  const client = model.duplicate({ protocol: 2, autoResubscribe: false, lazyConnect: true });
  return tracking(client, events, async (ask) => {
    const id = String(await ask("client", "id"));
    await ask("client", "tracking", "on", "redirect", id, "bcast", "prefix", prefix);
    await ask("subscribe", CHANNEL);
  });
}

function tracking(
  client: object,
  events: TrackingEvents,
  begin: (ask: (...command: string[]) => Promise<unknown>) => Promise<void>,
): () => void {
  const connection = connectionOf(client);
  if (!isConnecting(client)) throw new TypeError("RedisStore: cache needs a client that tells when it is connected");
  for (const event of ["error", "end", "close"]) client.on(event, events.lost);
  client.on("ready", () => void begin((...command) => connection.send("", command)).then(events.asked, events.lost));
  // Of `redis`.
  client.on("invalidate", (key) => events.changed(key === null ? undefined : String(key)));
  // Of `ioredis`.
  client.on("messageBuffer", (_channel, keys) => {
    if (Array.isArray(keys)) for (const key of keys) events.changed(String(key));
    else events.changed(undefined);
  });
  client.connect().catch(() => undefined);
  return () => endClient(client);
}
