import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { LiveSession } from "../../src/session/session.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine, type TestRequest } from "../support/contexts.ts";
import { ProbeStore } from "../support/probe-store.ts";

type Callback = (error?: unknown, value?: unknown) => void;

/** Every method that takes a callback, called with one. */
const METHODS: [name: string, call: (session: LiveSession, callback?: Callback) => Promise<unknown>][] = [
  ["save", (session, callback) => session.save(callback)],
  ["reload", (session, callback) => session.reload(callback)],
  ["regenerate", (session, callback) => session.regenerate(callback)],
  ["regenerate with options", (session, callback) => session.regenerate({ keep: true }, callback)],
  ["login", (session, callback) => session.login("alice", callback)],
  ["login with options", (session, callback) => session.login("alice", { remember: "1d" }, callback)],
  ["logout", (session, callback) => session.logout(callback)],
  ["logout with options", (session, callback) => session.logout({ everywhere: true }, callback)],
  ["destroy", (session, callback) => session.destroy(callback)],
  ["touch", (session, callback) => session.touch(callback)],
  ["update", (session, callback) => session.update(() => undefined, callback)],
  ["persist", (session, callback) => session.persist("1d", callback)],
];
/** Those that ask the store. */
const ASKING = METHODS.filter(([name]) => name !== "persist");

for (const async of [false, true]) {
  describe(`methods over ${async ? "an asynchronous" : "a synchronous"} store`, () => {
    async function stored() {
      const clock = new ManualClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async });
      const site = engine({ clock, store: probe.store, isHeld: false });
      const first = await site.request();
      Object.assign(first.session, { n: 1 });
      const held = await first.end();
      assert.ok(held !== undefined);
      const visit = await site.request(held);
      // So that `save` has something to do.
      Object.assign(visit.session, { n: 2 });
      return { ...site, probe, held, visit };
    }

    for (const [name, call] of METHODS) {
      test(`${name} resolves, and calls back with null`, async () => {
        const one = await stored();
        await call(one.visit.session);
        const two = await stored();
        const [error] = await new Promise<unknown[]>((resolve) =>
          call(two.visit.session, (...given) => resolve(given)),
        );
        assert.equal(error, null);
        const three = await stored();
        let calls = 0;
        await call(three.visit.session, () => {
          calls += 1;
        });
        await turn();
        assert.equal(calls, 1, "both at once, and the callback once");
      });
    }

    for (const [name, call] of ASKING) {
      test(`${name} that fails rejects, and calls back with the error`, async () => {
        const failing = async () => {
          const one = await stored();
          one.probe.fail(new Error("disk on fire"));
          return one;
        };
        const rejected = await failing();
        await assert.rejects(call(rejected.visit.session), { code: "STORE_UNAVAILABLE", status: 503 });
        const calledBack = await failing();
        const error = await new Promise((resolve) => call(calledBack.visit.session, resolve));
        assert.equal(Reflect.get(Object(error), "code"), "STORE_UNAVAILABLE");
      });

      test(`${name} that fails and that nobody awaits brings nothing down`, async (t) => {
        const unhandled: unknown[] = [];
        const listen = (reason: unknown) => unhandled.push(reason);
        process.on("unhandledRejection", listen);
        t.after(() => process.off("unhandledRejection", listen));
        const { probe, visit } = await stored();
        probe.fail(new Error("disk on fire"));
        call(visit.session);
        call(visit.session, () => {});
        for (let i = 0; i < 5; i += 1) await turn();
        assert.deepEqual(unhandled, []);
      });
    }

    test("a callback that throws is called once, and its error is the application's uncaught one", async (t) => {
      const { visit } = await stored();
      let calls = 0;
      const uncaught = new Promise((resolve) => {
        process.setUncaughtExceptionCaptureCallback(resolve);
        t.after(() => process.setUncaughtExceptionCaptureCallback(null));
      });
      visit.session.save(() => {
        calls += 1;
        throw new Error("the application's own");
      });
      assert.match(String(await uncaught), /the application's own/);
      await turn();
      assert.equal(calls, 1);
    });

    for (const value of [null, {}, "next", 5]) {
      test(`what is no callback (${JSON.stringify(value)}) never becomes an uncaught exception`, async (t) => {
        const uncaught: unknown[] = [];
        process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error));
        t.after(() => process.setUncaughtExceptionCaptureCallback(null));
        for (const name of ["save", "reload", "touch", "destroy"]) {
          const { visit } = await stored();
          // Refused or ignored, as long as the caller hears of it and not the process.
          const outcome: unknown = (() => {
            try {
              return Reflect.apply(Reflect.get(visit.session, name), visit.session, [value]);
            } catch (error) {
              return Promise.reject(error);
            }
          })();
          await Promise.resolve(outcome).catch((error: unknown) => assert.ok(error instanceof TypeError));
          await turn();
        }
        assert.deepEqual(uncaught, []);
      });
    }
  });
}

test("wrong arguments are TypeErrors that name them, and change nothing", async () => {
  const { request, store } = engine();
  const first = await request();
  Object.assign(first.session, { n: 1 });
  await first.session.login("alice");
  const held = await first.end();
  const calls: [(session: LiveSession) => unknown, RegExp][] = [
    [(session) => Reflect.apply(session.login, session, [5]), /userId must be a non-empty string; use String/],
    [(session) => Reflect.apply(session.login, session, [""]), /userId must be/],
    [(session) => Reflect.apply(session.login, session, []), /userId must be/],
    [(session) => Reflect.apply(session.login, session, [null]), /userId must be/],
    [(session) => Reflect.apply(session.login, session, ["a", { remember: "soon" }]), /remember must be/],
    [(session) => Reflect.apply(session.login, session, ["a", { remember: 0 }]), /remember must be/],
    [(session) => Reflect.apply(session.login, session, ["a", { keep: "n" }]), /keep must be/],
    [(session) => Reflect.apply(session.login, session, ["a", { keep: [1] }]), /keep must be/],
    [(session) => Reflect.apply(session.regenerate, session, [{ keep: 1 }]), /keep must be/],
    [(session) => Reflect.apply(session.regenerate, session, [{ keep: {} }]), /keep must be/],
    [(session) => Reflect.apply(session.persist, session, [0]), /persist\(duration\) must be/],
    [(session) => Reflect.apply(session.persist, session, [true]), /persist\(duration\) must be/],
    [(session) => Reflect.apply(session.persist, session, []), /persist\(duration\) must be/],
    [(session) => Reflect.apply(session.update, session, []), /change must be a function/],
    [(session) => Reflect.apply(session.update, session, [{ n: 2 }]), /change must be a function/],
    [(session) => Reflect.apply(session.flash, session, []), /type must be a string/],
    [(session) => Reflect.apply(session.flash, session, [5, "x"]), /type must be a string/],
    [(session) => Reflect.apply(session.flash, session, ["info", undefined]), /must not be undefined/],
  ];
  for (const [call, message] of calls) {
    const visit = await request(held);
    await assert.rejects(
      async () => call(visit.session),
      (error: unknown) => error instanceof TypeError && message.test(error.message),
      call.toString(),
    );
    assert.deepEqual(await visit.end(), held);
    assert.deepEqual({ ...(await request(held)).session }, { n: 1 });
  }
  assert.equal(await Promise.resolve(store.load(held?.handle ?? "")).then((record) => record?.version), 1);
});

describe("facts", () => {
  test("id, isNew, userId, createdAt, expiresAt, transport", async () => {
    const { request, clock } = engine();
    const began = clock.now();
    const first = await request();
    assert.match(first.session.id, /^[\w-]{22}$/);
    assert.equal(first.session.isNew, true);
    assert.equal(first.session.transport, "cookie");
    assert.equal(first.session.userId, null);
    assert.equal(first.session.createdAt.getTime(), began);
    assert.equal(first.session.expiresAt.getTime(), began + 30 * 60_000);
    Object.assign(first.session, { n: 1 });
    const held = await first.end();
    assert.equal(first.session.isNew, true, "still the request that began it");
    assert.equal(held?.handle, first.session.id);
    clock.advance(1_000);
    const second = await request(held);
    assert.equal(second.session.id, first.session.id);
    assert.equal(second.session.isNew, false);
    assert.equal(second.session.createdAt.getTime(), began);
    assert.equal(second.session.expiresAt.getTime(), began + 1_000 + 30 * 60_000);
  });

  test("they are read-only, and their dates are copies", async () => {
    const { request } = engine();
    const { session } = await request();
    const { createdAt } = session;
    createdAt.setTime(0);
    assert.notEqual(session.createdAt.getTime(), 0);
    for (const name of ["id", "isNew", "userId", "createdAt", "expiresAt", "transport"]) {
      assert.throws(() => Reflect.set(session, name, "x"), TypeError);
    }
  });
});

describe("a session that was replaced", () => {
  const endings: [string, (visit: TestRequest) => Promise<unknown>, RegExp][] = [
    ["regenerate", (visit) => visit.session.regenerate(), /replaced by regenerate\(\)/],
    ["destroy", (visit) => visit.session.destroy(), /was destroyed/],
    ["logout", (visit) => visit.session.logout(), /was destroyed/],
  ];
  for (const [name, end, reason] of endings) {
    test(`by ${name} can be read, and writing to it throws an error that says why`, async () => {
      const { request } = engine();
      const first = await request();
      Object.assign(first.session, { n: 1, list: [1] });
      const held = await first.end();
      const visit = await request(held);
      const old = visit.session;
      await end(visit);
      assert.notEqual(visit.session, old, "req.session is another object");
      assert.notEqual(visit.session.id, old.id);
      assert.equal(old.id, held?.handle);
      assert.deepEqual({ ...old }, { n: 1, list: [1] }, "all that it held, read or not before");
      const writes: (() => unknown)[] = [
        () => Object.assign(old, { n: 2 }),
        () => Reflect.deleteProperty(old, "n"),
        () => Object.defineProperty(old, "n", { value: 2 }),
        () => old.flash("info", "x"),
        () => old.flash("info"),
      ];
      for (const write of writes) {
        assert.throws(
          write,
          (error: unknown) => Reflect.get(Object(error), "code") === "SESSION_ENDED" && reason.test(String(error)),
          write.toString(),
        );
      }
      for (const [method, call] of METHODS) {
        await assert.rejects(call(old), { code: "SESSION_ENDED" }, `${method} on the old object`);
      }
      assert.deepEqual({ ...old }, { n: 1, list: [1] });
    });
  }
});

describe("save() of an empty session", () => {
  for (const async of [false, true]) {
    test(`begins it over ${async ? "an async" : "a sync"} store: the ID is that of the next request`, async () => {
      const clock = new ManualClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async });
      const { request, told, admin } = engine({ clock, store: probe.store });
      const first = await request();
      const { id } = first.session;
      await first.session.save();
      await first.session.save();
      assert.equal(first.session.id, id);
      const held = await first.end();
      assert.equal(held?.handle, id);
      const second = await request(held);
      assert.ok(second.wasOpened);
      assert.equal(second.session.id, id);
      assert.deepEqual({ ...second.session }, {});
      await second.session.save();
      assert.deepEqual(await second.end(), held);
      assert.equal(await admin.count(), 1);
      assert.deepEqual(
        told.map(({ event }) => event),
        ["create"],
      );
    });
  }

  test("stores nothing where its cookie can't be sent", async () => {
    const { request, admin, told } = engine();
    const late = await request(undefined, { delivery: "headers-sent" });
    await assert.rejects(late.session.save(), { code: "HEADERS_SENT" });
    const insecure = await request(undefined, { delivery: "insecure" });
    await insecure.session.save();
    assert.equal(await admin.count(), 0);
    assert.equal(told.filter(({ event }) => event === "cookie-not-sent").length, 2);
  });

  test("is not needed, and the session does not begin, where nobody asks for it", async () => {
    const { request, admin } = engine();
    const visit = await request();
    void visit.session.id;
    await visit.session.touch();
    await visit.session.update(() => undefined);
    assert.equal(await visit.end(), undefined);
    assert.equal(await admin.count(), 0);
  });
});
