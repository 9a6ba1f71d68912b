import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { check, filled } from "./check.ts";
import { Connection } from "./connection.ts";
import type { Contender } from "./contender.ts";
import { Jar } from "./jar.ts";
import type { Served, ServeSettings } from "./messages.ts";
import { SessionData } from "./session-data.ts";

/** A contender that listens on a port of 127.0.0.1, was checked, and has sessions. */
export interface Serving {
  served: Served;
  /** What the sessions' clients would send now. Each comes by once before: `wrk` keeps no cookie that an answer brings, and a renewed one must not be renewed with every request. */
  cookies(): Promise<string[]>;
  /** After so many writes at least. */
  close(writes: number): Promise<void>;
}

export async function serve(contender: Contender, { bytes, sessions, warmUp }: ServeSettings): Promise<Serving> {
  const data = new SessionData(bytes);
  const site = await contender.open(data);
  const inProcess = new Connection(site.listener);
  await check(contender, inProcess, data);
  const jars: Jar[] = [];
  const hasSessions = contender.kind !== "bare";
  for (let i = 0; i < sessions; i++) jars.push(hasSessions ? await filled(contender, inProcess, data) : new Jar());
  for (const { path, cookie, ms } of warmUp) {
    const deadline = performance.now() + ms;
    for (let i = 0; performance.now() < deadline; i++)
      await inProcess.ask(path, cookie ? jars[i % sessions]?.header : undefined);
  }
  const countViews = async () => {
    let views = 0;
    for (const jar of jars) views += Number((await inProcess.ask("/read", jar.header)).body);
    return views;
  };
  const before = await countViews();
  const server = createServer(site.listener).listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    served: { port: (server.address() as AddressInfo).port },
    async cookies() {
      for (const jar of jars) jar.take((await inProcess.ask("/none", jar.header)).setCookies);
      return jars.map(({ header }) => header);
    },
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
