import { type Connection, connectionOf, endClient, type RedisClient } from "./client.ts";

interface Copy {
  client: object;
  connection: Connection;
}

/** Returns a second client with the same settings. The first command opens it. */
export function duplicateOf(original: RedisClient): Connection & { close(): Promise<void> } {
  let copy: Promise<Copy> | undefined;
  const open = (): Promise<Copy> => {
    copy ??= duplicate(original).catch((error: unknown) => {
      copy = undefined;
      throw error;
    });
    return copy;
  };
  return {
    isCluster: connectionOf(original).isCluster,
    send: async (key, command) => (await open()).connection.send(key, command),
    sendTogether: async (key, commands) => (await open()).connection.sendTogether(key, commands),
    async close() {
      const opened = await copy?.catch(() => undefined);
      if (opened !== undefined) endClient(opened.client);
    },
  };
}

async function duplicate(original: RedisClient): Promise<Copy> {
  // A pool already gives each task its own connection.
  if (!("duplicate" in original)) return { client: {}, connection: connectionOf(original) };
  const client = original.duplicate();
  if (isConnecting(client)) {
    // An error event without a listener would end the process. Commands report the failures.
    client.on("error", () => undefined);
    const isIoredis = "status" in client;
    if (!isIoredis || client.status === "wait") await client.connect();
    else {
      // Without `lazyConnect`, clients of `ioredis` connect by themselves.
      await new Promise<void>((resolve) => {
        for (const event of ["ready", "close", "end"]) client.on(event, () => resolve());
      });
    }
  }
  return { client, connection: connectionOf(client) };
}

interface Connecting {
  on(event: string, listener: () => void): unknown;
  connect(): Promise<unknown>;
}

function isConnecting(client: object): client is Connecting {
  return "on" in client && "connect" in client;
}
