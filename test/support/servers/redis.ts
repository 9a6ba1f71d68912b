import { chownSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "redis";
import { eventually, findProgram, freePort, PrivateProcess, serverFolder, unprivileged } from "./private-process.ts";

/** The server that tests share, using keys of their own prefix only: `REDIS_URL`, else the one on this machine. */
export const sharedRedis: { url: string; skip: string | undefined } = await lookForServer();

const program = findProgram("redis-server") ?? findProgram("valkey-server");

/** Why a private server can't be started; `undefined` where it can. */
export const noPrivateRedis = program === undefined ? "redis-server is not in the PATH" : undefined;

async function lookForServer(): Promise<{ url: string; skip: string | undefined }> {
  const url = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";
  try {
    await ask(url, "PING");
    return { url, skip: undefined };
  } catch {
    return { url, skip: "no Redis server: set REDIS_URL" };
  }
}

/** One command on a connection of its own. */
export async function ask(url: string, ...command: string[]): Promise<unknown> {
  const client = createClient({ url, RESP: 2, socket: { connectTimeout: 20_000, reconnectStrategy: false } });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await client.sendCommand(command);
  } finally {
    client.destroy();
  }
}

// Each private server has two listeners for the end of the process.
process.setMaxListeners(50);

const ofThisProcess = `sojourn-test-${process.pid.toString(36)}-${Date.now().toString(36)}-`;
let prefixes = 0;

/** A prefix that no other test has. */
export function keyPrefix(): string {
  return `${ofThisProcess}${++prefixes}:`;
}

/** Removes all keys of all prefixes that this process was given. */
export async function removeKeys(url: string): Promise<void> {
  const keys = await keysOf(url, ofThisProcess);
  for (let i = 0; i < keys.length; i += 1_000) await ask(url, "DEL", ...keys.slice(i, i + 1_000));
}

/** The keys of a prefix that are there. */
export async function keysOf(url: string, prefix: string): Promise<string[]> {
  const pattern = `${prefix.replace(/[\\*?[\]^]/g, "\\$&")}*`;
  const keys = new Set<string>();
  let cursor = "0";
  do {
    const reply = await ask(url, "SCAN", cursor, "MATCH", pattern, "COUNT", "10000");
    const [next, found]: unknown[] = Array.isArray(reply) ? reply : [];
    if (Array.isArray(found)) for (const key of found) keys.add(String(key));
    cursor = String(next);
  } while (cursor !== "0");
  return [...keys].sort();
}

/** A Redis server that a test may do anything to. Keeps nothing on disk unless told to. */
export class PrivateRedis {
  readonly port: number;
  readonly folder: string;
  readonly #settings: readonly string[];
  #process: PrivateProcess | undefined;

  private constructor(port: number, folder: string, settings: readonly string[]) {
    this.port = port;
    this.folder = folder;
    this.#settings = settings;
  }

  /** @param settings as on the command line, such as `"--maxmemory", "10mb"` */
  static async start(...settings: string[]): Promise<PrivateRedis> {
    const server = new PrivateRedis(await freePort(), serverFolder("redis"), [
      "--save",
      "",
      "--repl-diskless-sync-delay",
      "0",
      ...settings,
    ]);
    await server.start();
    return server;
  }

  /** A Sentinel that watches a primary and its replica under the name "main", and gives the primary up after 300 ms. */
  static async sentinel(primaryPort: number): Promise<PrivateRedis> {
    const [port, folder] = [await freePort(), serverFolder("redis")];
    const config = join(folder, "sentinel.conf");
    const lines = [
      `sentinel monitor main 127.0.0.1 ${primaryPort} 1`,
      "sentinel down-after-milliseconds main 300",
      "sentinel failover-timeout main 2000",
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    if ("uid" in unprivileged) chownSync(config, unprivileged.uid, unprivileged.gid);
    const server = new PrivateRedis(port, folder, [config, "--sentinel"]);
    await server.start();
    await eventually("the Sentinel's finding the replica", async () => {
      if (!/slaves=1/.test(String(await server.ask("INFO", "sentinel")))) throw new Error("not yet");
    });
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, again if it was killed, on the same port and with the same data. It may still be loading them. */
  async start(...settings: string[]): Promise<void> {
    if (program === undefined) throw new Error(noPrivateRedis);
    const own = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.folder];
    const server = new PrivateProcess(program, [...this.#settings, ...own, ...settings], this.folder);
    this.#process = server;
    await eventually("the start of a Redis server", async () => {
      if (!server.isRunning) throw new Error(server.output);
      await this.ask("PING").catch((error) => {
        if (!String(error).includes("LOADING")) throw error;
      });
      // Somebody else's server may have come to this port first.
      if (!/Server initialized|Sentinel ID is/.test(server.output)) throw new Error(server.output);
    });
  }

  ask(...command: string[]): Promise<unknown> {
    return ask(this.url, ...command);
  }

  freeze(): void {
    this.#process?.freeze();
  }

  thaw(): void {
    this.#process?.thaw();
  }

  async kill(): Promise<void> {
    await this.#process?.end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A replica of what answers on a port, in step with it. */
export async function startReplica(port: number): Promise<PrivateRedis> {
  const replica = await PrivateRedis.start("--replicaof", "127.0.0.1", String(port));
  await eventually("the replica's being in step", async () => {
    if (!/master_link_status:up/.test(String(await replica.ask("INFO", "replication")))) throw new Error("not yet");
  });
  return replica;
}

/** Three primaries, with a third of the slots each. */
export async function startCluster(): Promise<PrivateRedis[]> {
  const busPorts = [await freePort(), await freePort(), await freePort()];
  const nodes = await Promise.all(
    busPorts.map((bus) => PrivateRedis.start("--cluster-enabled", "yes", "--cluster-port", String(bus))),
  );
  const slots = [0, 5461, 10923, 16384];
  for (const [i, node] of nodes.entries()) {
    await node.ask("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
    await node.ask("CLUSTER", "ADDSLOTSRANGE", String(slots[i]), String((slots[i + 1] ?? 0) - 1));
    if (i > 0) await nodes[0]?.ask("CLUSTER", "MEET", "127.0.0.1", String(node.port), String(busPorts[i]));
  }
  await Promise.all(
    nodes.map((node) =>
      eventually("the forming of a cluster", async () => {
        const info = String(await node.ask("CLUSTER", "INFO"));
        if (!/cluster_state:ok/.test(info) || !/cluster_size:3/.test(info)) throw new Error("not yet");
      }),
    ),
  );
  return nodes;
}
