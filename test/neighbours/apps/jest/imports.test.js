import { session, MemoryStore } from "sojourn";
import { SqliteStore } from "sojourn/sqlite";
import suite from "./suite";

suite(session, {
  "import by Babel, in memory": () => ({ store: new MemoryStore() }),
  "import by Babel, on SQLite": () => ({ store: new SqliteStore(":memory:") }),
});
