import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { IndexedStore, SessionStore } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { gated } from "../../src/testing/index.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { inSteps } from "../support/in-steps.ts";
import { type Handler, type Site, site, type Visitor } from "../support/site.ts";

/** Two processes over one store: a browser's requests reach either. Nobody is let in or out by which one it was. */

const handler: Handler = async (req, res) => {
  const { session } = req;
  switch (req.url) {
    case "/count":
      Object.assign(session, { views: 1 });
      break;
    case "/login":
      await session.login("alice");
      break;
    case "/regenerate":
      await session.regenerate({ keep: true });
      break;
    case "/anew":
      await session.regenerate();
      Object.assign(session, {});
      break;
    case "/logout":
      await session.logout();
      break;
  }
  res.end(JSON.stringify({ user: req.session.userId, id: req.session.id }));
};

interface Both {
  a: Site;
  b: Site;
  clock: ManualClock;
  store: IndexedStore;
  /** The same browser, with the cookies it has now, as a request to B that is on its way. */
  late(browser: Visitor): Visitor;
}

async function both(t: TestContext, wrap: (store: IndexedStore) => IndexedStore = (store) => store): Promise<Both> {
  const clock = new ManualClock();
  const store = wrap(new MemoryStore({ clock }));
  const [a, b] = [await site(t, { clock, store }, handler), await site(t, { clock, store }, handler)];
  const late = (browser: Visitor): Visitor => {
    const other = b.visitor();
    for (const [name, value] of browser.cookies) other.cookies.set(name, value);
    return other;
  };
  return { a, b, clock, store, late };
}

for (const [how, wrap] of Object.entries({ "one step": (store: IndexedStore) => store, steps: inSteps })) {
  test(`a late visit at B with the token that a login at A replaced begins nothing, in ${how}`, async (t) => {
    const { a, b, clock, late } = await both(t, wrap);
    const browser = a.visitor();
    await browser.get("/count");
    const old = late(browser);
    await browser.get("/login");
    assert.deepEqual((await old.get("/count")).setCookies, [], "no cookie, and none cleared");
    assert.equal(await b.sessions.count(), 1);
    assert.equal(JSON.parse((await late(browser).get("/")).text).user, "alice");
    const again = old.clone();
    assert.equal((await again.get("/login")).setCookies.length, 1, "but who logs in, logs in");
    clock.advance(60_000);
    assert.equal((await old.get("/count")).setCookies.length, 1, "who never got the new cookie begins anew");
  });

  test(`a logout at B with the token that a regeneration at A replaced ends the session, in ${how}`, async (t) => {
    const { a, b, store, late } = await both(t, wrap);
    const browser = a.visitor();
    await browser.get("/login");
    const [first, second] = [late(browser), late(browser)];
    await browser.get("/regenerate");
    await browser.get("/regenerate");
    const forged = b.visitor();
    const [handle = ""] = (first.token ?? "").split(".");
    forged.cookies.set("sid", `${handle}.${"x".repeat(32)}`);
    await forged.get("/logout");
    assert.equal(JSON.parse((await browser.get("/")).text).user, "alice", "a handle alone ends nothing");
    assert.equal((await first.get("/logout")).status, 200);
    assert.equal(JSON.parse((await browser.get("/")).text).user, null);
    assert.equal(await store.count(), 0);

    await browser.get("/login");
    const { id } = JSON.parse((await browser.get("/")).text);
    await browser.get("/regenerate");
    await browser.get("/regenerate");
    assert.equal(await b.sessions.revoke(id), true, "whoever names the session by an older handle ends it");
    assert.equal(await b.sessions.revoke(id), false);
    assert.equal(JSON.parse((await browser.get("/")).text).user, null);
    assert.equal(JSON.parse((await second.get("/")).text).user, null);
    assert.equal(await store.count(), 0);
  });
}

test("a slow write at B while A logs the visitor in is dropped, and leaves the login's cookie alone", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const gates = gated(store, { synchronousLoad: false });
  const a = await site(t, { clock, store }, handler);
  const b = await site(t, { clock, store: gates.store }, handler);
  const browser = a.visitor();
  await browser.get("/count");
  for (const end of ["/login", "/logout"]) {
    const slow = b.visitor();
    for (const [name, value] of browser.cookies) slow.cookies.set(name, value);
    const gate = gates.hold("update", "before");
    const answered = slow.get("/count?more");
    await Promise.race([gate.reached, answered]);
    await browser.get(end);
    gate.release();
    const { status, setCookies } = await answered;
    assert.deepEqual([status, setCookies], [200, []], end);
  }
});

test("a logout at B that meets a regeneration at A ends what comes of it, whichever is first", async (t) => {
  for (const first of ["logout", "regenerate"]) {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const gates = gated(store, { synchronousLoad: false });
    const a = await site(t, { clock, store }, handler);
    const b = await site(t, { clock, store: gates.store }, handler);
    const browser = a.visitor();
    await browser.get("/login");
    const leaving = b.visitor();
    for (const [name, value] of browser.cookies) leaving.cookies.set(name, value);
    const gate = gates.hold("delete", first === "logout" ? "after" : "before");
    const left = leaving.get("/logout");
    await gate.reached;
    const regenerated = await browser.get("/regenerate");
    gate.release();
    assert.equal((await left).status, 200);
    assert.equal(JSON.parse(regenerated.text).user, first === "logout" ? null : "alice");
    assert.equal(JSON.parse((await browser.get("/")).text).user, null);
    assert.equal(await store.count(), 0, first);
  }
});

test("a living session costs no look for a tombstone, one that is gone costs one", async (t) => {
  const clock = new ManualClock();
  const loads: string[] = [];
  const store: SessionStore = new (class extends MemoryStore {
    override load(handle: string) {
      loads.push(handle);
      return super.load(handle);
    }
  })({ clock });
  const one = await site(t, { clock, store }, handler);
  const visitor = one.visitor();
  for (const path of ["/count", "/", "/login", "/regenerate", "/"]) await visitor.get(path);
  assert.ok(loads.every((handle) => !handle.startsWith("!")));
  const gone = visitor.clone();
  await visitor.get("/logout");
  loads.length = 0;
  for (let n = 0; n < 3; n++) await gone.get("/");
  assert.equal(loads.filter((handle) => handle.startsWith("!")).length, 1);
});
