const { DatabaseSync } = require("node:sqlite");

/**
 * Node's own SQLite in the shape of two packages that have to be compiled, as far as the session stores written for them go.
 * `better-sqlite3`'s shape is Node's.
 */
exports.openBetterSqlite3 = (file) => new DatabaseSync(file);

/** `sqlite3`: answers by callback, on a later turn. */
exports.openSqlite3 = (file) => {
  const database = new DatabaseSync(file);
  const answer = (work, callback) => {
    let error = null;
    let rows;
    try {
      rows = work();
    } catch (thrown) {
      error = thrown;
    }
    setImmediate(() => callback?.(error, rows));
  };
  const rows = (sql, values) => database.prepare(sql).all(...values);
  return {
    exec: (sql, callback) => answer(() => database.exec(sql), callback),
    run: (sql, values, callback) => answer(() => database.prepare(sql).run(...values), callback),
    all: (sql, values, callback) =>
      typeof values === "function" ? answer(() => rows(sql, []), values) : answer(() => rows(sql, values), callback),
    get: (sql, values, callback) => answer(() => rows(sql, values)[0], callback),
  };
};
