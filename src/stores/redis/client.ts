/**
 * The clients that a store can be given, told apart by their shapes, so that neither package has to be there. Each becomes
 * a {@link Connection}.
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

/** `new Redis()` of the package `ioredis`, also one that finds its server through Sentinel. */
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

/** What the store needs of a client. */
export interface Connection {
  /** Sends one command, at once. On a Cluster the key decides the node. Never answered by a replica. */
  send(key: string, command: readonly string[]): Promise<unknown>;
  /** Sends commands one after the other on one connection, and settles each. */
  sendTogether(key: string, commands: readonly (readonly string[])[]): Promise<PromiseSettledResult<unknown>[]>;
  readonly isCluster: boolean;
}

/** @throws TypeError for anything that is no such client */
export function connectionOf(client: object): Connection {
  if (typeof client !== "object" || client === null) throw notAClient();
  if (isIoredis(client)) return isIoredisCluster(client) ? ofIoredisCluster(client) : ofIoredis(client);
  if (hasMethod(client, "sendCommand")) {
    if (isNodeRedisPool(client)) return ofNodeRedisPool(client);
    if (isNodeRedisSentinel(client)) return ofNodeRedisSentinel(client);
    if (isNodeRedisCluster(client)) return ofNodeRedisCluster(client);
    if (isNodeRedisClient(client)) return ofNodeRedis(client);
  }
  throw notAClient();
}

function notAClient(): TypeError {
  return new TypeError(
    'RedisStore: the first argument must be a URL such as "redis://localhost:6379", or a client of the package "redis" or "ioredis"',
  );
}

function ofNodeRedis(client: NodeRedisClient): Connection {
  return {
    isCluster: false,
    send: (_key, command) => client.sendCommand([...command]),
    sendTogether: (_key, commands) => Promise.allSettled(commands.map((command) => client.sendCommand([...command]))),
  };
}

function ofNodeRedisPool(pool: NodeRedisPool): Connection {
  return {
    isCluster: false,
    send: (_key, command) => pool.sendCommand([...command]),
    sendTogether: (_key, commands) =>
      leased((use) => pool.execute((client) => use((command) => client.sendCommand(command))), commands),
  };
}

function ofNodeRedisSentinel(sentinel: NodeRedisSentinel): Connection {
  return {
    isCluster: false,
    send: (_key, command) => sentinel.sendCommand(false, [...command]),
    sendTogether: (_key, commands) =>
      leased((use) => sentinel.use((client) => use((command) => client.sendCommand(false, command))), commands),
  };
}

function ofNodeRedisCluster(cluster: NodeRedisCluster): Connection {
  const send: Connection["send"] = (key, command) => cluster.sendCommand(key, false, [...command]);
  return {
    isCluster: true,
    send,
    sendTogether: (key, commands) => Promise.allSettled(commands.map((command) => send(key, command))),
  };
}

function ofIoredis(client: IoredisClient): Connection {
  const send: Connection["send"] = (_key, [name = "", ...args]) => client.call(name, ...args);
  return {
    isCluster: false,
    send,
    sendTogether: (key, commands) => Promise.allSettled(commands.map((command) => send(key, command))),
  };
}

function ofIoredisCluster(cluster: IoredisCluster): Connection {
  const { scaleReads } = cluster.options;
  if (scaleReads !== undefined && scaleReads !== "master") {
    // A replica may not have heard of a logout yet.
    throw new TypeError(
      'RedisStore: the cluster client must read from masters: leave out scaleReads, or set it to "master"',
    );
  }
  return {
    isCluster: true,
    send: (_key, [name = "", ...args]) => cluster.call(name, ...args),
    // The package routes a pipeline by its first key, and WAIT has none of its own.
    sendTogether: async (_key, commands) => {
      const replies = (await cluster.pipeline(commands.map((command) => ["call", ...command])).exec()) ?? [];
      return replies.map(([error, value]) =>
        error === null ? { status: "fulfilled", value } : { status: "rejected", reason: error },
      );
    },
  };
}

/** Runs commands on a connection that is borrowed for them. */
async function leased(
  lease: (use: (send: (command: string[]) => Promise<unknown>) => Promise<unknown>) => Promise<unknown>,
  commands: readonly (readonly string[])[],
): Promise<PromiseSettledResult<unknown>[]> {
  let results: PromiseSettledResult<unknown>[] = [];
  await lease(async (send) => {
    results = await Promise.allSettled(commands.map((command) => send([...command])));
  });
  return results;
}

/** Ends a client at once, however its package calls that: `destroy`, or `disconnect` (`ioredis`, and `redis` before 5). */
export function endClient(client: object): void {
  if (Reflect.get(client, "isOpen") === false) return;
  const name = hasMethod(client, "destroy") ? "destroy" : "disconnect";
  const end: unknown = Reflect.get(client, name);
  // Of a cluster or Sentinel it is a promise.
  if (typeof end === "function") Promise.resolve(end.call(client)).catch(() => undefined);
}

/** A client that tells what happens to it, and connects when told to. */
export interface Connecting {
  on(event: string, listener: (...details: unknown[]) => void): unknown;
  connect(): Promise<unknown>;
}

export function isConnecting(client: object): client is Connecting {
  return hasMethod(client, "on") && hasMethod(client, "connect");
}

function hasMethod<K extends string>(client: object, name: K): client is Record<K, (...args: never[]) => unknown> {
  return typeof Reflect.get(client, name) === "function";
}

function isIoredis(client: object): client is IoredisClient {
  return hasMethod(client, "call") && "status" in client && "isCluster" in client;
}

function isIoredisCluster(client: IoredisClient): client is IoredisCluster {
  return client.isCluster;
}

function isNodeRedisClient(client: object): client is NodeRedisClient {
  return "isReady" in client;
}

function isNodeRedisPool(client: object): client is NodeRedisPool {
  return hasMethod(client, "execute") && "idleClients" in client;
}

function isNodeRedisSentinel(client: object): client is NodeRedisSentinel {
  return hasMethod(client, "getMasterNode") && hasMethod(client, "use");
}

function isNodeRedisCluster(client: object): client is NodeRedisCluster {
  return "masters" in client && "slots" in client;
}
