/**
 * The clients that the store accepts, recognized by their shapes, so that neither package must be
 * installed. Each becomes a {@link Connection}.
 */

/** `createClient()` of the package `redis`. */
export interface NodeRedisClient {
  readonly isReady: boolean;
  sendCommand(args: string[]): Promise<unknown>;
  duplicate(different?: object): object;
}

/** `createClientPool()` of the package `redis`. */
export interface NodeRedisPool {
  readonly idleClients: number;
  sendCommand(args: string[]): Promise<unknown>;
  execute(task: (client: NodeRedisClient) => Promise<unknown>): Promise<unknown>;
}

/** `createSentinel()` of the package `redis`. */
export interface NodeRedisSentinel {
  getMasterNode(): unknown;
  sendCommand(isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
  use(
    task: (client: {
      sendCommand(isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
    }) => Promise<unknown>,
  ): Promise<unknown>;
  duplicate(different?: object): object;
}

/** `createCluster()` of the package `redis`. */
export interface NodeRedisCluster {
  readonly masters: readonly unknown[];
  sendCommand(firstKey: string | undefined, isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
  duplicate(different?: object): object;
}

/** `new Redis()` of the package `ioredis`, also for Sentinel. */
export interface IoredisClient {
  readonly status: string;
  readonly isCluster: boolean;
  call(command: string, ...args: string[]): Promise<unknown>;
  duplicate(different?: object): object;
}

/** `new Cluster()` of the package `ioredis`. */
export interface IoredisCluster extends IoredisClient {
  pipeline(commands: string[][]): { exec(): Promise<[error: Error | null, reply: unknown][] | null> };
  readonly options: { readonly scaleReads?: unknown };
}

/** A client of `redis` or `ioredis`: for one server, Sentinel or Cluster. */
export type RedisClient = NodeRedisClient | NodeRedisPool | NodeRedisSentinel | NodeRedisCluster | IoredisClient;

export type Command = readonly string[];

/** A connection to a server or a cluster. */
export interface Connection {
  readonly isCluster: boolean;
  /** Sends one command at once, never to a replica. On a Cluster the key selects the node. */
  send(key: string, command: Command): Promise<unknown>;
  /** Sends commands in order on one connection, and settles each. */
  sendTogether(key: string, commands: readonly Command[]): Promise<PromiseSettledResult<unknown>[]>;
}

/** @throws TypeError for anything else than a client */
export function connectionOf(client: object): Connection {
  if (!isClient(client)) {
    throw new TypeError(
      'RedisStore: the first argument must be a URL such as "redis://localhost:6379", or a client of the package "redis" or "ioredis"',
    );
  }
  if ("call" in client) return isIoredisCluster(client) ? ofIoredisCluster(client) : ofIoredis(client);
  if ("idleClients" in client) return ofPool(client);
  if ("getMasterNode" in client) return ofSentinel(client);
  if ("masters" in client) {
    return connection((key, command) => client.sendCommand(key, false, [...command]), { isCluster: true });
  }
  return connection((_key, command) => client.sendCommand([...command]));
}

function connection(send: Connection["send"], others: Partial<Connection> = {}): Connection {
  return {
    isCluster: false,
    send,
    sendTogether: (key, commands) => Promise.allSettled(commands.map((command) => send(key, command))),
    ...others,
  };
}

function ofIoredis(client: IoredisClient): Connection {
  return connection((_key, [name = "", ...args]) => client.call(name, ...args));
}

function ofIoredisCluster(cluster: IoredisCluster): Connection {
  const { scaleReads } = cluster.options;
  if (scaleReads !== undefined && scaleReads !== "master") {
    // A replica may still have a session after its logout.
    throw new TypeError(
      'RedisStore: the cluster client must read from masters: omit scaleReads, or set it to "master"',
    );
  }
  return {
    ...ofIoredis(cluster),
    isCluster: true,
    // The package routes a pipeline by its first key; WAIT has no key of its own.
    async sendTogether(_key, commands) {
      const replies = (await cluster.pipeline(commands.map((command) => ["call", ...command])).exec()) ?? [];
      return replies.map(([error, value]) =>
        error === null ? { status: "fulfilled", value } : { status: "rejected", reason: error },
      );
    },
  };
}

function ofPool(pool: NodeRedisPool): Connection {
  return connection((_key, command) => pool.sendCommand([...command]), {
    sendTogether: (_key, commands) =>
      onLease((task) => pool.execute((client) => task((command) => client.sendCommand(command))), commands),
  });
}

function ofSentinel(sentinel: NodeRedisSentinel): Connection {
  return connection((_key, command) => sentinel.sendCommand(false, [...command]), {
    sendTogether: (_key, commands) =>
      onLease((task) => sentinel.use((client) => task((command) => client.sendCommand(false, command))), commands),
  });
}

/** Sends commands on a connection that is leased for them. */
async function onLease(
  lease: (task: (send: (command: string[]) => Promise<unknown>) => Promise<unknown>) => Promise<unknown>,
  commands: readonly Command[],
): Promise<PromiseSettledResult<unknown>[]> {
  let results: PromiseSettledResult<unknown>[] = [];
  await lease(async (send) => {
    results = await Promise.allSettled(commands.map((command) => send([...command])));
  });
  return results;
}

function isClient(client: unknown): client is RedisClient {
  if (typeof client !== "object" || client === null) return false;
  const has = (...names: string[]) => names.every((name) => name in client);
  if (has("call", "status", "isCluster")) return true;
  return (
    has("sendCommand") &&
    (has("isReady") || has("execute", "idleClients") || has("getMasterNode", "use") || has("masters", "slots"))
  );
}

function isIoredisCluster(client: IoredisClient): client is IoredisCluster {
  return client.isCluster;
}

/** Ends a client at once by `destroy`, or by `disconnect` (`ioredis`, and `redis` before 5). */
export function endClient(client: object): void {
  if (Reflect.get(client, "isOpen") === false) return;
  const end: unknown = Reflect.get(client, "destroy" in client ? "destroy" : "disconnect");
  // Clients of a cluster or Sentinel return a promise.
  if (typeof end === "function") Promise.resolve(end.call(client)).catch(() => undefined);
}
