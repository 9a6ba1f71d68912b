import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IndexedStore } from "../../src/contract/store.ts";
import { hashSecret } from "../../src/crypto/token.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine, type Held } from "../support/contexts.ts";
import { inSteps } from "../support/in-steps.ts";
import { ProbeStore } from "../support/probe-store.ts";

function asynchronous(change: (store: IndexedStore) => IndexedStore = (store) => store) {
  const clock = new ManualClock();
  const probe = new ProbeStore(change(new MemoryStore({ clock })), { async: true });
  return { probe, ...engine({ clock, store: probe.store }) };
}

/** A visitor with something in their session. */
async function begin(
  { request }: Pick<ReturnType<typeof engine>, "request">,
  data: object = { cart: ["book"], n: 1 },
  user?: string,
): Promise<Held> {
  const visit = await request();
  Object.assign(visit.session, data);
  if (user !== undefined) await visit.session.login(user);
  return (await visit.end()) ?? assert.fail("no token");
}

describe("login", () => {
  test("fixation: who knew the session before the login is not logged in with it", async () => {
    const { request, store } = engine();
    const attacker = await begin({ request }, { n: 1 });
    const victim = await request(attacker);
    await victim.session.login("alice");
    const held = await victim.end();
    assert.ok(held !== undefined);
    assert.notEqual(held.handle, attacker.handle);
    assert.notEqual(held.secret, attacker.secret);
    assert.equal(await store.load(attacker.handle), undefined);
    assert.equal((await request(attacker)).wasOpened, false);
    assert.equal((await request({ handle: held.handle, secret: attacker.secret })).wasOpened, false);
    assert.equal((await request({ handle: attacker.handle, secret: held.secret })).wasOpened, false);
    const later = await request(held);
    assert.equal(later.session.userId, "alice");
    assert.deepEqual({ ...later.session }, { n: 1 });
  });

  test("keeps the data, unless the session was another user's", async () => {
    const site = engine();
    const cases: [string | undefined, boolean | string[] | undefined, object][] = [
      [undefined, undefined, { cart: ["book"], n: 1 }],
      [undefined, false, {}],
      [undefined, ["cart"], { cart: ["book"] }],
      [undefined, ["missing"], {}],
      [undefined, [], {}],
      ["alice", undefined, { cart: ["book"], n: 1 }],
      ["bob", undefined, {}],
      ["bob", true, { cart: ["book"], n: 1 }],
      ["bob", ["n"], { n: 1 }],
    ];
    for (const [before, keep, expected] of cases) {
      const held = await begin(site, undefined, before);
      const visit = await site.request(held);
      await visit.session.login("alice", keep === undefined ? {} : { keep });
      assert.deepEqual({ ...visit.session }, expected);
      const later = await site.request(await visit.end());
      assert.deepEqual({ ...later.session }, expected, `${before} ${JSON.stringify(keep)}`);
      assert.equal(later.session.userId, "alice");
    }
  });

  test("what another user's session held in flash messages, lifetime and device is not carried over", async () => {
    const site = engine();
    const first = await site.request();
    await first.session.login("bob", { remember: "30d", device: "Bob's phone" });
    first.session.flash("info", "for Bob's eyes");
    const held = await first.end();
    const visit = await site.request(held);
    await visit.session.login("alice");
    const later = await site.request(await visit.end());
    assert.deepEqual(later.session.flash("info"), []);
    assert.equal(later.session.expiresAt.getTime(), site.clock.now() + 30 * 60_000);
    const [device] = await site.admin.list("alice");
    assert.equal(device?.label, "Test");
  });

  test("takes changes of this request along that were not saved yet", async () => {
    const site = engine();
    const held = await begin(site);
    const visit = await site.request(held);
    Object.assign(visit.session, { n: 2, fresh: true });
    Reflect.deleteProperty(visit.session, "cart");
    visit.session.flash("info", "hello");
    await visit.session.login("alice");
    const later = await site.request(await visit.end());
    assert.deepEqual({ ...later.session }, { n: 2, fresh: true });
    assert.deepEqual(later.session.flash("info"), ["hello"]);
  });

  test("begins a new lifetime; regenerate with everything kept does not", async () => {
    const site = engine({ limits: { idleTimeout: "1h", absoluteTimeout: "10h" } });
    const hour = 3_600_000;
    let held: Held | undefined = await begin(site);
    const began = site.clock.now();
    for (let i = 0; i < 19; i += 1) {
      site.clock.advance(hour / 2);
      const visit = await site.request(held);
      assert.equal(visit.wasOpened, true, `half hour ${i}`);
      assert.equal(visit.session.createdAt.getTime(), began);
      await visit.session.regenerate({ keep: true });
      held = await visit.end();
    }
    site.clock.advance(hour / 2 - 1);
    assert.equal((await site.request(held)).wasOpened, true);
    site.clock.advance(1);
    assert.equal((await site.request(held)).wasOpened, false, "ten hours after its beginning");

    held = await begin(site);
    site.clock.advance(hour / 2);
    const visit = await site.request(held);
    await visit.session.login("alice");
    held = await visit.end();
    assert.equal((await site.request(held)).session.createdAt.getTime(), site.clock.now());
  });

  test("data that is carried over by name does not outlive the absolute timeout either", async () => {
    const site = engine({ limits: { idleTimeout: "1h", absoluteTimeout: "10h" } });
    let held: Held | undefined = await begin(site);
    for (let i = 0; i < 24 && held !== undefined; i += 1) {
      site.clock.advance(1_800_000);
      const visit = await site.request(held);
      if (!visit.wasOpened) return;
      await visit.session.regenerate({ keep: ["cart", "n"] });
      held = await visit.end();
    }
    assert.fail("twelve hours later the same data still lives");
  });

  test("twice in one request: the last one counts, and the first leaves nothing behind", async () => {
    const site = engine();
    const visit = await site.request();
    await visit.session.login("alice");
    await visit.session.login("bob");
    const held = await visit.end();
    assert.equal((await site.request(held)).session.userId, "bob");
    assert.equal(await site.admin.count(), 1);
    assert.deepEqual(await site.admin.list("alice"), []);
  });

  test("over a channel that can't carry the cookie: for this request only, nothing stored, and an event", async () => {
    const { request, admin, told } = engine();
    const visit = await request(undefined, { delivery: "insecure" });
    Object.assign(visit.session, { n: 1 });
    await visit.session.login("alice");
    assert.equal(visit.session.userId, "alice");
    assert.deepEqual({ ...visit.session }, { n: 1 });
    await visit.end();
    assert.equal(await admin.count(), 0);
    assert.deepEqual(
      told.filter(({ event }) => event !== "login").map(({ event }) => event),
      ["cookie-not-sent"],
    );
  });

  test("after the headers left it is refused, and nothing changes", async () => {
    const site = engine();
    const held = await begin(site);
    const visit = await site.request(held, { delivery: "headers-sent" });
    await assert.rejects(visit.session.login("alice"), { code: "HEADERS_SENT" });
    await assert.rejects(visit.session.regenerate(), { code: "HEADERS_SENT" });
    assert.deepEqual(await visit.end(), held);
    assert.equal((await site.request(held)).session.userId, null);
  });

  test("what another request committed until that instant is carried over, and what comes later is dropped", async () => {
    const site = engine();
    const held = await begin(site);
    const login = await site.request(held);
    Object.assign(login.session, { mine: 1 });
    const early = await site.request(held);
    const late = await site.request(held);
    Object.assign(early.session, { early: 1 });
    await early.end();
    await login.session.login("alice");
    await login.session.save();
    Object.assign(late.session, { late: 1 });
    await assert.rejects(late.session.save(), { code: "SESSION_GONE" });
    assert.deepEqual(await late.end(), held, "the late answer leaves the client's new cookie alone");
    const after = await site.request(await login.end());
    assert.deepEqual({ ...after.session }, { cart: ["book"], n: 1, mine: 1, early: 1 });
  });

  test("of a session that was ended meanwhile begins anew, with nothing of the dead one", async () => {
    const site = engine();
    const held = await begin(site);
    const login = await site.request(held);
    Object.assign(login.session, { mine: 1 });
    assert.equal(await site.admin.revoke(held.handle), true);
    await login.session.login("alice");
    const after = await site.request(await login.end());
    assert.equal(after.session.userId, "alice");
    assert.deepEqual({ ...after.session }, { mine: 1 });
  });

  test("that fails leaves the session as it was", async () => {
    for (const operation of ["replace", "create", "update"] as const) {
      const site = asynchronous(operation === "replace" ? undefined : inSteps);
      const held = await begin(site);
      const visit = await site.request(held);
      const { session } = visit;
      site.probe.fail(new Error("down"), operation);
      await session.login("alice");
      await assert.rejects(visit.end(), { code: "STORE_UNAVAILABLE" });
      site.probe.heal();
      assert.equal(visit.session, session);
      await visit.context.giveUp();
      assert.deepEqual(visit.held(), held);
      const later = await site.request(held);
      assert.equal(later.session.userId, null);
      assert.deepEqual({ ...later.session }, { cart: ["book"], n: 1 });
      assert.equal(await site.admin.count(), 1, `${operation}: no orphan`);
    }
  });

  test("with a remember duration the session ends exactly then, however idle", async () => {
    const site = engine();
    const visit = await site.request();
    await visit.session.login("alice", { remember: "2d" });
    const held = await visit.end();
    site.clock.advance(2 * 86_400_000 - 1);
    assert.equal((await site.request(held)).wasOpened, true);
    site.clock.advance(1);
    assert.equal((await site.request(held)).wasOpened, false);
  });
});

describe("regenerate", () => {
  test("drops the data and the user, keeps what is named, or all", async () => {
    const site = engine();
    const cases: [boolean | string[] | undefined, object, string | null][] = [
      [undefined, {}, null],
      [false, {}, null],
      [["cart"], { cart: ["book"] }, null],
      [true, { cart: ["book"], n: 1 }, "alice"],
    ];
    for (const [keep, expected, user] of cases) {
      const held = await begin(site, undefined, "alice");
      const visit = await site.request(held);
      await visit.session.regenerate(keep === undefined ? undefined : { keep });
      Object.assign(visit.session, { more: 1 });
      const next = await visit.end();
      assert.notEqual(next?.handle, held.handle);
      assert.equal((await site.request(held)).wasOpened, false, "the old one died");
      const later = await site.request(next);
      assert.deepEqual({ ...later.session }, { ...expected, more: 1 });
      assert.equal(later.session.userId, user);
    }
  });

  test("and nothing put in: the old one is dead, no new one is stored, and the client's cookie is cleared", async () => {
    const site = engine();
    const held = await begin(site);
    const visit = await site.request(held);
    await visit.session.regenerate();
    assert.equal(await visit.end(), undefined);
    assert.equal(await site.admin.count(), 0);
  });

  test("of a session that was ended meanwhile does not bring it back", async () => {
    const site = engine();
    for (const keep of [true, false, ["cart"]]) {
      const held = await begin(site, undefined, "alice");
      const visit = await site.request(held);
      await site.admin.revoke(held.handle);
      await visit.session.regenerate({ keep });
      await assert.rejects(visit.end(), { code: "SESSION_GONE" });
      await assert.rejects(visit.session.regenerate({ keep }), { code: "SESSION_GONE" }, "the second time at once");
      assert.equal(visit.held(), held, "the cookie is left alone");
      assert.equal(await site.admin.count(), 0);
    }
  });

  test("Passport's way: keepSessionInfo reads the old object after regenerate", async () => {
    const site = engine();
    const held = await begin(site);
    const visit = await site.request(held);
    const previous = visit.session;
    await new Promise<void>((resolve, reject) => {
      visit.session.regenerate((error) => {
        if (error) return reject(error);
        Object.assign(visit.session, previous, { passport: { user: "alice" } });
        visit.session.save((failure) => (failure ? reject(failure) : resolve()));
      });
    });
    const later = await site.request(await visit.end());
    assert.deepEqual({ ...later.session }, { cart: ["book"], n: 1, passport: { user: "alice" } });
  });
});

describe("destroy", () => {
  test("ends the session, clears the cookie, and gives an empty session in its place", async () => {
    const site = engine();
    const held = await begin(site, undefined, "alice");
    const visit = await site.request(held);
    await visit.session.destroy();
    assert.deepEqual({ ...visit.session }, {});
    assert.equal(visit.session.userId, null);
    assert.equal(visit.session.isNew, true);
    assert.equal(await visit.end(), undefined);
    assert.equal(await site.store.load(held.handle), undefined);
  });

  test("a farewell message put there starts a session that knows nothing of the old one", async () => {
    const site = engine();
    const held = await begin(site, undefined, "alice");
    const visit = await site.request(held);
    await visit.session.destroy();
    visit.session.flash("info", "Goodbye");
    const next = await visit.end();
    assert.ok(next !== undefined && next.handle !== held.handle && next.secret !== held.secret);
    const later = await site.request(next);
    assert.deepEqual(later.session.flash("info"), ["Goodbye"]);
    assert.deepEqual({ ...later.session }, {});
    assert.equal(later.session.userId, null);
  });

  test("nothing that other requests hold brings it back: no save, touch, update, flash, persist or login", async () => {
    const site = engine();
    const held = await begin(site);
    const others = await Promise.all(Array.from({ length: 6 }, () => site.request(held)));
    const ender = await site.request(held);
    await ender.session.destroy();
    await ender.end();
    const [saving, touching, updating, flashing, persisting, idle] = others;
    assert.ok(saving && touching && updating && flashing && persisting && idle);
    Object.assign(saving.session, { n: 9 });
    await assert.rejects(saving.session.save(), { code: "SESSION_GONE" });
    await assert.rejects(saving.session.save(), { code: "SESSION_GONE" }, "the second time at once");
    await assert.rejects(touching.session.touch(), { code: "SESSION_GONE" });
    await assert.rejects(touching.session.touch(), { code: "SESSION_GONE" }, "the second time at once");
    await assert.rejects(
      updating.session.update((session) => Object.assign(session, { n: 9 })),
      { code: "SESSION_GONE" },
    );
    flashing.session.flash("info", "x");
    await persisting.session.persist("30d");
    site.clock.advance(60_000);
    for (const visit of others) assert.equal(await visit.end(), held);
    assert.equal(await site.store.load(held.handle), undefined);
    assert.equal(await site.admin.count(), 0);
    assert.ok(site.told.filter(({ event }) => event === "gone").length >= 5);
  });

  test("of a session that was never stored stores nothing", async () => {
    const site = asynchronous();
    const visit = await site.request();
    Object.assign(visit.session, { n: 1 });
    await visit.session.destroy();
    await visit.end();
    assert.deepEqual(site.probe.operations, []);
  });

  test("while a first save is on its way leaves nothing behind", async () => {
    const site = asynchronous();
    const gate = site.probe.gate("create", "after");
    const visit = await site.request();
    Object.assign(visit.session, { n: 1 });
    const saved = visit.session.save();
    await gate.arrived();
    const destroyed = visit.session.destroy();
    gate.open();
    await Promise.allSettled([saved, destroyed]);
    assert.equal(await visit.end(), undefined);
    assert.equal(await site.admin.count(), 0);
  });

  test("after a login that still waits its turn: the visitor is logged out, and the user has no session", async () => {
    const site = asynchronous();
    const held = await begin(site);
    const gate = site.probe.gate("update", "before");
    const visit = await site.request(held);
    Object.assign(visit.session, { n: 2 });
    const { session } = visit;
    const saved = session.save();
    await gate.arrived();
    const loggedIn = session.login("alice");
    const destroyed = session.destroy();
    gate.open();
    await Promise.allSettled([saved, loggedIn, destroyed]);
    assert.equal(await visit.end(), undefined, "the cookie is cleared");
    assert.deepEqual(await site.admin.list("alice"), [], "no device of hers that nobody holds");
    assert.equal(await site.admin.count(), 0);
  });

  test("two logins that wait their turn leave one session, the one whose token is sent", async () => {
    const site = asynchronous();
    const held = await begin(site);
    const gate = site.probe.gate("update", "before");
    const visit = await site.request(held);
    Object.assign(visit.session, { n: 2 });
    const { session } = visit;
    const saved = session.save();
    await gate.arrived();
    const both = [session.login("alice"), session.login("alice")];
    gate.open();
    await Promise.allSettled([saved, ...both]);
    const next = await visit.end();
    const devices = await site.admin.list("alice");
    assert.deepEqual(
      devices.map(({ handle }) => handle),
      [next?.handle],
    );
  });

  test("that the store does not confirm rejects, and is tried again at the end of the request", async () => {
    const site = asynchronous();
    const held = await begin(site);
    const visit = await site.request(held);
    site.probe.fail(new Error("down"), "delete");
    await assert.rejects(visit.session.destroy(), { code: "STORE_UNAVAILABLE" });
    await assert.rejects(visit.end(), { code: "STORE_UNAVAILABLE" }, "no success that wasn't");
    assert.equal(visit.held(), undefined, "but the cookie goes");
    site.probe.heal();
    assert.equal(await visit.end(), undefined);
    assert.equal((await site.request(held)).wasOpened, false);
  });

  test("twice, in any order with save, is safe", async () => {
    const site = engine();
    const held = await begin(site);
    const visit = await site.request(held);
    const old = visit.session;
    await old.destroy();
    await assert.rejects(old.destroy(), { code: "SESSION_ENDED" });
    await assert.rejects(old.save(), { code: "SESSION_ENDED" });
    await visit.session.destroy();
    await visit.session.save();
    assert.equal(await visit.end(), undefined);
    assert.equal(await site.admin.count(), 0);
  });
});

describe("logout", () => {
  test("ends this session; everywhere ends all of the user's, and nobody else's", async () => {
    const site = engine();
    const alices = [await begin(site, {}, "alice"), await begin(site, {}, "alice"), await begin(site, {}, "alice")];
    const bob = await begin(site, {}, "bob");
    const one = await site.request(alices[0]);
    await one.session.logout();
    assert.equal(await one.end(), undefined);
    assert.equal(await site.admin.count("alice"), 2);
    const two = await site.request(alices[1]);
    await two.session.logout({ everywhere: true });
    assert.equal(await two.end(), undefined);
    assert.equal(await site.admin.count("alice"), 0);
    for (const held of alices) assert.equal((await site.request(held)).wasOpened, false);
    assert.equal((await site.request(bob)).session.userId, "bob");
  });

  test("everywhere without a user ends this session alone", async () => {
    const site = engine();
    const held = await begin(site);
    const other = await begin(site);
    const visit = await site.request(held);
    await visit.session.logout({ everywhere: true });
    assert.equal(await visit.end(), undefined);
    assert.equal((await site.request(other)).wasOpened, true);
  });
});

describe("tokens", () => {
  test("a token of no session is never adopted", async () => {
    const site = engine();
    const made = { handle: `${"x".repeat(21)}A`, secret: "s".repeat(32) };
    const visit = await site.request(made);
    assert.equal(visit.wasOpened, false);
    assert.notEqual(visit.session.id, made.handle);
    Object.assign(visit.session, { n: 1 });
    const held = await visit.end();
    assert.notEqual(held?.handle, made.handle);
    assert.notEqual(held?.secret, made.secret);
    assert.equal(await site.store.load(made.handle), undefined);
  });

  test("a handle that is taken is never overwritten: another one is drawn, three times", async () => {
    const clock = new ManualClock();
    const taken = `${"x".repeat(21)}A`;
    const record = {
      payload: "[0]\n",
      version: 1,
      secretHash: hashSecret("s"),
      userId: "alice",
      createdAt: clock.now(),
      touchedAt: clock.now(),
      expiresAt: clock.now() + 1e6,
    };
    for (const collisions of [1, 2, 3]) {
      const inner = new MemoryStore({ clock });
      inner.create(taken, record);
      let left = collisions;
      const { TokenSource } = await import("../../src/crypto/token.ts");
      class Colliding extends TokenSource {
        override handle(): string {
          left -= 1;
          return left >= 0 ? taken : super.handle();
        }
      }
      const site = engine({ clock, store: inner, tokens: new Colliding() });
      const visit = await site.request();
      Object.assign(visit.session, { n: 1 });
      if (collisions === 3) await assert.rejects(visit.end(), { code: "STORE_UNAVAILABLE" });
      else assert.notEqual((await visit.end())?.handle, taken);
      assert.deepEqual(inner.load(taken), record, "two users never share a record");
    }
  });
});
