import { MemoryStore } from "../../src/index.ts";
import { testEveryPair, testRandomTriples } from "./pairs.ts";

testEveryPair("memory", (clock) => new MemoryStore({ clock }), { preemptions: 3 });
testRandomTriples("memory", (clock) => new MemoryStore({ clock }), 300);
