import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What a proxy does to what passes through it. Bytes are counted for each connection, from when the fault was set. */
export type Fault =
  | { kind: "pass" }
  /** Everything arrives this late, in both directions. */
  | { kind: "delay"; ms: number }
  /** From the client no more than these bytes get through; the rest, and what would follow, is lost. */
  | { kind: "stall"; afterBytes: number }
  /** Nothing gets through in the direction named, or in both, and nobody is told. A connection that lost something stays silent. */
  | { kind: "drop"; from?: "client" | "server" }
  /** What a client sends, once it has sent so many bytes, ends its connection with a reset instead, this often out of one. */
  | { kind: "reset"; share: number; afterBytes: number }
  /**
   * The first chunk that comes from there, from this round trip on (`roundTrips` counts), is lost, and its connection ends
   * with a reset. `next` follows. If that drops everything, the server's side stays open, as if the client's machine had gone.
   */
  | { kind: "cut"; from: "client" | "server"; roundTrip: number; next: Fault }
  /** The server's side of a connection is ended; the client's stays open. */
  | { kind: "half-close" }
  /** One bit in each KiB from the server is turned over. */
  | { kind: "corrupt" }
  | { kind: "bandwidth"; bytesPerSecond: number };

/** A proxy for any TCP protocol on 127.0.0.1, whose behaviour a test changes while connections pass through it. */
export class FaultProxy {
  fault: Fault = { kind: "pass" };
  /** The port that new connections are passed on to. */
  target: number;
  /** How many connections clients have opened. */
  opened = 0;
  /** How often a client has sent something after the server had sent something, on all connections. */
  roundTrips = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #lines = new Set<Line>();
  readonly #random: () => number;

  private constructor(port: number, seed: number) {
    this.target = port;
    this.#random = generator(seed);
    this.#server = createServer((client) =>
      this.#join(client, connect({ host: "127.0.0.1", port: this.target, noDelay: true })),
    );
  }

  static async start(port: number, { seed = 1 } = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(port, seed);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends every connection that is open, with a reset. */
  resetAll(): void {
    for (const socket of this.#sockets) reset(socket);
  }

  /** Nothing gets through any more on the connections that are open, and nobody is told. New ones work. */
  silenceAll(): void {
    for (const line of this.#lines) line.cut();
  }

  async close(): Promise<void> {
    this.resetAll();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: Socket, server: Socket): void {
    this.opened++;
    let last = server;
    client.on("data", () => {
      if (last === server) this.roundTrips++;
      last = client;
    });
    server.on("data", () => {
      last = server;
    });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      const pipe = this.#pipe(from === client ? "client" : "server", client, to);
      from.on("data", pipe);
      from.on("end", () => this.fault.kind !== "drop" && to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        if (this.fault.kind !== "drop") to.destroy();
      });
    }
  }

  #pipe(from: "client" | "server", client: Socket, to: Socket): (chunk: Buffer) => void {
    let bytes = 0;
    let { fault } = this;
    const line = new Line(to);
    this.#lines.add(line);
    to.once("close", () => this.#lines.delete(line));
    return (chunk) => {
      if (fault !== this.fault) bytes = 0;
      ({ fault } = this);
      const before = bytes;
      bytes += chunk.length;
      switch (fault.kind) {
        case "pass":
          return line.pass(chunk);
        case "delay":
          return line.pass(chunk, fault.ms);
        case "stall":
          if (from === "server" || bytes <= fault.afterBytes) return line.pass(chunk);
          line.pass(chunk.subarray(0, Math.max(0, fault.afterBytes - before)));
          return line.cut();
        case "drop":
          return fault.from === undefined || fault.from === from ? line.cut() : line.pass(chunk);
        case "reset":
          if (from === "client" && before >= fault.afterBytes && this.#random() < fault.share) return reset(client);
          return line.pass(chunk);
        case "cut":
          if (from !== fault.from || this.roundTrips < fault.roundTrip) return line.pass(chunk);
          this.fault = fault.next;
          return reset(client);
        case "half-close":
          return void (from === "client" ? client.end() : line.pass(chunk));
        case "corrupt":
          if (from === "server") this.#damage(chunk, before);
          return line.pass(chunk);
        case "bandwidth":
          for (let i = 0; i < chunk.length; i += 50) {
            const piece = chunk.subarray(i, i + 50);
            line.pass(piece, 0, (piece.length / fault.bytesPerSecond) * 1_000);
          }
      }
    };
  }

  #damage(chunk: Buffer, before: number): void {
    for (let kilobyte = Math.ceil(before / 1024); kilobyte * 1024 < before + chunk.length; kilobyte++) {
      const at = kilobyte * 1024 - before + Math.floor(this.#random() * 1024);
      if (at < chunk.length) chunk.writeUInt8(chunk.readUInt8(at) ^ (1 << Math.floor(this.#random() * 8)), at);
    }
  }
}

/**
 * One direction of a connection. Bytes arrive in the order in which they were sent, and none after one that was lost: that is all that TCP
 * promises, and a client that pipelines takes the answer to one question for another's where it is broken.
 */
class Line {
  readonly #to: Socket;
  readonly #waiting: { chunk: Buffer; at: number }[] = [];
  #isCut = false;
  #busyUntil = 0;

  constructor(to: Socket) {
    this.#to = to;
  }

  /** @param takesMs how long the line is busy with it */
  pass(chunk: Buffer, lateMs = 0, takesMs = 0): void {
    if (this.#isCut || chunk.length === 0) return;
    const now = performance.now();
    this.#busyUntil = Math.max(this.#busyUntil, now) + takesMs;
    this.#waiting.push({ chunk, at: this.#busyUntil + lateMs });
    if (this.#waiting.length === 1) this.#next();
  }

  /** Nothing more gets through. */
  cut(): void {
    this.#isCut = true;
  }

  #next(): void {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      const ms = first.at - performance.now();
      if (ms > 0) return void setTimeout(() => this.#next(), Math.ceil(ms)).unref();
      if (this.#to.writable) this.#to.write(first.chunk);
      this.#waiting.shift();
    }
  }
}

/** Only what is open can be reset; a socket that is still connecting, or ending, would send libuv round in circles. */
function reset(socket: Socket): void {
  if (socket.readyState === "open" && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}

/** A port to which nobody can connect and that doesn't say so: its process listens, and its backlog is full. */
export async function blackhole(): Promise<{ port: number; close(): Promise<void> }> {
  const program =
    "const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {" +
    "require('node:fs').writeSync(1, String(server.address().port));" +
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); });";
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const port = Number(String(line));
  const fillers = Array.from({ length: 4 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(fillers.slice(0, 2).map((socket) => once(socket, "connect")));
  return {
    port,
    async close() {
      for (const socket of fillers) socket.destroy();
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32), so that a failure can be run again. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
