const { session, MemoryStore } = require("sojourn");
const { SqliteStore } = require("sojourn/sqlite");
const suite = require("./suite");

suite(session, {
  "require(), in memory": () => ({ store: new MemoryStore() }),
  "require(), on SQLite": () => ({ store: new SqliteStore(":memory:") }),
});
