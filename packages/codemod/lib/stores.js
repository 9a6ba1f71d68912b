/** A store of npm, and what takes its place: `classes` are the names it exports itself, others are made by `module(session)`. */
export const STORES = {
  "connect-redis": { to: "RedisStore", from: "sojourn/redis", classes: ["RedisStore", "default"], write: redis },
  "connect-pg-simple": { to: "PostgresStore", from: "sojourn/postgres", write: postgres },
  "session-file-store": { to: "FileStore", from: "sojourn/file", write: file },
  "better-sqlite3-session-store": { to: "SqliteStore", from: "sojourn/sqlite", write: sqlite },
  "express-mysql-session": { to: "MysqlStore", from: "sojourn/mysql", write: mysql },
  memorystore: { to: "MemoryStore", from: "sojourn/memory", write: memory },
};

/** The options of `new Store({ … })` by name, as text. `undefined` where they are not written there. */
function optionsOf(source, call) {
  const [first] = call.arguments;
  if (first === undefined) return new Map();
  if (first.type !== "ObjectExpression") return undefined;
  const options = new Map();
  for (const property of first.properties) {
    if (property.type !== "ObjectProperty" || property.computed) return undefined;
    options.set(property.key.name ?? property.key.value, source.textOf(property.value));
  }
  return options;
}

/** Tells which options have no counterpart. */
function drop(source, call, options, known, why = "has no counterpart") {
  const dropped = [...options.keys()].filter((name) => !known.includes(name));
  if (dropped.length > 0) source.note(call, `the store's ${dropped.join(", ")} ${why}`);
}

const TIMES = "is gone: idleTimeout and absoluteTimeout of session() say when sessions end";

function withOptions(...pairs) {
  const given = pairs
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => (name === value ? name : `${name}: ${value}`));
  return given.length > 0 ? `, { ${given.join(", ")} }` : "";
}

function redis(source, call) {
  const options = optionsOf(source, call);
  if (options === undefined || !options.has("client")) return undefined;
  drop(source, call, options, ["client", "prefix", "scanCount", "disableTouch"], TIMES);
  return `new RedisStore(${options.get("client")}${withOptions(["prefix", options.get("prefix")])})`;
}

function postgres(source, call) {
  const options = optionsOf(source, call);
  const pool = options?.get("pool") ?? options?.get("conString");
  if (pool === undefined) return undefined;
  drop(source, call, options, ["pool", "conString", "schemaName", "createTableIfMissing", "tableName"], TIMES);
  if (options.has("tableName"))
    source.note(
      call,
      "sessions are kept in the table sojourn_sessions; the option table names another one, not the old one",
    );
  return `new PostgresStore(${pool}${withOptions(["schema", options.get("schemaName")])})`;
}

function file(source, call) {
  const options = optionsOf(source, call);
  if (options === undefined) return undefined;
  drop(source, call, options, ["path", "logFn", "retries"], TIMES);
  return `new FileStore(${options.get("path") ?? '"./sessions"'})`;
}

function sqlite(source, call) {
  const options = optionsOf(source, call);
  if (options === undefined || !options.has("client")) return undefined;
  return `new SqliteStore(${options.get("client")})`;
}

function mysql(source, call) {
  if (call.arguments[1] !== undefined) return `new MysqlStore(${source.textOf(call.arguments[1])})`;
  const options = optionsOf(source, call);
  if (options === undefined) return undefined;
  const connection = ["host", "port", "user", "password", "database", "socketPath", "ssl"].filter((name) =>
    options.has(name),
  );
  drop(source, call, options, connection, TIMES);
  const text = connection
    .map((name) => (name === options.get(name) ? name : `${name}: ${options.get(name)}`))
    .join(", ");
  return { text: `new MysqlStore(createPool({ ${text} }))`, needs: ["mysql2", "createPool"] };
}

function memory(source, call) {
  const options = optionsOf(source, call);
  if (options === undefined) return undefined;
  drop(source, call, options, ["checkPeriod", "max"], TIMES);
  const max = options.get("max");
  return `new MemoryStore(${max === undefined ? "" : `{ maxEntries: ${max} }`})`;
}
