import { systemClock } from "../../src/contract/time.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import type { Contender } from "../lib/contender.ts";
import { missing, startRedis } from "../lib/servers.ts";
import { sojournSite } from "../lib/sojourn-site.ts";

export const contender: Contender = {
  name: "sojourn, Redis",
  kind: "ours",
  over: "bare-express",
  server: "Redis",
  missing: missing.redis,
  async open(data, clock = systemClock) {
    const server = await startRedis();
    const store = new RedisStore(server.url);
    return { ...sojournSite(data, { store, clock }, server.stop), commands: server.commands };
  },
};
