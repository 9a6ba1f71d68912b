const { DatabaseSync } = require("node:sqlite");

/**
 * Node's own SQLite in the shape of the package `sqlite3`, which has to be compiled, as far as `connect-sqlite3` goes: it answers by
 * callback, on a later turn.
 */
module.exports = function openSqlite3(file) {
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
