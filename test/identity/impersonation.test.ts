import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { requireFresh } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine, type Held } from "../support/contexts.ts";
import { everyStore } from "../support/every-store.ts";
import { peek, put } from "../support/express-site.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { site } from "../support/site.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WHY = { reason: "ticket 4711" };

type Engine = ReturnType<typeof engine>;

/** Logs a user in by one request. */
async function login({ request }: Engine, userId: string, options: object = {}): Promise<Held | undefined> {
  const visit = await request();
  put(visit.session, "own", userId);
  await visit.session.login(userId, options);
  return visit.end();
}

/** Has the bearer of a token act as another user, by one request. */
async function impersonate(
  { request }: Engine,
  held: Held | undefined,
  userId: string,
  options: object = {},
): Promise<Held | undefined> {
  const visit = await request(held);
  await visit.session.impersonate(userId, { ...WHY, ...options });
  return visit.end();
}

/** Who the bearer of a token is, who acts, and whose data the session has. */
async function look({ request }: Engine, held: Held | undefined): Promise<[string | null, string | null, unknown]> {
  const { session } = await request(held);
  return [session.userId, session.actor?.userId ?? null, peek(session, "own")];
}

const NOBODY = [null, null, undefined];

for (const { name, skip, open } of everyStore()) {
  describe(`an impersonation, over ${name}`, { skip }, () => {
    let tests = 0;
    /** Tests share a database's table, so each has its own users. */
    const start = (t: { after(action: () => unknown): void }, limits = {}) => {
      const clock = new ManualClock();
      const all = engine({ clock, store: open(clock), limits });
      t.after(() => all.backend.close());
      tests += 1;
      const [admin, bob] = [`admin ${tests} of ${name}`, `bob ${tests} of ${name}`];
      return { all, admin, bob, clock };
    };

    test("is a session of the other user, of which the actor is known, and leads back to the actor's own", async (t) => {
      const { all, admin, bob, clock } = start(t);
      const before = await login(all, admin, { methods: ["pwd", "otp"], stamp: "7", link: `link of ${admin}` });
      clock.advance(MINUTE);
      const visit = await all.request(before);
      put(visit.session, "more", 1);
      await visit.session.impersonate(bob, WHY);
      const { session } = visit;
      assert.deepEqual({ ...session }, {}, "nothing of the actor's");
      assert.deepEqual(session.actor, { userId: admin, reason: "ticket 4711", since: new Date(clock.now()) });
      assert.deepEqual([session.authenticatedAt, session.authenticationMethods, session.isNew], [null, [], true]);
      put(session, "own", "bob's page");
      const acting = await visit.end();
      assert.ok(acting !== undefined && acting.handle !== before?.handle && acting.secret !== before?.secret);
      assert.deepEqual(await look(all, acting), [bob, admin, "bob's page"]);
      assert.deepEqual(await look(all, before), NOBODY, "the token before");
      assert.deepEqual((await all.admin.get(acting.handle))?.actor, session.actor);

      clock.advance(MINUTE);
      const stop = await all.request(acting);
      await stop.session.stopImpersonating();
      assert.deepEqual({ ...stop.session }, { own: admin, more: 1 });
      const after = await stop.end();
      assert.ok(after !== undefined && ![before?.secret, acting.secret].includes(after.secret));
      const back = await all.request(after);
      assert.deepEqual([back.session.userId, back.session.actor], [admin, null]);
      assert.deepEqual(back.session.authenticatedAt, new Date(clock.now() - 2 * MINUTE));
      assert.deepEqual(back.session.authenticationMethods, ["pwd", "otp"]);
      const snapshot = await all.admin.get(back.session.id);
      assert.partialDeepStrictEqual(snapshot, { stamp: "7", link: `link of ${admin}`, actor: null });
      for (const held of [before, acting]) assert.deepEqual(await look(all, held), NOBODY);
      assert.deepEqual([await all.admin.count(admin), await all.admin.count(bob)], [1, 0]);
      await all.admin.revokeAll(admin);
    });

    test("is hidden from the user's devices, unless they are to be shown", async (t) => {
      const { all, admin, bob } = start(t);
      const own = await login(all, bob);
      const parked = await login(all, admin);
      const acting = await impersonate(all, parked, bob);
      const handles = async (options = {}) => (await all.admin.list(bob, options)).map(({ handle }) => handle);
      assert.deepEqual(await handles(), [own?.handle]);
      assert.equal(await all.admin.count(bob), 1);
      assert.deepEqual(new Set(await handles({ impersonations: true })), new Set([own?.handle, acting?.handle]));
      const shown = await all.admin.list(bob, { impersonations: true });
      assert.deepEqual(new Set(shown.map(({ actor }) => actor?.userId)), new Set([undefined, admin]));
      // The actor's own session waits among the actor's.
      const [device, ...more] = await all.admin.list(admin);
      assert.deepEqual([more.length, device?.userId, device?.actor], [0, admin, null]);
      await all.admin.revokeAll(admin);
      assert.deepEqual(await handles({ impersonations: true }), [own?.handle]);
      assert.equal(await all.admin.get(acting?.handle ?? ""), undefined);
      await all.admin.revokeAll(bob);
    });

    test("ends with the actor's session, whatever ends that", async (t) => {
      const { all, admin, bob } = start(t);
      const ends: [string, (handle: string) => Promise<unknown>][] = [
        ["revokeAll", () => all.admin.revokeAll(admin)],
        ["revoke", (handle) => all.admin.revoke(handle, { userId: admin })],
        ["revoke of the handle before", (handle) => all.admin.revoke(handle)],
        ["its link", () => all.admin.revokeAll({ link: `link of ${admin}` })],
        ["the store", (handle) => Promise.resolve(all.store.delete(handle))],
      ];
      for (const [how, end] of ends) {
        const before = await login(all, admin, { link: `link of ${admin}` });
        const acting = await impersonate(all, before, bob);
        const opened = await all.request(acting);
        const [parked] = await all.admin.list(admin);
        assert.deepEqual(await look(all, acting), [bob, admin, undefined], how);
        await end(how.endsWith("before") ? (before?.handle ?? "") : (parked?.handle ?? ""));
        assert.deepEqual(await look(all, acting), NOBODY, how);
        const current = opened.context.stored;
        assert.ok(current !== undefined);
        assert.equal(await all.backend.isOpen(current), false, how);
        await assert.rejects(opened.session.stopImpersonating(), { code: "SESSION_GONE" }, how);
        await all.admin.revokeAll(bob);
      }
    });

    test("ends with all of the other user's sessions, and leaves the actor's, which its time ends", async (t) => {
      const { all, admin, bob, clock } = start(t);
      const acting = await impersonate(all, await login(all, admin), bob);
      assert.equal(await all.admin.revokeAll(bob), 1);
      assert.deepEqual(await look(all, acting), NOBODY);
      assert.equal(await all.admin.count(admin), 1);
      clock.advance(30 * MINUTE);
      assert.equal(await all.admin.count(admin), 0);
    });

    test("ends by a logout of it, which ends the actor's session, too", async (t) => {
      const { all, admin, bob } = start(t);
      for (const method of ["logout", "destroy"] as const) {
        const acting = await impersonate(all, await login(all, admin), bob);
        const visit = await all.request(acting);
        await visit.session[method]();
        assert.equal(await visit.end(), undefined);
        assert.deepEqual(await look(all, acting), NOBODY);
        assert.deepEqual([await all.admin.count(admin), await all.admin.count(bob)], [0, 0]);
      }
    });

    test("ends after its time, to the millisecond, and the client is logged out", async (t) => {
      const { all, admin, bob, clock } = start(t, { idleTimeout: "2h" });
      const acting = await impersonate(all, await login(all, admin), bob, { for: "15m" });
      clock.advance(15 * MINUTE - 1);
      const visit = await all.request(acting);
      assert.deepEqual(visit.session.expiresAt, new Date(clock.now() + 1));
      await visit.session.persist("1d");
      const renewed = await visit.end();
      const kept = await all.request(renewed);
      await kept.session.regenerate({ keep: true });
      const last = await kept.end();
      assert.deepEqual(await look(all, last), [bob, admin, undefined]);
      clock.advance(1);
      assert.deepEqual(await look(all, last), NOBODY);
      assert.deepEqual([await all.admin.count(admin), await all.admin.count(bob)], [0, 0]);
    });
  });
}

describe("an impersonation", () => {
  test("never outlasts the actor's own session, however idle that is, and gives it its own end back", async () => {
    const table: [limits: object, options: object, length: string, lastsMs: number][] = [
      [{ idleTimeout: "10m", absoluteTimeout: "1h" }, {}, "30m", 30 * MINUTE],
      [{ idleTimeout: "10m", absoluteTimeout: "1h" }, {}, "3h", HOUR],
      [{ idleTimeout: "10m", absoluteTimeout: "1h" }, { remember: "2h" }, "3h", 2 * HOUR],
      [{ idleTimeout: "10m", absoluteTimeout: false }, {}, "30d", 30 * 24 * HOUR],
      [{ idleTimeout: "10m", absoluteTimeout: "1h" }, { notAfter: "in 20 minutes" }, "30m", 20 * MINUTE],
      [
        { idleTimeout: "10m", absoluteTimeout: "1h" },
        { remember: "2h", notAfter: "in 20 minutes" },
        "30m",
        20 * MINUTE,
      ],
    ];
    for (const [limits, options, length, lastsMs] of table) {
      const all = engine({ limits });
      const { clock } = all;
      const given = "notAfter" in options ? { ...options, notAfter: clock.now() + 20 * MINUTE } : options;
      const held = await login(all, "admin", given);
      const own = await all.request(held);
      const ends = own.session.expiresAt.getTime();
      const acting = await impersonate(all, held, "bob", { for: length });
      const [parked] = await all.admin.list("admin");
      assert.equal(parked?.expiresAt.getTime(), clock.now() + lastsMs, JSON.stringify([options, length]));
      const stop = await all.request(acting);
      await stop.session.stopImpersonating();
      assert.equal(stop.session.expiresAt.getTime(), ends, JSON.stringify([options, length]));
    }
  });

  test("keeps the actor's session, though nothing uses it for longer than the idle timeout", async () => {
    const all = engine({ limits: { idleTimeout: "10m", absoluteTimeout: "8h" } });
    const acting = await impersonate(all, await login(all, "admin"), "bob", { for: "1h" });
    for (let i = 0; i < 10; i += 1) {
      all.clock.advance(5 * MINUTE);
      assert.deepEqual(await look(all, acting), ["bob", "admin", undefined]);
    }
    const stop = await all.request(acting);
    await stop.session.stopImpersonating();
    assert.deepEqual(await look(all, await stop.end()), ["admin", null, "admin"]);
  });

  test("events report it for an audit: the actor, the user, the reason and the end", async () => {
    const all = engine();
    const own = await login(all, "admin");
    const acting = await impersonate(all, own, "bob", { for: "10m" });
    const told = () => all.told.filter(({ event }) => event.startsWith("imp"));
    const until = new Date(all.clock.now() + 10 * MINUTE);
    const facts = { userId: "bob", actorId: "admin", reason: "ticket 4711" };
    const began = { event: "impersonate", handle: acting?.handle, ...facts, until, previous: own?.handle };
    assert.deepEqual(told(), [began]);
    const stop = await all.request(acting);
    await stop.session.stopImpersonating();
    const ended = { event: "impersonation-ended", handle: acting?.handle, ...facts };
    assert.deepEqual(told(), [began, ended]);
    const again = await impersonate(all, await stop.end(), "bob");
    const visit = await all.request(again);
    await visit.session.logout();
    assert.deepEqual(told().at(-1), { ...ended, handle: again?.handle });
    assert.equal(told().length, 4);
    assert.equal(
      all.told.some(({ event, ...more }) => event === "login" && Object(more).userId === "bob"),
      false,
    );
  });

  test("is refused to the anonymous, to oneself, and to somebody who impersonates", async () => {
    const all = engine();
    const anonymous = await all.request();
    await assert.rejects(anonymous.session.impersonate("bob", WHY), { code: "NOT_LOGGED_IN", status: 401 });
    await assert.rejects(anonymous.session.stopImpersonating(), { code: "NOT_IMPERSONATING", status: 409 });
    assert.equal(await anonymous.end(), undefined);
    const own = await all.request(await login(all, "admin"));
    await assert.rejects(own.session.impersonate("admin", WHY), {
      name: "TypeError",
      message: /the user who is logged in/,
    });
    await assert.rejects(own.session.stopImpersonating(), { code: "NOT_IMPERSONATING" });
    const held = await impersonate(all, await own.end(), "bob");
    const { session } = await all.request(held);
    const refused = { code: "IMPERSONATING", status: 403 };
    for (const userId of ["eve", "bob", "admin"]) await assert.rejects(session.impersonate(userId, WHY), refused);
    for (const userId of ["eve", "bob", "admin"]) await assert.rejects(session.login(userId), refused);
    await assert.rejects(session.confirm({ methods: ["pwd"] }), refused);
    await assert.rejects(session.logout({ everywhere: true }), refused);
    await assert.rejects(all.admin.revokeAll("bob", { except: session }), refused);
    await assert.rejects(all.admin.revokeAll("bob", { by: session }), refused);
    await assert.rejects(all.admin.revoke(session.id, { by: session }), refused);
    assert.deepEqual(await look(all, held), ["bob", "admin", undefined]);
  });

  test("needs a user, a reason and a time", async () => {
    const all = engine();
    const { session } = await all.request(await login(all, "admin"));
    const refused: [userId: unknown, options: unknown, message: RegExp][] = [
      ["", WHY, /^impersonate\(userId\): userId must be/],
      [undefined, WHY, /userId/],
      [5, WHY, /userId/],
      ["bob\ud800", WHY, /well-formed/],
      ["bob", undefined, /^impersonate\(\{ reason \}\): reason must be/],
      ["bob", null, /reason/],
      ["bob", {}, /reason/],
      ["bob", { reason: " " }, /reason/],
      ["bob", { reason: 5 }, /reason/],
      ["bob", { reason: "x".repeat(1_001) }, /at most 1000 characters/],
      ["bob", { ...WHY, for: "soon" }, /^impersonate\(\{ for \}\) must be/],
      ["bob", { ...WHY, for: 0 }, /for/],
      ["bob", { ...WHY, for: false }, /for/],
    ];
    for (const [userId, options, message] of refused) {
      await assert.rejects(Reflect.apply(session.impersonate, session, [userId, options]), {
        name: "TypeError",
        message,
      });
    }
    assert.deepEqual([session.userId, session.actor], ["admin", null]);
  });

  test("without a way to send the cookie nothing happens", async () => {
    const all = engine();
    const held = await login(all, "admin");
    for (const delivery of ["insecure", "headers-sent"] as const) {
      const visit = await all.request(held, { delivery });
      await assert.rejects(visit.session.impersonate("bob", WHY), { code: "HEADERS_SENT" });
    }
    assert.deepEqual(await look(all, held), ["admin", null, "admin"]);
    const acting = await impersonate(all, held, "bob");
    for (const delivery of ["insecure", "headers-sent"] as const) {
      const visit = await all.request(acting, { delivery });
      await assert.rejects(visit.session.stopImpersonating(), { code: "HEADERS_SENT" });
    }
    assert.deepEqual(await look(all, acting), ["bob", "admin", undefined]);
  });

  test("ends by a regeneration that does not keep the user", async () => {
    for (const keep of [false, ["own"]]) {
      const all = engine();
      const acting = await impersonate(all, await login(all, "admin"), "bob");
      const visit = await all.request(acting);
      put(visit.session, "own", "bob's page");
      await visit.session.regenerate({ keep });
      assert.deepEqual([visit.session.userId, visit.session.actor, visit.session.authenticatedAt], [null, null, null]);
      await visit.end();
      assert.deepEqual(await look(all, acting), NOBODY);
      all.clock.advance(30 * MINUTE);
      assert.equal(await all.admin.count("admin"), 0);
    }
  });

  test("right after a login in the same request works, and objects of the session before are read-only", async () => {
    const all = engine();
    const visit = await all.request();
    const { session } = visit;
    put(session, "own", "admin");
    await session.login("admin");
    await session.impersonate("bob", WHY);
    assert.equal(visit.session.userId, "bob");
    assert.equal(peek(session, "own"), "admin");
    assert.throws(() => put(session, "own", 1), { code: "SESSION_ENDED", message: /impersonate\(\)/ });
    const acting = visit.session;
    await acting.stopImpersonating();
    assert.equal(visit.session.userId, "admin");
    assert.throws(() => put(acting, "own", 1), { code: "SESSION_ENDED", message: /stopImpersonating\(\)/ });
    assert.deepEqual(await look(all, await visit.end()), ["admin", null, "admin"]);
  });

  test("a late request with a token from before begins no session, and its logout ends all", async (t) => {
    for (const isStopped of [false, true]) {
      const clock = new ManualClock();
      const store = new ProbeStore(new MemoryStore({ clock }), { async: true }).store;
      const one = await site(t, { clock, store }, async (req, res) => {
        if (req.url === "/login") await req.session.login("admin");
        if (req.url === "/act") await req.session.impersonate("bob", WHY);
        if (req.url === "/stop") await req.session.stopImpersonating();
        if (req.url === "/write") put(req.session, "late", 1);
        if (req.url === "/logout") await req.session.logout();
        res.end(`${req.session.userId} ${req.session.actor?.userId}`);
      });
      const visitor = one.visitor();
      await visitor.get("/login");
      const late = [visitor.clone()];
      await visitor.get("/act");
      if (isStopped) late.push(visitor.clone());
      if (isStopped) await visitor.get("/stop");
      for (const old of late) {
        const answer = await old.clone().get("/write");
        assert.deepEqual([answer.text, answer.setCookies], ["null undefined", []]);
      }
      assert.equal((await visitor.get("/")).text, isStopped ? "admin undefined" : "bob admin");
      await late.at(-1)?.get("/logout");
      assert.equal((await visitor.get("/")).text, "null undefined");
    }
  });

  test("with a key no row makes one out of another session: the user is bound to the secret", async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock, acceptLossOnRestart: true });
    const one = await site(t, { clock, store, secret: "a secret of a test, long enough for all" }, async (req, res) => {
      if (req.url === "/login") await req.session.login("admin");
      if (req.url === "/act") await req.session.impersonate("bob", WHY);
      res.end(`${req.session.userId} ${req.session.actor?.userId}`);
    });
    const visitor = one.visitor();
    await visitor.get("/login");
    assert.equal((await visitor.get("/act")).text, "bob admin");
    assert.equal((await visitor.get("/")).text, "bob admin");
    const handle = store.list({ userId: "bob" }).sessions[0]?.handle ?? "";
    const record = store.load(handle);
    assert.ok(record !== undefined);
    store.delete(handle);
    store.create(handle, { ...record, userId: "eve" });
    assert.equal((await visitor.get("/")).text, "null undefined");
  });

  test("ends when the actor's row becomes another user's: a revokeAll of the actor would not find it", async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const all = engine({ clock, store });
    const acting = await impersonate(all, await login(all, "admin"), "bob");
    const { handle, ...record } = store.list({ userId: "admin" }).sessions[0] ?? assert.fail();
    store.delete(handle);
    store.create(handle, { ...record, userId: "eve" });
    assert.deepEqual(await look(all, acting), NOBODY);
  });

  test("a logout of the same request, while it begins or stops, ends all", async () => {
    for (const method of ["impersonate", "stopImpersonating"] as const) {
      const clock = new ManualClock();
      const all = engine({ clock, store: new ProbeStore(new MemoryStore({ clock }), { async: true }).store });
      const own = await login(all, "admin");
      const visit = await all.request(method === "impersonate" ? own : await impersonate(all, own, "bob"));
      const { session } = visit;
      const done = method === "impersonate" ? session.impersonate("bob", WHY) : session.stopImpersonating();
      const refused = assert.rejects(done, { code: "SESSION_ENDED" }, method);
      await session.logout();
      await refused;
      assert.equal(await visit.end(), undefined, method);
      assert.equal(await all.admin.count(), 0, method);
    }
  });

  test("a sealed session can't do it, and says why", async (t) => {
    const store = new SealedStore({
      secret: "a secret of a test, long enough for all",
      revocations: new MemoryStore(),
    });
    const one = await site(t, { store }, async (req, res) => {
      await req.session.login("admin");
      await assert.rejects(req.session.impersonate("bob", WHY), { name: "TypeError", message: /^impersonate.*sealed/ });
      res.end(String(req.session.userId));
    });
    assert.equal((await one.visitor().get("/")).text, "admin");
  });

  test("closes its sockets as soon as it stops", async (t) => {
    const clock = new ManualClock();
    const ended = Promise.withResolvers<void>();
    const one = await site(t, { clock, store: new MemoryStore({ clock }) }, async (req, res) => {
      if (req.url === "/login") await req.session.login("admin");
      if (req.url === "/act") await req.session.impersonate("bob", WHY);
      if (req.url === "/stop") await req.session.stopImpersonating();
      if (req.url === "/socket") (await one.sessions.authenticateUpgrade(req))?.onEnd(() => ended.resolve());
      res.end();
    });
    const visitor = one.visitor();
    for (const path of ["/login", "/act", "/socket", "/stop"]) await visitor.get(path);
    await ended.promise;
  });

  test("passes no requireFresh, and closes its sockets with the actor's sessions", async (t) => {
    const clock = new ManualClock();
    const guard = requireFresh({ within: "1h", redirect: "/confirm" });
    const ended = Promise.withResolvers<void>();
    const one = await site(t, { clock, store: new MemoryStore({ clock }) }, async (req, res) => {
      if (req.url === "/login") await req.session.login("admin");
      if (req.url === "/act") await req.session.impersonate("bob", WHY);
      if (req.url === "/socket") {
        const socket = await one.sessions.authenticateUpgrade(req);
        assert.equal(socket?.actor?.userId, "admin");
        socket?.onEnd(() => ended.resolve());
      }
      if (req.url !== "/guarded") return void res.end();
      guard(req, res, (error) => {
        res.statusCode = Object(error).status ?? 200;
        res.end(Object(error).code);
      });
      await once(res, "finish");
    });
    const visitor = one.visitor();
    await visitor.get("/login");
    assert.equal((await visitor.get("/guarded")).status, 200);
    await visitor.get("/act");
    const guarded = await visitor.get("/guarded", { accept: "text/html" });
    assert.deepEqual([guarded.status, guarded.text], [403, "IMPERSONATING"]);
    await visitor.get("/socket");
    await one.sessions.revokeAll("admin");
    await ended.promise;
  });
});

describe("an impersonation while the store fails", () => {
  test("leaves no session of the other user if the actor's own can't be parked", async () => {
    const clock = new ManualClock();
    const inner = new MemoryStore({ clock });
    const probe = new ProbeStore(inner);
    const all = engine({ clock, store: probe.store });
    const { session } = await all.request(await login(all, "admin"));
    probe.reset();
    probe.fail(new Error("down"), "replace");
    await assert.rejects(async () => session.impersonate("bob", WHY), { code: "STORE_UNAVAILABLE" });
    assert.ok(probe.operations.includes("create"), "it was there first");
    assert.equal(inner.count({ userId: "bob" }), 0);
  });

  const OPERATIONS = ["load", "create", "replace", "delete"] as const;

  for (const operation of OPERATIONS) {
    test(`at each ${operation}: the session before or the one after is there, and no third`, async () => {
      for (const method of ["impersonate", "stopImpersonating"] as const) {
        for (const isLost of [false, true]) {
          const clock = new ManualClock();
          const inner = new MemoryStore({ clock, acceptLossOnRestart: true });
          const probe = new ProbeStore(inner, { async: true });
          const all = engine({ clock, store: probe.store });
          const own = await login(all, "admin");
          const before = method === "impersonate" ? own : await impersonate(all, own, "bob");
          const visit = await all.request(before);
          const call = () =>
            method === "impersonate" ? visit.session.impersonate("bob", WHY) : visit.session.stopImpersonating();
          const gate = isLost ? probe.gate(operation, "after") : undefined;
          if (!isLost) probe.fail(new Error("down"), operation);
          const done = call().then(
            () => undefined,
            (error: unknown) => Reflect.get(Object(error), "code"),
          );
          // Each call that hangs here is given up after its deadline.
          let isDone = false;
          done.then(() => {
            isDone = true;
          });
          while (!isDone) {
            await new Promise(setImmediate);
            if (gate !== undefined && gate.waiting > 0) await clock.advance(2_000);
          }
          const code = await done;
          gate?.open();
          probe.heal();
          await new Promise(setImmediate);
          await new Promise(setImmediate);
          const held = code === undefined ? visit.held() : before;
          const seen = (await look(all, held)).slice(0, 2);
          const was = method === "impersonate" ? ["admin", null] : ["bob", "admin"];
          const will = method === "impersonate" ? ["bob", "admin"] : ["admin", null];
          const what = `${method}, ${operation}, ${isLost ? "lost" : "failed"}: ${code}`;
          if (code === undefined) assert.deepEqual(seen, will, what);
          else {
            assert.match(String(code), /^STORE_/, what);
            // A reply that is lost may have ended the session before: then nobody is logged in.
            if (!isLost) assert.deepEqual(seen, was, what);
            else
              assert.ok(
                [was, [null, null]].some((one) => one.join() === seen.join()),
                `${what}, ${seen}`,
              );
          }
          // No session is left that a token opens and nobody holds: the others are parked, or wait for a parked one that is gone.
          for (const { handle, userId } of (await inner.list({})).sessions) {
            if (handle === held?.handle) continue;
            assert.ok(userId === "admin" || (await all.admin.get(handle)) === undefined, `${what}: ${userId}`);
          }
        }
      }
    });
  }
});
