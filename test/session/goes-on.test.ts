import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LiveSession } from "../../src/session/session.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine } from "../support/contexts.ts";
import { ProbeStore } from "../support/probe-store.ts";

/** What puts a new session in the place of an old one that goes on. */
const REPLACEMENTS: [name: string, replace: (session: LiveSession) => Promise<void>][] = [
  ["login", (session) => session.login("alice")],
  ["regenerate, all kept", (session) => session.regenerate({ keep: true })],
  ["regenerate, some kept", (session) => session.regenerate({ keep: ["cart", "n"] })],
];

function get(session: object, name: string): unknown {
  return Reflect.get(session, name);
}

for (const async of [false, true]) {
  describe(`the object that handlers hold over ${async ? "an asynchronous" : "a synchronous"} store`, () => {
    function site() {
      const clock = new ManualClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async });
      return { probe, ...engine({ clock, store: probe.store }) };
    }

    async function begun(data: object, userId?: string) {
      const one = site();
      const first = await one.request();
      Object.assign(first.session, data);
      if (userId !== undefined) await first.session.login(userId);
      const held = (await first.end()) ?? assert.fail("no token");
      return { ...one, held, visit: await one.request(held) };
    }

    for (const [name, replace] of REPLACEMENTS) {
      test(`goes on as the session after ${name}, with the objects taken from it`, async () => {
        const { visit, held, request } = await begun({ cart: ["a"], n: 1, left: 1 });
        const { session } = visit;
        const cart: unknown = get(session, "cart");
        assert.ok(Array.isArray(cart));
        cart.push("b");
        Object.assign(session, { n: 2 });
        await replace(session);
        assert.equal(visit.session, session, "req.session is the same object");
        assert.notEqual(session.id, held.handle);
        assert.equal(session.userId, name === "login" ? "alice" : null);
        assert.equal("left" in session, !name.includes("some"));
        cart.push("c");
        Object.assign(session, { later: 1 });
        const next = await request(await visit.end());
        assert.equal(next.session.id, session.id);
        const left = name.includes("some") ? {} : { left: 1 };
        assert.deepEqual({ ...next.session }, { cart: ["a", "b", "c"], n: 2, later: 1, ...left });
        assert.ok(!(await request(held)).wasOpened, "the old token opens nothing");
      });

      test(`takes what is assigned before ${name} has settled, awaited or not`, async () => {
        const { visit, request } = await begun({ cart: ["a"], n: 1 });
        const { session } = visit;
        const replaced = replace(session);
        Object.assign(session, { later: 1, n: 5 });
        const cart: unknown = get(session, "cart");
        assert.ok(Array.isArray(cart));
        cart.push("b");
        session.flash("info", "welcome");
        assert.equal(visit.session, session);
        const held = await visit.end();
        await replaced;
        const next = await request(held);
        assert.deepEqual({ ...next.session }, { cart: ["a", "b"], later: 1, n: 5 });
        assert.deepEqual(next.session.flash("info"), ["welcome"]);
        assert.equal(next.session.userId, name === "login" ? "alice" : null);
      });
    }

    test("has nothing of another user after a login, not even what was changed while it was under way", async () => {
      const { visit, request } = await begun({ cart: ["alice's"], secret: 1 }, "alice");
      const { session } = visit;
      const cart: unknown = get(session, "cart");
      assert.ok(Array.isArray(cart));
      const login = session.login("bob");
      cart.push("more of alice's");
      await login;
      cart.push("and more");
      assert.deepEqual({ ...session }, {});
      const next = await request(await visit.end());
      assert.equal(next.session.userId, "bob");
      assert.deepEqual({ ...next.session }, {});
    });

    test("is the last one's after two logins of which none was awaited, with nothing of the first", async () => {
      const { visit, request } = await begun({ cart: ["a"] });
      visit.session.login("alice");
      await visit.session.login("bob");
      const next = await request(await visit.end());
      assert.equal(next.session.userId, "bob");
      assert.deepEqual({ ...next.session }, {});
    });

    test("is what it was if the login can't be stored, whatever was assigned meanwhile", async () => {
      const { visit, held, request, probe } = await begun({ n: 1 });
      probe.fail(new Error("disk on fire"));
      const login = visit.session.login("alice");
      Object.assign(visit.session, { later: 1 });
      await login;
      assert.equal(visit.session.userId, "alice");
      await assert.rejects(visit.end(), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(visit.session.save(), { code: "STORE_UNAVAILABLE" });
      probe.heal();
      // The response reports the failure, and brings no token.
      await visit.context.giveUp();
      assert.deepEqual(visit.held(), held);
      assert.deepEqual({ ...(await request(held)).session }, { n: 1 });
    });

    test("keeps what another request stored until the login", async () => {
      const { visit, held, request, told } = await begun({ n: 1, cart: ["a"] });
      const cart: unknown = get(visit.session, "cart");
      assert.ok(Array.isArray(cart));
      const rival = await request(held);
      Object.assign(rival.session, { cart: ["a", "theirs"], other: 1 });
      await rival.end();
      await visit.session.login("alice");
      await visit.session.save();
      assert.deepEqual({ ...visit.session }, { n: 1, cart: ["a", "theirs"], other: 1 });
      cart.push("mine");
      const next = await request(await visit.end());
      assert.deepEqual(get(next.session, "cart"), ["a", "mine"], "what the handler did to its own object is kept");
      assert.deepEqual(
        told.filter(({ event }) => event === "overwritten"),
        [{ event: "overwritten", handle: visit.session.id, property: "cart" }],
      );
    });

    test("is stale only after destroy, logout, and regenerate without keep", async () => {
      for (const end of ["destroy", "logout", "regenerate"] as const) {
        const { visit } = await begun({ n: 1 });
        const old = visit.session;
        await old[end]();
        assert.notEqual(visit.session, old);
        assert.throws(() => Object.assign(old, { n: 2 }), { code: "SESSION_ENDED" });
      }
    });

    test("destroyed while its login is under way is gone under both names", async () => {
      const { visit, held, request, admin } = await begun({ n: 1 });
      const login = visit.session.login("alice");
      const destroyed = visit.session.destroy();
      await login.catch(() => {});
      await destroyed;
      assert.equal(await visit.end(), undefined);
      assert.ok(!(await request(held)).wasOpened);
      assert.equal(await admin.count(), 0);
    });
  });
}
