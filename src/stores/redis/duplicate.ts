import { type Command, type Connection, connectionOf, endClient, type RedisClient } from "./client.ts";

interface Copy {
  client: object;
  connection: Connection;
}

/** A second client with the application's settings. The first command opens it, `close` ends it. */
export class Duplicate implements Connection {
  readonly isCluster: boolean;
  readonly #original: RedisClient;
  #copy: Promise<Copy> | undefined;

  constructor(original: RedisClient) {
    this.isCluster = connectionOf(original).isCluster;
    this.#original = original;
  }

  async send(key: string, command: Command): Promise<unknown> {
    return (await this.#open()).connection.send(key, command);
  }

  async sendTogether(key: string, commands: readonly Command[]): Promise<PromiseSettledResult<unknown>[]> {
    return (await this.#open()).connection.sendTogether(key, commands);
  }

  async close(): Promise<void> {
    const copy = await this.#copy?.catch(() => undefined);
    if (copy !== undefined) endClient(copy.client);
  }

  #open(): Promise<Copy> {
    this.#copy ??= duplicate(this.#original).catch((error: unknown) => {
      this.#copy = undefined;
      throw error;
    });
    return this.#copy;
  }
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
