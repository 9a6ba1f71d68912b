import { type Connecting, type Connection, connectionOf, endClient, isConnecting, type RedisClient } from "./client.ts";

/** A second client like the application's, which we end. Made with the first command. */
export class Duplicate implements Connection {
  readonly isCluster: boolean;
  readonly #original: RedisClient;
  #copy: Promise<{ client: object; connection: Connection }> | undefined;

  constructor(original: RedisClient) {
    this.isCluster = connectionOf(original).isCluster;
    this.#original = original;
  }

  async send(key: string, command: readonly string[]): Promise<unknown> {
    return (await this.#open()).connection.send(key, command);
  }

  async sendTogether(key: string, commands: readonly (readonly string[])[]): Promise<PromiseSettledResult<unknown>[]> {
    return (await this.#open()).connection.sendTogether(key, commands);
  }

  async close(): Promise<void> {
    const copy = await this.#copy?.catch(() => undefined);
    if (copy === undefined) return;
    endClient(copy.client);
  }

  #open(): Promise<{ client: object; connection: Connection }> {
    this.#copy ??= this.#duplicate().catch((error: unknown) => {
      this.#copy = undefined;
      throw error;
    });
    return this.#copy;
  }

  async #duplicate(): Promise<{ client: object; connection: Connection }> {
    // A pool hands out a connection for each task.
    if (!("duplicate" in this.#original)) return { client: {}, connection: connectionOf(this.#original) };
    const client = this.#original.duplicate();
    const connection = connectionOf(client);
    if (isConnecting(client)) {
      // Without a listener an error event ends the process; what fails is told by the commands.
      client.on("error", () => undefined);
      await this.#connected(client);
    }
    return { client, connection };
  }

  /** Clients of `ioredis` connect by themselves, unless told not to. */
  async #connected(client: Connecting): Promise<void> {
    const isIoredis = "status" in client;
    if (!isIoredis || client.status === "wait") await client.connect();
    else {
      await new Promise<void>((resolve) => {
        for (const event of ["ready", "close", "end"]) client.on(event, () => resolve());
      });
    }
  }
}
