import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MemoryStore, type Session } from "../../src/index.ts";
import { faulty, gated, ManualClock } from "../../src/testing/index.ts";
import { tokenOf } from "../support/client.ts";
import { increment, put, type Site, startSite } from "../support/express-site.ts";
import { rest } from "./steps.ts";

/** Several operations in one request: at the same time, not awaited, or after one of them failed. */

interface Setting {
  site: Site;
  hold: ReturnType<typeof gated>["hold"];
  fail: ReturnType<typeof faulty>["fail"];
  inner: MemoryStore;
  clock: ManualClock;
  token: string;
  /** What another request commits to the same session at this moment. */
  elsewhere(change: (session: Session) => void): Promise<void>;
  stored(): Promise<Record<string, unknown>>;
}

/** A session that exists, and `/work`, which does what the test says. */
async function setting(
  t: TestContext,
  work: (session: () => Session, more: { end: (text: string) => void }) => unknown,
): Promise<Setting> {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const unreliable = faulty(inner, { synchronousLoad: false });
  const { store, hold } = gated(unreliable.store);
  const outside = { change: (_session: Session) => {} };
  const site = await startSite(t, { store, clock }, (app) => {
    app.post("/begin", async (req, res) => {
      put(req.session, "n", 0);
      await req.session.login("u1");
      res.json({});
    });
    app.get("/look", (req, res) => res.json({ ...req.session, userId: req.session.userId, isNew: req.session.isNew }));
    app.post("/elsewhere", (req, res) => {
      outside.change(req.session);
      res.json({});
    });
    app.post("/work", async (req, res) => {
      const answer = await work(() => req.session, { end: (text) => res.end(text) });
      if (!res.headersSent) res.json(answer ?? {});
    });
  });
  const token = tokenOf(await site.send("/begin", { method: "POST" }));
  return {
    site,
    hold,
    fail: unreliable.fail,
    inner,
    clock,
    token,
    elsewhere: async (change) => {
      outside.change = change;
      assert.equal((await site.send("/elsewhere", { method: "POST", token })).status, 200);
    },
    stored: async () => (await site.send("/look", { token })).json(),
  };
}

test("an update that is not awaited loses no count and holds no response when another request is faster", async (t) => {
  const { site, hold, token, elsewhere, stored } = await setting(t, (session) => {
    void session().update((newest) => increment(newest));
  });
  const gate = hold("update", "before");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  await elsewhere((session) => put(session, "n", 10));
  gate.release();
  const outcome = await Promise.race([reply, patience()]);
  assert.notEqual(outcome, undefined, "the response never came");
  assert.equal((await stored())["n"], 11);
});

test("two updates at the same time in one request both count, when another request was faster", async (t) => {
  const { site, hold, token, elsewhere, stored } = await setting(t, (session) =>
    Promise.all([session().update((newest) => increment(newest)), session().update((newest) => increment(newest))]),
  );
  const gate = hold("update", "before");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  await elsewhere((session) => put(session, "n", 10));
  gate.release();
  assert.notEqual(await Promise.race([reply, patience()]), undefined, "the response never came");
  assert.equal((await stored())["n"], 12);
});

test("what a request assigns while its update is on the way is not lost when that runs again", async (t) => {
  const { site, hold, token, elsewhere, stored } = await setting(t, async (session) => {
    const updated = session().update((newest) => increment(newest));
    put(session(), "mine", 1);
    await updated;
  });
  const gate = hold("update", "before");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  await elsewhere((session) => put(session, "n", 10));
  gate.release();
  assert.notEqual(await Promise.race([reply, patience()]), undefined, "the response never came");
  assert.deepEqual([(await stored())["n"], (await stored())["mine"]], [11, 1]);
});

test("an update and a save at the same time in one request both end, when another request was faster", async (t) => {
  const { site, hold, token, elsewhere, stored } = await setting(t, (session) => {
    const updated = session().update((newest) => increment(newest));
    return Promise.all([updated, session().save()]);
  });
  const gate = hold("update", "before");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  await elsewhere((session) => put(session, "n", 10));
  gate.release();
  assert.notEqual(await Promise.race([reply, patience()]), undefined, "the response never came");
  assert.equal((await stored())["n"], 11);
});

test("what a request assigns while its save is on the way wins over what another one stored before", async (t) => {
  const assigned = Promise.withResolvers<void>();
  const assign = Promise.withResolvers<void>();
  const { site, hold, token, elsewhere, stored } = await setting(t, async (session) => {
    put(session(), "a", 1);
    const saved = session().save();
    await assign.promise;
    put(session(), "shared", "later");
    assigned.resolve();
    await saved;
  });
  const gate = hold("update", "before");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  await elsewhere((session) => put(session, "shared", "earlier"));
  assign.resolve();
  await assigned.promise;
  gate.release();
  await reply;
  assert.equal((await stored())["shared"], "later");
});

test("deleting what is not there deletes nothing that another request stores meanwhile", async (t) => {
  const { site, hold, token, elsewhere, stored } = await setting(t, async (session) => {
    Reflect.deleteProperty(session(), "theirs");
    put(session(), "mine", 1);
    await session().save();
  });
  const gate = hold("update", "before");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  await elsewhere((session) => put(session, "theirs", 1));
  gate.release();
  await reply;
  assert.deepEqual([(await stored())["mine"], (await stored())["theirs"]], [1, 1]);
});

for (const method of ["save", "touch", "reload"] as const) {
  test(`a revoked session stays ended when ${method}() failed and regenerate({ keep: true }) follows`, async (t) => {
    const go = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const { site, token } = await setting(t, async (session) => {
      put(session(), "a", 1);
      begun.resolve();
      await go.promise;
      const first = await session()
        [method]()
        .then(() => "done", codeOf);
      const second = await session()
        .regenerate({ keep: true })
        .then(() => "done", codeOf);
      return { first, second };
    });
    const reply = site.send("/work", { method: "POST", token });
    await begun.promise;
    assert.equal(await site.sessions.revoke(token.slice(0, 22)), true);
    go.resolve();
    const { cookie, ...rest } = await reply;
    assert.equal(rest.json()["first"], "SESSION_GONE");
    if (typeof cookie !== "string") {
      const look = (await site.send("/look", { token: cookie.token })).json();
      assert.equal(look["userId"], null, "logged in again without a login");
      assert.equal(look["n"], undefined, "the data of a revoked session came back");
    }
    assert.equal(rest.json()["second"], "SESSION_GONE");
    assert.equal(await site.sessions.count(), 0);
  });
}

test("a login after the session was found ended takes none of its data along", async (t) => {
  const go = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const { site, token } = await setting(t, async (session) => {
    put(session(), "a", 1);
    begun.resolve();
    await go.promise;
    await session()
      .save()
      .catch(() => {});
    await session().login("u1");
  });
  const reply = site.send("/work", { method: "POST", token });
  await begun.promise;
  await site.sessions.revoke(token.slice(0, 22));
  go.resolve();
  const look = (await site.send("/look", { token: tokenOf(await reply) })).json();
  assert.equal(look["userId"], "u1");
  assert.equal(look["n"], undefined, "the data of a revoked session came back");
});

test("a logout everywhere that nobody awaits is done before the response leaves", async (t) => {
  const { site, hold, token } = await setting(t, (session) => {
    void session().logout({ everywhere: true });
  });
  const other = tokenOf(await site.send("/begin", { method: "POST" }));
  const gate = hold("deleteAll", "before");
  const reply = site.send("/work", { method: "POST", token });
  const first = await Promise.race([reply.then(() => "answered"), gate.reached.then(() => "asked")]);
  assert.equal(first, "asked");
  await rest();
  await site.send("/look");
  assert.equal(await Promise.race([reply.then(() => "answered"), rest().then(() => "waits")]), "waits");
  gate.release();
  await reply;
  assert.equal((await site.send("/look", { token: other })).json()["isNew"], true);
});

test("a logout everywhere that nobody awaits and that fails is no success", async (t) => {
  const { site, fail, token } = await setting(t, (session) => {
    void session().logout({ everywhere: true });
  });
  fail("deleteAll", { kind: "error" }, Number.POSITIVE_INFINITY);
  const reply = await site.send("/work", { method: "POST", token });
  assert.equal(reply.status, 503);
  assert.equal(reply.cookie, "cleared");
});

for (const method of ["login", "regenerate"] as const) {
  test(`${method}() after the response was ended, and waits for its commit, is refused and ends nothing`, async (t) => {
    const outcome = Promise.withResolvers<unknown>();
    const { site, hold, token } = await setting(t, async (session, { end }) => {
      put(session(), "a", 1);
      end("said");
      const done = method === "login" ? session().login("u2") : session().regenerate({ keep: true });
      outcome.resolve(await done.then(() => "done", codeOf));
    });
    const gate = hold("update", "before");
    const reply = site.send("/work", { method: "POST", token });
    await gate.reached;
    gate.release();
    const { cookie } = await reply;
    const said = await outcome.promise;
    if (said === "done") assert.notEqual(typeof cookie, "string", "done, but the client has no token of it");
    else assert.equal((await site.send("/look", { token })).json()["isNew"], false);
    assert.equal(await site.sessions.count(), 1);
  });
}

test("a message taken while its save is in progress is shown once, and the next one is not lost", async (t) => {
  const saving = Promise.withResolvers<void>();
  const { site, hold, inner, token } = await setting(t, async (session) => {
    session().flash("news", "first");
    const saved = session().save();
    await saving.promise;
    const taken = session().flash("news");
    session().flash("news", "second");
    await saved;
    return { taken };
  });
  const gate = hold("update", "after");
  const reply = site.send("/work", { method: "POST", token });
  await gate.reached;
  saving.resolve();
  await rest();
  gate.release();
  assert.deepEqual((await reply).json()["taken"], ["first"]);
  const record = inner.load(token.slice(0, 22));
  assert.match(record?.payload ?? "", /"flash":\{"news":\["second"\]\}/);
});

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : error;
}

/** Long enough for anything that needs no time; `undefined` then. */
async function patience(): Promise<undefined> {
  for (let turns = 0; turns < 100; turns += 1) await rest();
}
