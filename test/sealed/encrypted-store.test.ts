import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { isIndexed, type SessionRecord } from "../../src/contract/store.ts";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock, storeConformance } from "../../src/testing/index.ts";
import { encrypted } from "../../src/wrap/encrypted.ts";
import { site } from "../support/site.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const A = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const B = Buffer.from("ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu");
const ringOf = (...secrets: Buffer[]) => new KeyRing(secrets, { production: true, warn: assert.fail });

storeConformance({
  name: "a MemoryStore, encrypted",
  async open(clock) {
    const store = encrypted(new MemoryStore({ clock }), ringOf(A));
    return [store, store];
  },
});

let removeFolder = () => {};
storeConformance({
  name: "a SqliteStore, encrypted",
  async open(clock) {
    const { folder, remove } = temporaryFolder();
    removeFolder = remove;
    const open = () => encrypted(new SqliteStore(join(folder, "sessions.db"), { clock }), ringOf(A));
    return [open(), open()];
  },
  remove: () => removeFolder(),
});

function bench() {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const store = encrypted(inner, ringOf(A));
  const record: SessionRecord = {
    payload: '[0,"cart",8]\n["book"]',
    version: 1,
    secretHash: "h".repeat(43),
    userId: "alice",
    createdAt: clock.now(),
    touchedAt: clock.now(),
    expiresAt: clock.now() + 60_000,
  };
  return { clock, inner, store, record };
}

test("a payload reads as damaged in another row, another version, or with another user, secret or age", async () => {
  const { inner, store, record } = bench();
  await store.create("one", record);
  const stored = inner.load("one");
  assert.ok(stored !== undefined);
  inner.create("two", stored);
  assert.equal((await store.load("one"))?.payload, record.payload);
  assert.equal((await store.load("two"))?.payload, "", "moved to another row");
  const changes: Partial<SessionRecord>[] = [
    { version: 2 },
    { userId: "admin" },
    { userId: null },
    { link: "sid" },
    { userId: null, link: "alice" },
    { secretHash: "m".repeat(43) },
    { createdAt: record.createdAt + 1 },
  ];
  for (const [number, change] of changes.entries()) {
    const store = encrypted(inner, ringOf(A));
    await store.create(`row ${number}`, record);
    const row = inner.load(`row ${number}`);
    assert.ok(row !== undefined);
    inner.delete(`row ${number}`);
    inner.create(`row ${number}`, { ...row, ...change });
    assert.equal((await store.load(`row ${number}`))?.payload, "", JSON.stringify(change));
  }
  const linked = { ...record, link: "sid" };
  await store.create("linked", linked);
  assert.deepEqual(await store.load("linked"), linked);
  const { link: _, ...unlinked } = inner.load("linked") ?? linked;
  inner.delete("linked");
  inner.create("linked", unlinked);
  assert.equal((await store.load("linked"))?.payload, "", "without its link");
});

test("what replaces a session is sealed for its own row", async () => {
  const { inner, store, record } = bench();
  await store.create("old", record);
  const next = { ...record, payload: '[0,"n",1]\n1', userId: "bob", secretHash: "n".repeat(43) };
  assert.equal(await store.replace?.("old", 1, "new", next), "ok");
  assert.deepEqual(await store.load("new"), next);
  const stored = inner.load("new");
  assert.ok(stored !== undefined && stored.payload !== next.payload);
  inner.create("another", stored);
  assert.equal((await store.load("another"))?.payload, "", "moved to another row");
});

test("a touch leaves the seal whole; any flipped byte and any plain text break it", async () => {
  const { clock, inner, store, record } = bench();
  await store.create("one", record);
  clock.advance(1_000);
  await store.touch("one", clock.now(), clock.now() + 60_000);
  assert.equal((await store.load("one"))?.payload, record.payload);
  const stored = inner.load("one");
  assert.ok(stored !== undefined);
  const forged = [record.payload, "", "[0]\n"];
  for (let at = 0; at < stored.payload.length; at += 1) {
    const other = stored.payload[at] === "A" ? "B" : "A";
    forged.push(stored.payload.slice(0, at) + other + stored.payload.slice(at + 1));
  }
  for (const payload of forged) {
    inner.delete("one");
    inner.create("one", { ...stored, payload });
    assert.equal((await store.load("one"))?.payload, "");
  }
});

test("any JSON survives", async () => {
  const { inner, record } = bench();
  const store = encrypted(inner, ringOf(A));
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 6 }), async (payload) => {
      inner.delete("one");
      await store.create("one", { ...record, payload });
      assert.equal((await store.load("one"))?.payload, payload);
    }),
    { numRuns: 200 },
  );
});

test("a store that can't list does not look as if it could", () => {
  const { inner } = bench();
  const plain = {
    load: inner.load.bind(inner),
    create: inner.create.bind(inner),
    update: inner.update.bind(inner),
    touch: inner.touch.bind(inner),
    delete: inner.delete.bind(inner),
    close: inner.close.bind(inner),
  };
  assert.equal(isIndexed(encrypted(plain, ringOf(A))), false);
  assert.equal(isIndexed(encrypted(inner, ringOf(A))), true);
});

function shop(
  t: TestContext,
  options: { secret: Buffer[]; encrypt?: boolean; store: SqliteStore; clock: ManualClock },
) {
  return site(t, options, async (req, res) => {
    if (req.url === "/login") await req.session.login("alice@example.com", { device: "Laptop of Alice" });
    if (req.url === "/put") Reflect.set(req.session, "diary", "nobody shall read this");
    res.end(JSON.stringify({ ...req.session }));
  });
}

test("encrypt: true over SQLite: the file shows no data, keys rotate, plain text is ignored", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const path = join(folder, "sessions.db");
  const clock = new ManualClock();
  const open = (secret: Buffer[], encrypt: boolean) =>
    shop(t, { secret, encrypt, clock, store: new SqliteStore(path, { clock }) });
  const plain = await open([A], false);
  const early = plain.visitor();
  await early.get("/put");
  const first = await open([A], true);
  const visitor = first.visitor();
  await visitor.get("/put");
  await visitor.get("/login");
  assert.equal((await visitor.get()).text, '{"diary":"nobody shall read this"}');
  const damaged: unknown[] = [];
  first.sessions.on("damaged-record", (event) => damaged.push(event));
  const tokens = new Map(early.cookies);
  const returning = first.visitor();
  for (const [name, value] of tokens) returning.cookies.set(name, value);
  assert.equal((await returning.get()).text, "{}", "stored before encryption was switched on");
  assert.equal(damaged.length, 1);
  await plain.sessions.revoke(early.token?.slice(0, 22) ?? "");

  const [device] = await first.sessions.list("alice@example.com");
  assert.equal(device?.label, "Laptop of Alice");
  assert.deepEqual((await first.sessions.get(device?.handle ?? ""))?.data, { diary: "nobody shall read this" });

  const rows = new DatabaseSync(path, { readOnly: true });
  t.after(() => rows.close());
  const tables = rows.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  const dump = JSON.stringify(tables.map(({ name }) => rows.prepare(`SELECT * FROM "${name}"`).all()));
  assert.match(dump, /alice@example\.com/, "the user is a column, as docs/guides/encryption-at-rest.md says");
  assert.doesNotMatch(dump, /nobody|diary|Laptop/);
  assert.ok(readFileSync(path).length > 0);

  const rotated = await open([B, A], true);
  const same = rotated.visitor();
  for (const [name, value] of visitor.cookies) same.cookies.set(name, value);
  assert.equal((await same.get()).text, '{"diary":"nobody shall read this"}');
  const withoutOld = await open([B], true);
  const late = withoutOld.visitor();
  for (const [name, value] of same.cookies) late.cookies.set(name, value);
  assert.equal((await late.get()).text, "{}", "the record was sealed by a key that is gone");
});

test("encrypt needs a secret, and is true or false", () => {
  assert.throws(() => session({ encrypt: true }), /TypeError: encrypt needs a key/);
  assert.throws(
    () => Reflect.apply(session, undefined, [{ encrypt: "yes", secret: A }]),
    /encrypt must be true or false/,
  );
});
