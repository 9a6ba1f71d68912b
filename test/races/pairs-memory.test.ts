import { MemoryStore } from "../../src/index.ts";
import { inSteps } from "../support/in-steps.ts";
import { testEveryPair, testRandomTriples, testReplacements } from "./pairs.ts";

testEveryPair("memory", (clock) => new MemoryStore({ clock }), { preemptions: 3 });
testReplacements("memory in two steps", (clock) => inSteps(new MemoryStore({ clock })), { preemptions: 1 });
testRandomTriples("memory", (clock) => new MemoryStore({ clock }), 300);
