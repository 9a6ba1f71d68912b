import type { Clock } from "../../src/contract/time.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { testEveryPair, testRandomTriples } from "./pairs.ts";

/** In memory: the same statements and transactions, and thousands of runs wait for no disk. Files are shared in lost-updates.test.ts. */
const makeStore = (clock: Clock): SqliteStore => new SqliteStore(":memory:", { clock });

testEveryPair("sqlite", makeStore, { preemptions: 2 });
testRandomTriples("sqlite", makeStore, 300);
