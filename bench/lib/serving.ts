import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { check, filled } from "./check.ts";
import { Connection } from "./connection.ts";
import type { Contender } from "./contender.ts";
import type { Served, ServeSettings } from "./messages.ts";
import { SessionData } from "./session-data.ts";

/** A contender that listens on a port of 127.0.0.1, was checked, and has sessions. */
export interface Serving {
  served: Served;
  /** After so many writes at least. */
  close(writes: number): Promise<void>;
}

export async function serve(contender: Contender, { bytes, sessions, warmUp }: ServeSettings): Promise<Serving> {
  const data = new SessionData(bytes);
  const site = await contender.open(data);
  const inProcess = new Connection(site.listener);
  await check(contender, inProcess, data);
  const cookies: string[] = [];
  const hasSessions = contender.kind !== "bare";
  for (let i = 0; i < sessions; i++)
    cookies.push(hasSessions ? (await filled(contender, inProcess, data)).header : "consent=1");
  for (const { path, cookie, ms } of warmUp) {
    const deadline = performance.now() + ms;
    for (let i = 0; performance.now() < deadline; i++)
      await inProcess.ask(path, cookie ? cookies[i % sessions] : undefined);
  }
  const countViews = async () => {
    let views = 0;
    for (const cookie of cookies) views += Number((await inProcess.ask("/read", cookie)).body);
    return views;
  };
  const before = await countViews();
  const server = createServer(site.listener).listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    served: { port: (server.address() as AddressInfo).port, cookies },
    async close(writes) {
      server.closeAllConnections();
      server.close();
      try {
        if (!hasSessions || contender.stateless) return;
        const views = (await countViews()) - before;
        if (views < writes) throw new Error(`of ${writes} writes that were answered ${views} are there`);
      } finally {
        await site.close();
      }
    },
  };
}
