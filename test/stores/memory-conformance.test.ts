import { MemoryStore } from "../../src/stores/memory.ts";
import { storeConformance } from "../../src/testing/index.ts";

storeConformance({
  name: "MemoryStore",
  async open(clock) {
    const store = new MemoryStore({ clock });
    return [store, store];
  },
});
