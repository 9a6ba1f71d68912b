import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import type { IndexedStore, SessionRecord } from "../../src/contract/store.ts";
import { hashSecret } from "../../src/crypto/token.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

/**
 * Somebody can write to the database, and knows the token of their own session, but not the key. Whatever they write, they are nobody else.
 */

const [A, B] = ["0123456789abcdefghijklmnopqrstuvwxyzABCDEF", "ABCDEF0123456789abcdefghijklmnopqrstuvwxyz"];
const handleOf = (visitor: Visitor): string => (visitor.token ?? "").slice(0, 22);
const secretOf = (visitor: Visitor): string => (visitor.token ?? "").split(".")[1] ?? "";

const handler: Handler = async (req, res) => {
  const url = new URL(req.url ?? "/", "http://localhost");
  const user = url.searchParams.get("as");
  if (url.pathname === "/login") await req.session.login(user ?? "");
  if (url.pathname === "/set") Object.assign(req.session, { n: 1 });
  res.end(String(req.session.userId));
};

/** Puts a record there as somebody with write access would: in the place of what is there. */
async function overwrite(store: IndexedStore, handle: string, record: SessionRecord): Promise<void> {
  await store.delete(handle);
  await store.create(handle, record);
}

async function recordOf(store: IndexedStore, visitor: Visitor): Promise<SessionRecord> {
  const record = await store.load(handleOf(visitor));
  assert.ok(record);
  return record;
}

after(async () => {
  if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
});

const kinds: Record<string, { open(clock: ManualClock): IndexedStore; skip?: string | undefined }> = {
  memory: { open: (clock) => new MemoryStore({ clock }) },
  sqlite: { open: (clock) => new SqliteStore(":memory:", { clock }) },
  redis: {
    open: (clock) => new RedisStore(sharedRedis.url, { prefix: keyPrefix(), clock }),
    skip: sharedRedis.skip,
  },
};

for (const [kind, { open, skip }] of Object.entries(kinds)) {
  describe(`write access to ${kind} makes nobody another user`, { skip: skip ?? false }, () => {
    async function stage(t: TestContext, options: SiteOptions = {}) {
      const clock = new ManualClock();
      const store = open(clock);
      const one = await site(t, { clock, store, secret: A, ...options }, handler);
      const damaged: unknown[] = [];
      one.sessions.on("damaged-record", (detail) => damaged.push(detail));
      const [victim, mallory, anonymous] = [one.visitor(), one.visitor(), one.visitor()];
      await victim.get("/login?as=admin");
      await mallory.get("/login?as=mallory");
      await anonymous.get("/set");
      return { one, clock, store, damaged, victim, mallory, anonymous };
    }

    test("another user_id in one's own row, with whatever hash can be made without the key", async (t) => {
      const { store, damaged, victim, mallory, anonymous } = await stage(t);
      assert.equal((await mallory.get("/")).text, "mallory");
      const [hers, own] = [await recordOf(store, victim), await recordOf(store, mallory)];
      const plain = await recordOf(store, anonymous);
      assert.equal(plain.secretHash, hashSecret(secretOf(anonymous)), "an anonymous session costs no MAC");
      assert.notEqual(own.secretHash, hashSecret(secretOf(mallory)));
      const attempts: [Visitor, SessionRecord][] = [
        [mallory, { ...own, userId: "admin" }],
        [mallory, { ...own, userId: "mallor9" }],
        [mallory, { ...own, userId: "admin", secretHash: hashSecret(secretOf(mallory)) }],
        [mallory, { ...hers }],
        [mallory, { ...own, userId: "admin", secretHash: hers.secretHash }],
        [mallory, { ...own, userId: null }],
        [anonymous, { ...plain, userId: "admin" }],
        [anonymous, { ...plain, userId: "admin", secretHash: hers.secretHash }],
        // A session's beginning is bound, too: it can't be made younger.
        [mallory, { ...own, createdAt: own.createdAt + 1_000 }],
      ];
      for (const [visitor, record] of attempts) {
        await overwrite(store, handleOf(visitor), record);
        assert.equal((await visitor.get("/")).text, "null", JSON.stringify(record));
      }
      assert.ok(damaged.length >= 6, "an event tells");
      await overwrite(store, handleOf(mallory), own);
      assert.equal((await mallory.get("/")).text, "mallory");
      assert.equal((await victim.get("/")).text, "admin");
    });

    test("a key that takes over verifies, and the next change writes the hash with it", async (t) => {
      const { clock, store, victim } = await stage(t);
      const before = await recordOf(store, victim);
      const rotated = await site(t, { clock, store, secret: [B, A] }, handler);
      const visitor = rotated.visitor();
      visitor.cookies.set("sid", victim.token ?? "");
      visitor.cookies.set("__Host-sid", victim.token ?? "");
      assert.equal((await visitor.get("/")).text, "admin");
      assert.equal((await recordOf(store, victim)).secretHash, before.secretHash);
      await visitor.get("/set");
      const renewed = await recordOf(store, victim);
      assert.notEqual(renewed.secretHash, before.secretHash);
      const later = await site(t, { clock, store, secret: B }, handler);
      const after = later.visitor();
      for (const [name, value] of visitor.cookies) after.cookies.set(name, value);
      assert.equal((await after.get("/")).text, "admin", "the old key is needed no more");
    });
  });
}

test("a row that becomes another user's during a request is gone for reload, save, update and regenerate", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const forge = async (handle: string): Promise<void> => {
    const record = store.load(handle);
    assert.ok(record);
    await overwrite(store, handle, { ...record, userId: "admin", version: record.version + 1 });
  };
  const one = await site(t, { clock, store, secret: A }, async (req, res) => {
    const { session } = req;
    if (req.url === "/login") await session.login("mallory");
    else {
      await forge(session.id);
      if (req.url === "/reload") await session.reload();
      if (req.url === "/save") await Object.assign(session, { n: 2 }).save();
      if (req.url === "/update") await session.update((current) => Object.assign(current, { n: 3 }));
      if (req.url === "/regenerate") await session.regenerate({ keep: true });
    }
    res.end(String(req.session.userId));
  });
  for (const path of ["/reload", "/save", "/update", "/regenerate"]) {
    const visitor = one.visitor();
    await visitor.get("/login");
    const { status, text } = await visitor.get(path);
    assert.equal(status, 409, path);
    assert.doesNotMatch(text, /admin/);
  }
});

test("an open WebSocket ends when its row becomes another user's", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const one = await site(t, { clock, store, secret: A }, handler);
  const visitor = one.visitor();
  await visitor.get("/login?as=mallory");
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  const { IncomingMessage } = await import("node:http");
  const { Socket } = await import("node:net");
  const req = new IncomingMessage(new Socket());
  req.headers.cookie = cookie;
  req.rawHeaders = ["Cookie", cookie];
  const upgraded = await one.sessions.authenticateUpgrade(req);
  assert.equal(upgraded?.userId, "mallory");
  let ended = 0;
  upgraded?.onEnd(() => {
    ended += 1;
  });
  const record = store.load(handleOf(visitor));
  assert.ok(record);
  await overwrite(store, handleOf(visitor), { ...record, userId: "admin" });
  for (let n = 0; n < 10 && ended === 0; n++) {
    clock.advance(10_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(ended, 1);
});
