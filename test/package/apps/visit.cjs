// Not `require`: a bundle that is an ES module has none.
const assert = process.getBuiltinModule("node:assert/strict");
const { createServer } = process.getBuiltinModule("node:http");
const { once } = process.getBuiltinModule("node:events");

/** A visitor of a small site on node:http alone: comes, comes again, logs in, logs out, and comes back with the old cookie. */
exports.visit = async function visit({ session }, store) {
  const sessions = session({ store });
  const server = createServer((req, res) => {
    sessions(req, res, async (error) => {
      try {
        if (error) throw error;
        if (req.url === "/login") await req.session.login("ada");
        if (req.url === "/logout") await req.session.destroy();
        else req.session.views = (req.session.views ?? 0) + 1;
        res.end(JSON.stringify({ views: req.session.views ?? 0, userId: req.session.userId }));
      } catch (failure) {
        res.statusCode = 500;
        res.end(String(failure));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  let cookie;
  const get = async (path) => {
    const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, {
      headers: cookie ? { cookie } : {},
    });
    const body = await response.text();
    assert.equal(response.status, 200, body);
    const [given] = response.headers.getSetCookie();
    if (given) cookie = given.split(";", 1)[0];
    return JSON.parse(body);
  };
  try {
    assert.deepEqual(await get("/"), { views: 1, userId: null });
    const first = cookie;
    assert.deepEqual(await get("/"), { views: 2, userId: null });
    assert.equal(cookie, first);
    assert.deepEqual(await get("/login"), { views: 3, userId: "ada" });
    assert.notEqual(cookie, first);
    assert.equal((await sessions.list("ada")).length, 1);
    const loggedIn = cookie;
    assert.deepEqual(await get("/logout"), { views: 0, userId: null });
    cookie = loggedIn;
    assert.deepEqual(await get("/"), { views: 1, userId: null });
  } finally {
    server.closeAllConnections();
    server.close();
    await sessions.close();
  }
};
