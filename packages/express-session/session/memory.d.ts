import { MemoryStore } from "sojourn/express-session";
export = MemoryStore;
