import { type Connection, connectionOf, type RedisClient } from "./client.ts";

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
    // `redis` calls it destroy, `ioredis` disconnect.
    for (const name of ["destroy", "disconnect"]) {
      const end: unknown = Reflect.get(copy.client, name);
      if (typeof end === "function") return end.call(copy.client);
    }
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
    const on: unknown = Reflect.get(client, "on");
    // Without a listener an error event ends the process; what fails is told by the commands.
    if (typeof on === "function") on.call(client, "error", () => undefined);
    const connection = connectionOf(client);
    // Clients of `ioredis` connect by themselves.
    const connect: unknown = Reflect.get(client, "connect");
    if (!("status" in client) && typeof connect === "function") await connect.call(client);
    return { client, connection };
  }
}
