import { Agent, request } from "node:http";

export interface Answer {
  status: number;
  body: Record<string, unknown>;
  /** The session's cookie that it sets; `""` where it clears it. */
  token?: string;
}

/** Nobody listened, so nothing was asked. */
export class NotSent extends Error {}

/** What a browser does for one client after the other: connections are kept, and given up after some seconds without an answer. */
export class Browser {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #patienceMs: number;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** @throws {@link NotSent}, or whatever went wrong after that */
  send(port: number, method: "GET" | "POST", path: string, token: string | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: "127.0.0.1",
          port,
          method,
          path,
          agent: this.#agent,
          signal: AbortSignal.timeout(this.#patienceMs),
          headers: { ...(token !== undefined && { cookie: `sid=${token}` }), "content-length": 0 },
        },
        async (response) => {
          try {
            response.setEncoding("utf8");
            let text = "";
            for await (const chunk of response) text += chunk;
            const [line] = (response.headers["set-cookie"] ?? []).filter((cookie) => cookie.startsWith("sid="));
            const token = line?.slice("sid=".length, line.indexOf(";"));
            resolve({
              status: response.statusCode ?? 0,
              body: JSON.parse(text),
              ...(token !== undefined && { token }),
            });
          } catch (error) {
            reject(error);
          }
        },
      );
      sent.on("error", (error) => {
        const refused = "code" in error && error.code === "ECONNREFUSED";
        reject(refused ? new NotSent("nobody listens") : error);
      });
      sent.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
