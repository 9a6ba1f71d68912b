import type { Contender } from "../lib/contender.ts";
import { expressSessionSite } from "../lib/express-session-site.ts";
import { load } from "../lib/peer.ts";
import { missing, startRedis } from "../lib/servers.ts";

interface Client {
  connect(): Promise<unknown>;
  close(): Promise<unknown>;
}
const { createClient }: { createClient(options: { url: string }): Client } = load("redis");
const { RedisStore }: { RedisStore: new (options: { client: Client }) => object } = load("connect-redis");

export const contender: Contender = {
  name: "express-session, connect-redis",
  kind: "peer",
  over: "bare-express",
  server: "Redis",
  note: "its client is the package redis",
  missing: missing.redis,
  async open(data) {
    const server = await startRedis();
    const client = createClient({ url: server.url });
    await client.connect();
    const site = expressSessionSite(data, new RedisStore({ client }), async () => {
      await client.close();
      await server.stop();
    });
    return { ...site, commands: server.commands };
  },
};
