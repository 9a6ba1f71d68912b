import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IndexedStore } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { site } from "../support/site.ts";

/** A login is stored with the response, by one call. What its own request asks about sessions includes it all the same. */

const STORES: [name: string, open: (clock: ManualClock) => IndexedStore][] = [
  ["memory", (clock) => new MemoryStore({ clock })],
  ["SQLite", (clock) => new SqliteStore(":memory:", { clock })],
  ["an asynchronous store", (clock) => new ProbeStore(new MemoryStore({ clock }), { async: true }).store],
];

for (const [name, open] of STORES) {
  describe(`a login and what its request asks about sessions, over ${name}`, () => {
    test("list, count, get and revoke see the new session, also if they don't name it", async (t) => {
      const clock = new ManualClock();
      const one = await site(t, { clock, store: open(clock) }, async (req, res) => {
        const { session } = req;
        if (req.url === "/") return void res.end(String(session.userId));
        const before = session.id;
        await session.login("ada");
        Object.assign(session, { cart: ["book"] });
        assert.notEqual(session.id, before);
        const what = req.url?.slice(1);
        if (what === "list") {
          const devices = await one.sessions.list("ada", { current: session });
          return void res.end(JSON.stringify(devices.map(({ handle, current }) => [handle === session.id, current])));
        }
        if (what === "count") return void res.end(String(await one.sessions.count("ada")));
        if (what === "get") return void res.end(JSON.stringify((await one.sessions.get(session.id))?.data));
        res.end(String(await one.sessions.revoke(session.id, { userId: "ada" })));
      });
      assert.equal((await one.visitor().get("/list")).text, "[[true,true]]");
      assert.equal((await one.visitor().get("/count")).text, "2");
      assert.equal((await one.visitor().get("/get")).text, '{"cart":["book"]}');
      const revoked = one.visitor();
      assert.equal((await revoked.get("/revoke")).text, "true");
      assert.equal((await revoked.get("/")).text, "null");
    });

    test("revokeAll ends every other session, and the new one only without `except`", async (t) => {
      const clock = new ManualClock();
      const one = await site(t, { clock, store: open(clock) }, async (req, res) => {
        if (req.url === "/") return void res.end(String(req.session.userId));
        await req.session.login("ada");
        const count = await one.sessions.revokeAll("ada", req.url === "/others" ? { except: req.session } : {});
        res.end(String(count));
      });
      const [first, second] = [one.visitor(), one.visitor()];
      assert.equal((await first.get("/others")).text, "0");
      assert.equal((await second.get("/others")).text, "1");
      assert.deepEqual([(await first.get("/")).text, (await second.get("/")).text], ["null", "ada"]);
      assert.equal((await first.get("/everyone")).text, "2");
      assert.deepEqual([(await first.get("/")).text, (await second.get("/")).text], ["null", "null"]);
    });

    test("save() stores the login at once, and the response changes nothing more", async (t) => {
      const clock = new ManualClock();
      const probe = new ProbeStore(open(clock), { async: true });
      const one = await site(t, { clock, store: probe.store }, async (req, res) => {
        if (req.url === "/") return void res.end(String(req.session.userId));
        await req.session.login("ada");
        assert.deepEqual(probe.operations, []);
        await req.session.save();
        assert.deepEqual(probe.operations, ["create"]);
        res.end("over");
      });
      const visitor = one.visitor();
      assert.equal((await visitor.get("/login")).text, "over");
      assert.deepEqual(probe.operations, ["create"]);
      assert.equal((await visitor.get("/")).text, "ada");
    });
  });
}

test("a login whose client has gone is never stored", async (t) => {
  const clock = new ManualClock();
  const one = await site(t, { clock, store: new MemoryStore({ clock }) }, async (req, res) => {
    await req.session.login("ada");
    if (req.url === "/hang") return void res.destroy();
    res.end(String((await one.sessions.list("ada")).length));
  });
  for (let i = 0; i < 70; i += 1) await assert.rejects(one.visitor().get("/hang"));
  assert.equal((await one.visitor().get("/list")).text, "1");
});

describe("calls that the handler does not await, over an asynchronous store, are in the response", () => {
  const open = (clock: ManualClock) => new ProbeStore(new MemoryStore({ clock }), { async: true }).store;

  test("a login behind a save", async (t) => {
    const clock = new ManualClock();
    const one = await site(t, { clock, store: open(clock) }, (req, res) => {
      if (req.url === "/") return void res.end(`${req.session.userId} ${JSON.stringify(req.session)}`);
      Object.assign(req.session, { n: 1 });
      req.session.save();
      req.session.login("ada");
      Object.assign(req.session, { cart: ["book"] });
      res.end();
    });
    const visitor = one.visitor();
    await visitor.get("/login");
    assert.equal((await visitor.get("/")).text, 'ada {"n":1,"cart":["book"]}');
    assert.equal(await one.sessions.count(), 1);
  });

  test("a message behind a logout", async (t) => {
    const clock = new ManualClock();
    const one = await site(t, { clock, store: open(clock) }, async (req, res) => {
      if (req.url === "/login") await req.session.login("ada");
      if (req.url === "/logout") {
        req.session.logout();
        req.session.flash("info", "Bye.");
      }
      res.end(`${req.session.userId} ${req.url === "/" ? req.session.flash("info") : ""}`);
    });
    const visitor = one.visitor();
    await visitor.get("/login");
    await visitor.get("/logout");
    assert.equal((await visitor.get("/")).text, "null Bye.");
  });
});

test("an error handler that saves after a login that could not be stored ends nothing", async (t) => {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
  const saved: unknown[] = [];
  const one = await site(
    t,
    {
      clock,
      store: probe.store,
      onError: (_error, req, res) => {
        probe.heal();
        const { session } = Object(req);
        session.save().then(
          () => res.end("saved"),
          (failure: unknown) => {
            saved.push(Reflect.get(Object(failure), "code"));
            res.statusCode = 503;
            res.end("sorry");
          },
        );
      },
    },
    async (req, res) => {
      if (req.url === "/set") Object.assign(req.session, { n: 1 });
      if (req.url === "/login") {
        await req.session.login("ada");
        probe.fail(new Error("down"), "replace");
      }
      res.end(`${req.session.userId} ${JSON.stringify(req.session)}`);
    },
  );
  const visitor = one.visitor();
  await visitor.get("/set");
  assert.equal((await visitor.get("/login")).status, 503);
  assert.deepEqual(saved, ["HEADERS_SENT"]);
  assert.equal((await visitor.get("/")).text, 'null {"n":1}');
});
