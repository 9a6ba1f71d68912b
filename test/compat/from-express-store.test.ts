import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryStore } from "../../src/compat/express-session.ts";
import type { SessionRecord } from "../../src/contract/store.ts";
import { systemClock } from "../../src/contract/time.ts";
import { derivedHandle } from "../../src/crypto/token.ts";
import { MemoryStore as OurMemoryStore, session } from "../../src/index.ts";
import { FOREVER } from "../../src/session/timeouts.ts";
import { conformanceGroups, examine } from "../../src/testing/conformance.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type ExpressSessionStore, fromExpressStore, isExpressStore } from "../../src/wrap/from-express-store.ts";
import { hasSession, serve } from "./world.ts";

/** The least that a store written for express-session is: JSON in a map, answered on another turn. */
class PlainStore implements ExpressSessionStore {
  readonly texts = new Map<string, string>();
  readonly operations: string[] = [];

  get(id: string, callback: (error?: unknown, value?: unknown) => void): void {
    this.operations.push("get");
    const text = this.texts.get(id);
    setImmediate(() => callback(null, text === undefined ? undefined : JSON.parse(text)));
  }
  set(id: string, session: object, callback?: (error?: unknown) => void): void {
    this.operations.push("set");
    this.texts.set(id, JSON.stringify(session));
    setImmediate(() => callback?.());
  }
  destroy(id: string, callback?: (error?: unknown) => void): void {
    this.operations.push("destroy");
    this.texts.delete(id);
    setImmediate(() => callback?.());
  }
}

describe("a store written for express-session keeps the contract within a process", () => {
  for (const [group, checks] of conformanceGroups) {
    for (const check of checks) {
      // It can neither list nor count, and so keep no user's limit: `capabilities` say so.
      if (check.needs === "index" || check.needs === "admit") continue;
      test(`${group}: ${check.name}`, () => {
        const target = {
          name: "PlainStore",
          async open(clock: Parameters<typeof fromExpressStore>[1]) {
            const store = fromExpressStore(new PlainStore(), clock);
            return [store, store] as const;
          },
        };
        return examine(target, check, (why) => assert.fail(why));
      });
    }
  }
});

const now = systemClock.now();
const record: SessionRecord = {
  payload: "[0]\n",
  version: 1,
  secretHash: "hash",
  userId: null,
  createdAt: now,
  touchedAt: now,
  expiresAt: now + 60_000,
};

describe("what such a store is given", () => {
  test("a session of express-session's shape, whose cookie tells when it ends", async () => {
    const plain = new PlainStore();
    await fromExpressStore(plain, systemClock).create("handle", record);
    const { cookie, sojourn } = JSON.parse(plain.texts.get("handle") ?? "");
    assert.equal(cookie.expires, new Date(record.expiresAt).toISOString());
    assert.ok(cookie.maxAge > 0 && cookie.maxAge <= 60_000);
    assert.equal(cookie.originalMaxAge, cookie.maxAge);
    assert.deepEqual(sojourn, record);
  });

  test("one get and one set for a change", async () => {
    const plain = new PlainStore();
    const store = fromExpressStore(plain, systemClock);
    await store.create("handle", record);
    plain.operations.length = 0;
    assert.equal(await store.update("handle", { ...record, version: 2 }, 1), "ok");
    assert.deepEqual(plain.operations, ["get", "set"]);
  });
});

describe("what is asked of such a store", () => {
  test("a session that begins costs one set: a store may search long for what it doesn't have", async (t) => {
    const plain = new PlainStore();
    const { get } = await serve(t, session({ store: plain }), (req, res) => {
      hasSession(req);
      req.session["visits"] = 1;
      res.end();
    });
    assert.equal((await get("/")).status, 200);
    assert.deepEqual(plain.operations, ["set"]);
  });

  test("what is no session may have its handle taken, and is looked for", async () => {
    const plain = new PlainStore();
    const store = fromExpressStore(plain, systemClock);
    const handle = derivedHandle("a link that works once");
    assert.equal(await store.create(handle, { ...record, secretHash: "used" }), true);
    assert.equal(await store.create(handle, { ...record, secretHash: "used" }), false);
  });

  test("an end within ten years, which every store can hold, each time from now", async () => {
    const plain = new PlainStore();
    const clock = new ManualClock();
    const store = fromExpressStore(plain, clock);
    const endless = { ...record, touchedAt: clock.now(), createdAt: clock.now(), expiresAt: FOREVER };
    const yearsLeft = () => {
      const { cookie, sojourn } = JSON.parse(plain.texts.get("handle") ?? "");
      assert.equal(sojourn.expiresAt, FOREVER);
      assert.equal(Date.parse(cookie.expires) - clock.now(), cookie.maxAge);
      return cookie.maxAge / (365 * 24 * 60 * 60 * 1_000);
    };
    assert.equal(await store.create("handle", endless), true);
    assert.equal(yearsLeft(), 10);
    clock.advance(60_000);
    assert.equal(await store.touch("handle", clock.now(), FOREVER), true);
    assert.equal(yearsLeft(), 10);
    assert.equal(await store.update("handle", { ...endless, version: 2 }, 1), "ok");
    assert.equal(yearsLeft(), 10);
  });
});

describe("what such a store may answer", () => {
  const answers: [string, (callback: (error?: unknown, value?: unknown) => void) => unknown][] = [
    ["nothing", (callback) => callback()],
    ["null", (callback) => callback(null, null)],
    ["false", (callback) => callback(null, false)],
    ["ENOENT", (callback) => callback(Object.assign(new Error("no such file"), { code: "ENOENT" }))],
    ["a text that is no JSON", (callback) => callback(new SyntaxError("Unexpected token"))],
    ["a session of express-session", (callback) => callback(null, { cookie: { path: "/" }, user: "ada" })],
    ["a damaged record", (callback) => callback(null, { cookie: {}, sojourn: { ...record, version: "1" } })],
    ["an array", (callback) => callback(null, [1])],
  ];
  for (const [name, answer] of answers) {
    test(`${name}: there is no such session`, async () => {
      const store = { ...methodsOf(new PlainStore()), get: (_id: string, callback: () => void) => answer(callback) };
      assert.equal(await fromExpressStore(store, systemClock).load("handle"), undefined);
    });
  }

  const failures: [string, (callback: (error?: unknown) => void) => unknown][] = [
    ["an error", (callback) => callback(new Error("down"))],
    ["a promise that rejects", () => Promise.reject(new Error("down"))],
    [
      "an exception",
      () => {
        throw new Error("down");
      },
    ],
  ];
  for (const [name, answer] of failures) {
    test(`${name}: nothing is known`, async () => {
      const store = { ...methodsOf(new PlainStore()), get: (_id: string, callback: () => void) => answer(callback) };
      await assert.rejects(async () => fromExpressStore(store, systemClock).load("handle"), /down/);
    });
  }

  function methodsOf(store: PlainStore): ExpressSessionStore {
    return { get: store.get.bind(store), set: store.set.bind(store), destroy: store.destroy.bind(store) };
  }
});

test("recognised by its methods, and named for what it can't do", async () => {
  assert.equal(isExpressStore(new MemoryStore()), true);
  assert.equal(isExpressStore(new OurMemoryStore()), false);
  const sessions = session({ store: new MemoryStore() });
  assert.equal(sessions.capabilities.atomicUpdate, false);
  assert.equal(sessions.capabilities.indexed, false);
  await assert.rejects(() => sessions.list("ada"), { code: "NO_USER_INDEX" });
  await sessions.close();
});
