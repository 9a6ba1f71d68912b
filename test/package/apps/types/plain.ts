// Without Express and its types: any `(req, res, next)`.
import { createServer } from "node:http";
import { SojournError, session } from "sojourn";
import type { MemoryStore } from "sojourn/memory";
import { openStore } from "sojourn/open";
import type { SqliteStore } from "sojourn/sqlite";
import * as testing from "sojourn/testing";

export type Stores = MemoryStore | SqliteStore;
export { SojournError, testing };

const sessions = session();
openStore("memory:", { redis: { prefix: "shop:" } });
createServer((req, res) => sessions(req, res, () => res.end()));
