// The types of npm's stores, which import those of express-session.
import createPgStore from "connect-pg-simple";
import { RedisStore } from "connect-redis";
import session from "express-session";
import createMemoryStore from "memorystore";

const MemoryStore = createMemoryStore(session);
const PgStore = createPgStore(session);
export const stores: session.Store[] = [
  new RedisStore({ client: {} }),
  new MemoryStore({ checkPeriod: 60_000 }),
  new PgStore({ createTableIfMissing: true }),
];
for (const store of stores) session({ secret: "s", resave: false, saveUninitialized: false, store });
