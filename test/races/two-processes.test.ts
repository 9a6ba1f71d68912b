import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { testEveryPair, testRandomTriples } from "./pairs.ts";

/**
 * The same as in one process, of two that share a store and nothing else: whoever is served by the one must see, and leave, what they would if the
 * other one's requests were its own.
 */
const both = { processes: 2 } as const;

testEveryPair("memory", (clock) => new MemoryStore({ clock }), { ...both, preemptions: 2 });
testEveryPair("sqlite", (clock) => new SqliteStore(":memory:", { clock }), { ...both, preemptions: 1 });
testRandomTriples("memory", (clock) => new MemoryStore({ clock }), 300, both);
