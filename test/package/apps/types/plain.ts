// Without Express and its types: any `(req, res, next)`.
import { createServer } from "node:http";
import { openStore, SojournError, session } from "sojourn";
import type { MemoryStore } from "sojourn/memory";
import type { SqliteStore } from "sojourn/sqlite";
import * as testing from "sojourn/testing";

export type Stores = MemoryStore | SqliteStore;
export { SojournError, testing };

const sessions = session();
openStore("memory:", { redis: { prefix: "shop:" } });
createServer((req, res) => sessions(req, res, () => res.end()));
