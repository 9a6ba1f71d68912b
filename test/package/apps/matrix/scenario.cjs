// Not `require`: a bundle that is an ES module has none.
const assert = process.getBuiltinModule("node:assert/strict");
const { once } = process.getBuiltinModule("node:events");
const { createServer } = process.getBuiltinModule("node:http");
const { visit } = require("../visit.cjs");

/**
 * What an application does with each part of the package, whichever way it was loaded: the exports of each entry point are handed in.
 * `clients` are the packages of databases' clients that can be found.
 */
exports.scenario = async function scenario({
  sojourn,
  sqlite,
  redis,
  postgres,
  mysql,
  dropIn,
  cookieSession,
  clients,
}) {
  await visit(sojourn);
  await visit(sojourn, new sojourn.MemoryStore());
  if (process.getBuiltinModule("node:sqlite")) await visit(sojourn, new sqlite.SqliteStore(":memory:"));

  assert.equal(dropIn.implementation, "sojourn");
  assert.equal(cookieSession.implementation, "sojourn");
  assert.equal(await views(dropIn({ secret: "s", resave: false, saveUninitialized: false })), "2");
  assert.equal(await views(cookieSession({ keys: ["k"] })), "2");
  // As stores from before classes do it.
  function OldStore() {
    dropIn.Store.call(this);
  }
  process.getBuiltinModule("node:util").inherits(OldStore, dropIn.Store);
  assert.ok(new OldStore() instanceof dropIn.Store);
  // As test doubles do it.
  const { Cookie } = dropIn;
  dropIn.Cookie = class Fake {};
  dropIn.Cookie = Cookie;

  for (const [url, name, Store] of [
    ["redis://127.0.0.1:1", "ioredis", redis.RedisStore],
    ["postgres://127.0.0.1:1/app", "pg", postgres.PostgresStore],
    ["mysql://127.0.0.1:1/app", "mysql2", mysql.MysqlStore],
  ]) {
    if (clients.includes(name)) {
      const store = await sojourn.openStore(url);
      assert.ok(store instanceof Store);
      await store.close();
    } else {
      const remedy = `npm install ${name === "ioredis" ? "redis" : name}`;
      await assert.rejects(sojourn.openStore(url), (error) => error.message.endsWith(remedy));
    }
  }
  console.log("the scenario is done");
};

/** How often one visitor was here, after coming twice. */
async function views(middleware) {
  const server = createServer((req, res) =>
    middleware(req, res, (error) => {
      if (error) return res.writeHead(500).end(String(error));
      req.session.views = (req.session.views ?? 0) + 1;
      res.end(String(req.session.views));
    }),
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/`;
  const first = await fetch(url);
  const cookie = first.headers.getSetCookie().map((line) => line.split(";", 1)[0]);
  const second = await fetch(url, { headers: { cookie: cookie.join("; ") } });
  const text = await second.text();
  server.closeAllConnections();
  server.close();
  return text;
}
