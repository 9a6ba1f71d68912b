import { MemoryStore, session } from "sojourn";
import { visit } from "./visit.cjs";

await visit({ session }, new MemoryStore());
await visit({ session });
