import { once } from "node:events";
import { Agent, createServer, get, type IncomingHttpHeaders, type RequestListener } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** An application on a port of 127.0.0.1, and clients that keep their connections. */
export class HttpClient {
  readonly #server: ReturnType<typeof createServer>;
  readonly #agent: Agent;
  readonly #headers: Readonly<Record<string, string>>;

  private constructor(listener: RequestListener, connections: number, headers: Readonly<Record<string, string>>) {
    this.#server = createServer(listener);
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    this.#headers = headers;
  }

  /** @param headers of every request */
  static async open(listener: RequestListener, connections = 1, headers = {}): Promise<HttpClient> {
    const client = new HttpClient(listener, connections, headers);
    client.#server.listen(0, "127.0.0.1");
    await once(client.#server, "listening");
    return client;
  }

  async ask(path: string, cookie: string): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const { port } = this.#server.address() as AddressInfo;
    // The response gives its own up at its end.
    let socket: Socket | undefined;
    let before = { up: 0, down: 0 };
    const headers = { ...this.#headers, cookie };
    const req = get({ host: "127.0.0.1", port, path, headers, agent: this.#agent }, async (res) => {
      try {
        let body = "";
        for await (const chunk of res.setEncoding("utf8")) body += chunk;
        const after = bytesOf(socket);
        resolve({
          status: res.statusCode ?? 0,
          body,
          headers: res.headers,
          up: after.up - before.up,
          down: after.down - before.down,
        });
      } catch (error) {
        reject(error);
      }
    });
    req.on("error", reject).on("socket", (assigned) => {
      socket = assigned;
      before = bytesOf(socket);
    });
    return await promise;
  }

  close(): void {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export interface HttpAnswer {
  status: number;
  body: string;
  headers: IncomingHttpHeaders;
  /** Bytes on the wire, headers and all. Where a client has one connection. */
  up: number;
  down: number;
}

function bytesOf(socket: Socket | undefined): { up: number; down: number } {
  return { up: socket?.bytesWritten ?? 0, down: socket?.bytesRead ?? 0 };
}
