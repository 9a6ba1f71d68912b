import { after } from "node:test";
import { Redis } from "ioredis";
import { RedisStore } from "../../src/stores/redis.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";

const { url, skip } = sharedRedis;

const handedOver = new Redis(url, { lazyConnect: true });

after(async () => {
  handedOver.disconnect();
  if (skip === undefined) await removeKeys(url);
});

// Both packages, and both ways to a connection, against each other.
storeConformance({
  name: "RedisStore on a URL and on a client of the application's",
  skip,
  async open(clock) {
    const prefix = keyPrefix();
    return [new RedisStore(url, { prefix, clock, client: "redis" }), new RedisStore(handedOver, { prefix, clock })];
  },
});
