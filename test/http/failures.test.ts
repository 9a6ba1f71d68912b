import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { SojournError } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import type { StoreOperation } from "../../src/wrap/wrap.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, KINDS, site } from "../support/site.ts";

type Cleanup = { after(action: () => unknown): void };

/** Nothing of the library may ever end the process: each test fails where something would have. */
function watchProcess(t: Cleanup): unknown[] {
  const found: unknown[] = [];
  const listen = (reason: unknown) => found.push(reason);
  process.on("unhandledRejection", listen);
  t.after(() => {
    process.off("unhandledRejection", listen);
    assert.deepEqual(found, []);
  });
  return found;
}

function codeOf(error: unknown): unknown {
  return error instanceof SojournError ? error.code : error;
}

const circular: Record<string, unknown> = {};
circular["self"] = circular;

const UNSERIALIZABLE: [string, () => unknown][] = [
  ["a BigInt", () => 1n],
  ["a nested BigInt", () => ({ list: [{ n: 1n }] })],
  ["a symbol", () => Symbol("x")],
  ["a function", () => () => 1],
  ["a circular reference", () => circular],
  ["a getter that throws", () => ({ get n() { throw new Error("no"); } })],
  ["a toJSON that throws", () => ({ toJSON() { throw new Error("no"); } })],
  ["a toJSON that gives nothing", () => ({ toJSON() {} })],
]; // biome-ignore format: a table

for (const kind of KINDS) {
  describe(`a commit that fails, in ${kind}`, () => {
    for (const [name, make] of UNSERIALIZABLE) {
      test(`${name}: the error handler's 500, no cookie, and the session as it was`, async (t) => {
        watchProcess(t);
        const { visitor, errors, sessions } = await site(t, { kind }, (req, res) => {
          if (req.url === "/bad") Object.assign(req.session, { n: 2, bad: make() });
          else if (req.url === "/set") Object.assign(req.session, { n: 1 });
          res.setHeader("X-Mine", "1");
          res.end(req.url === "/bad" ? "saved!" : JSON.stringify(req.session));
        });
        const fresh = await visitor().get("/bad");
        assert.equal(fresh.status, 500);
        assert.deepEqual(fresh.setCookies, []);
        assert.ok(!fresh.text.includes("saved!"));
        assert.equal(await sessions.count(), 0);
        const one = visitor();
        await one.get("/set");
        const token = one.token;
        const answer = await one.get("/bad");
        assert.equal(answer.status, 500);
        assert.deepEqual(answer.setCookies, []);
        assert.equal((await one.get("/")).text, '{"n":1}', "nothing of the failed request is stored");
        assert.equal(one.token, token);
        assert.deepEqual(errors.map(codeOf), ["NOT_SERIALIZABLE", "NOT_SERIALIZABLE"]);
      });
    }

    test("more than 64 KiB: 500, and the error names the largest properties but not what they hold", async (t) => {
      watchProcess(t);
      const { visitor, errors } = await site(t, { kind }, (req, res) => {
        const size = Number(req.headers["x-size"] ?? 0);
        if (size > 0) Object.assign(req.session, { big: "x".repeat(size - 2), small: 1 });
        res.end("saved");
      });
      assert.equal((await visitor().get("/", { "x-size": String(64 * 1024) })).status, 200, "64 KiB of data fit");
      const answer = await visitor().get("/", { "x-size": String(65 * 1024 + 512) });
      assert.equal(answer.status, 500);
      assert.deepEqual(answer.setCookies, []);
      const [error] = errors;
      assert.ok(error instanceof SojournError);
      assert.equal(error.code, "TOO_LARGE");
      assert.match(error.message, /"big" \(67072 bytes\), "small" \(1 bytes\)/);
      assert.ok(!error.message.includes("xxx"));
      assert.ok(!answer.text.includes("xxx"));
    });

    for (const async of [false, true]) {
      for (const operation of ["create", "update", "delete"] satisfies StoreOperation[]) {
        test(`${operation} that ${async ? "rejects" : "throws"}: 503 with Retry-After, no new cookie, an event`, async (t) => {
          watchProcess(t);
          const clock = new ManualClock();
          const probe = new ProbeStore(new MemoryStore({ clock }), { async });
          const one = await site(t, { kind, clock, store: probe.store }, async (req, res) => {
            if (req.url === "/delete") req.session.destroy();
            else Object.assign(req.session, { n: req.url });
            await turn();
            res.end("saved!");
          });
          const told: unknown[] = [];
          one.sessions.on("store-error", ({ operation: what, error }) => told.push([what, error.code]));
          const visitor = one.visitor();
          if (operation !== "create") await visitor.get("/first");
          const token = visitor.token;
          probe.fail(new Error("disk on fire"), operation);
          const answer = await visitor.get(`/${operation}`);
          assert.equal(answer.status, 503);
          assert.equal(answer.headers["retry-after"], "1");
          assert.ok(!answer.text.includes("saved!"));
          assert.ok(!answer.text.includes("disk on fire") || kind !== "node");
          assert.ok(told.length > 0);
          assert.deepEqual(told[0], [operation, "STORE_UNAVAILABLE"]);
          if (operation === "delete") {
            assert.match(answer.setCookies.join(), /^sid=;.*Max-Age=0/, "the visitor asked to leave: the cookie goes");
            probe.heal();
            return;
          }
          assert.deepEqual(answer.setCookies, []);
          assert.equal(visitor.token, token);
          probe.heal();
          assert.equal((await visitor.get("/again")).status, 200);
        });
      }
    }

    test("a handler that throws or rejects: its error's status, and what it had put in is saved", async (t) => {
      watchProcess(t);
      const { visitor, sessions } = await site(t, { kind }, async (req, res) => {
        if (req.url === "/") return res.end(JSON.stringify(req.session));
        Object.assign(req.session, { attempts: Number(Reflect.get(req.session, "attempts") ?? 0) + 1 });
        const error = Object.assign(new Error("the application's own"), { status: 422 });
        if (req.url === "/late") await turn();
        throw error;
      });
      const one = visitor();
      for (const path of ["/throw", "/late"]) assert.equal((await one.get(path)).status, 422);
      assert.equal((await one.get()).text, '{"attempts":2}');
      assert.equal(await sessions.count(), 1);
    });
  });
}

test("a login that could not be stored: 5xx without its cookie, and the session before lives on", async (t) => {
  watchProcess(t);
  for (const kind of KINDS) {
    for (const failure of ["data", "store", "caught"]) {
      const clock = new ManualClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
      const one = await site(t, { kind, clock, store: probe.store }, async (req, res) => {
        if (req.url === "/set") Object.assign(req.session, { n: 1 });
        if (req.url === "/login") {
          await req.session.login("alice");
          if (failure === "data") Object.assign(req.session, { bad: 1n });
          else probe.fail(new Error("down"));
          if (failure === "caught") await req.session.save().catch(() => Object.assign(res, { statusCode: 500 }));
        }
        res.end(String(req.session.userId));
      });
      for (const before of [false, true]) {
        const visitor = one.visitor();
        if (before) await visitor.get("/set");
        const { token } = visitor;
        const answer = await visitor.get("/login");
        probe.heal();
        assert.equal(answer.status, failure === "store" ? 503 : 500);
        assert.deepEqual(answer.setCookies, []);
        assert.equal(visitor.token, token);
        assert.equal((await visitor.get()).text, "null");
        assert.deepEqual(await one.sessions.list("alice"), [], "no device that nobody can open");
        assert.equal(await one.sessions.count(), before ? 1 : 0, `${kind} ${failure} ${before}`);
      }
    }
  }
});

test("a saved login whose response fails to save: 5xx without its cookie, and the login is rolled back", async (t) => {
  watchProcess(t);
  for (const kind of KINDS) {
    for (const failure of ["data", "store", "caught"]) {
      const clock = new ManualClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
      const one = await site(t, { kind, clock, store: probe.store }, async (req, res) => {
        if (req.url === "/set") Object.assign(req.session, { n: 1 });
        if (req.url === "/login") {
          await req.session.login("alice");
          await req.session.save();
          Object.assign(req.session, { second: "factor missing", ...(failure === "data" && { bad: 1n }) });
          if (failure !== "data") probe.fail(new Error("down"), "update");
          if (failure === "caught") await req.session.save().catch(() => Object.assign(res, { statusCode: 500 }));
        }
        res.end(String(req.session.userId));
      });
      const ended: unknown[] = [];
      one.sessions.on("destroy", ({ userId }) => ended.push(userId));
      for (const before of [false, true]) {
        const visitor = one.visitor();
        if (before) await visitor.get("/set");
        const answer = await visitor.get("/login");
        probe.heal();
        assert.equal(answer.status, failure === "store" ? 503 : 500);
        assert.deepEqual(answer.setCookies, []);
        assert.equal((await visitor.get()).text, "null");
        assert.deepEqual(await one.sessions.list("alice"), [], "no device that nobody can open");
        assert.equal(await one.sessions.count(), 0);
      }
      assert.deepEqual(ended, ["alice", "alice"]);
    }
  }
});

describe("the error handler's page", () => {
  test("may read the session, and what it writes there is not saved", async (t) => {
    watchProcess(t);
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const seen: unknown[] = [];
    const one = await site(
      t,
      {
        kind: "express5",
        clock,
        store: probe.store,
      },
      (req, res) => {
        if (req.url === "/set") Object.assign(req.session, { n: 1 });
        if (req.url === "/bad") {
          res.on("finish", () => seen.push({ ...req.session }));
          Object.assign(req.session, { n: 2, bad: 1n });
        }
        res.end(JSON.stringify(req.session, (_key, value) => (typeof value === "bigint" ? "big" : value)));
      },
    );
    const visitor = one.visitor();
    await visitor.get("/set");
    assert.equal((await visitor.get("/bad")).status, 500);
    assert.equal((await visitor.get()).text, '{"n":1}');
    assert.equal(seen.length, 1);
  });
});

describe("save() in a handler", () => {
  test("tells of its failure at once, and the response tells again", async (t) => {
    watchProcess(t);
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const caught: unknown[] = [];
    const one = await site(t, { clock, store: probe.store }, async (req, res) => {
      Object.assign(req.session, { n: 1 });
      await req.session.save().catch((error: unknown) => caught.push(codeOf(error)));
      res.end("saved!");
    });
    probe.fail(new Error("down"));
    assert.equal((await one.visitor().get()).status, 503);
    assert.deepEqual(caught, ["STORE_UNAVAILABLE"]);
    probe.heal();
    assert.equal((await one.visitor().get()).status, 200);
  });

  test("that fails for what can't be saved can be mended before the response", async (t) => {
    watchProcess(t);
    const one = await site(t, {}, async (req, res) => {
      Object.assign(req.session, { n: 1, bad: 1n });
      await assert.rejects(req.session.save(), { code: "NOT_SERIALIZABLE" });
      Reflect.deleteProperty(req.session, "bad");
      res.end();
    });
    const visitor = one.visitor();
    assert.equal((await visitor.get()).status, 200);
    assert.equal((await one.sessions.get(visitor.token?.slice(0, 22) ?? ""))?.data["n"], 1);
  });
});

describe("a damaged record", () => {
  const show: Handler = (req, res) => {
    if (req.url === "/set") Object.assign(req.session, { n: 1, list: [1, 2] });
    res.end(JSON.stringify({ data: req.session, isNew: req.session.isNew }));
  };

  for (const [name, open] of [
    ["memory", (clock: ManualClock) => new MemoryStore({ clock })],
    ["SQLite", (clock: ManualClock) => new SqliteStore(":memory:", { clock })],
  ] as const) {
    test(`over ${name} counts as absent: no 500, an event with its handle, and a new session can begin`, async (t) => {
      watchProcess(t);
      const clock = new ManualClock();
      const store = open(clock);
      const { visitor, sessions } = await site(t, { clock, store }, show);
      const told: unknown[] = [];
      sessions.on("damaged-record", (detail) => told.push(detail));
      const good = visitor();
      await good.get("/set");
      const handle = good.token?.slice(0, 22) ?? assert.fail();
      const record = (await store.load(handle)) ?? assert.fail();
      const { payload } = record;
      const damaged = [
        "", "garbage", "{}", "null", '{"cookie":{},"passport":{}}', "\0", payload.slice(1), payload.slice(0, -1), `${payload} `, payload.replace("\n", ""), "[0]", "[", "[0,\"n\",1]\n11",
        ...Array.from({ length: payload.length }, (_, end) => payload.slice(0, end)),
      ]; // biome-ignore format: a list of small values
      let version = 1;
      for (const text of damaged) {
        assert.equal(await store.update(handle, { ...record, payload: text, version: version + 1 }, version), "ok");
        version += 1;
        told.length = 0;
        const answer = await good.clone().get();
        assert.equal(answer.status, 200, text);
        assert.equal(answer.text, '{"data":{},"isNew":true}', text);
        assert.deepEqual(told, [{ handle }], text);
        assert.equal((await store.load(handle))?.payload, text, "left where it is");
        assert.equal(await sessions.get(handle), undefined);
      }
      await sessions.list("alice");
      const answer = await good.get("/set");
      assert.equal(answer.setCookies.length, 1);
      assert.notEqual(good.token?.slice(0, 22), handle);
      assert.equal((await good.get()).text, '{"data":{"n":1,"list":[1,2]},"isNew":false}');
    });
  }

  test("one damaged property counts as absent alone", async (t) => {
    watchProcess(t);
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const { visitor, sessions } = await site(t, { clock, store }, show);
    const told: unknown[] = [];
    sessions.on("damaged-record", (detail) => told.push(detail));
    const one = visitor();
    await one.get("/set");
    const handle = one.token?.slice(0, 22) ?? assert.fail();
    const record = store.load(handle) ?? assert.fail();
    store.update(handle, { ...record, payload: '[0,"n",1,"list",4]\n1[1,2', version: 2 }, 1);
    assert.equal((await one.get()).text, '{"data":{"n":1},"isNew":false}');
    assert.deepEqual(told, [{ handle }]);
    assert.deepEqual((await sessions.get(handle))?.data, { n: 1 });
  });

  test("names of the session's own members in it are no data: they take nothing's place", async (t) => {
    watchProcess(t);
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const { visitor } = await site(t, { clock, store }, (req, res) => {
      if (req.url === "/set") Object.assign(req.session, { n: 1 });
      const { session } = req;
      Object.keys(session);
      res.end(
        JSON.stringify({
          userId: session.userId,
          id: session.id.length,
          save: typeof session.save,
          polluted: "polluted" in session || "polluted" in {},
        }),
      );
    });
    const one = visitor();
    await one.get("/set");
    const handle = one.token?.slice(0, 22) ?? assert.fail();
    const record = store.load(handle) ?? assert.fail();
    const texts = { userId: '"admin"', id: '"x"', save: "1", __proto: "1" };
    const index = JSON.stringify([
      0,
      ...Object.entries(texts).flatMap(([name, text]) => [name === "__proto" ? "__proto__" : name, text.length]),
    ]);
    store.update(handle, { ...record, payload: `${index}\n${Object.values(texts).join("")}`, version: 2 }, 1);
    assert.equal((await one.get()).text, '{"userId":null,"id":22,"save":"function","polluted":false}');
  });
});

test("no error that reaches a handler or a log holds a token, a secret or session data", async (t) => {
  watchProcess(t);
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
  const secret = "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-first";
  const one = await site(t, { kind: "express5", clock, store: probe.store, secret }, async (req, res) => {
    if (req.url === "/bad") Object.assign(req.session, { bad: { password: "hunter2", n: 1n } });
    else if (req.url === "/big") Object.assign(req.session, { bad: "hunter2".repeat(20_000) });
    else Object.assign(req.session, { password: "hunter2", n: req.url });
    if (req.url === "/gone") {
      await one.sessions.revoke(req.session.id);
      await req.session.save();
    }
    res.end();
  });
  const told: unknown[] = [];
  for (const event of ["create", "gone", "revoke", "store-error", "conflict"] as const)
    one.sessions.on(event, (detail) => told.push(detail));
  const visitor = one.visitor();
  await visitor.get("/set");
  const token = visitor.token ?? assert.fail();
  await visitor.get("/bad");
  await visitor.get("/big");
  probe.fail(new Error("connection refused"), "update");
  await visitor.get("/down");
  probe.heal();
  await visitor.get("/gone");
  assert.deepEqual(one.errors.map(codeOf), ["NOT_SERIALIZABLE", "TOO_LARGE", "STORE_UNAVAILABLE", "SESSION_GONE"]);
  for (const value of [...one.errors, ...told, one.sessions]) {
    const shown =
      inspect(value, { depth: 20, showHidden: true }) +
      inspect(value, { depth: 20, customInspect: false }) +
      JSON.stringify(value);
    for (const hidden of [token, token.slice(23), secret, "hunter2"])
      assert.ok(!shown.includes(hidden), shown.slice(0, 300));
  }
});
