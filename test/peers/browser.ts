import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type Answer, type Cleanup, get, load, pairOf } from "../compat/world.ts";

export const express5 = load("express");
export const express4 = load("express4");
const connect = load("connect");

export const frameworks: Record<string, () => RequestListener & { use(...handlers: unknown[]): void }> = {
  "Express 5": express5,
  "Express 4": express4,
  Connect: connect,
};

/** A browser: it keeps what it is given. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async get(path: string): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await get(this.#port, path, cookie === "" ? {} : { cookie });
    for (const line of answer.setCookies) {
      const pair = pairOf(line);
      const name = pair.slice(0, pair.indexOf("="));
      if (line.includes("01 Jan 1970")) this.cookies.delete(name);
      else this.cookies.set(name, pair.slice(name.length + 1));
    }
    return answer;
  }
}

export async function listen(t: Cleanup, listener: RequestListener): Promise<Browser> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Browser((server.address() as AddressInfo).port);
}
