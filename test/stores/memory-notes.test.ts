import assert from "node:assert/strict";
import { test } from "node:test";
import { NOTE, type SessionRecord } from "../../src/contract/store.ts";
import { cookie, query } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Handler, site } from "../support/site.ts";

const secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const MINUTE = 60_000;

const handler: Handler = async (req, res) => {
  if (req.url === "/login") await req.session.login("alice");
  if (req.url === "/logout") await req.session.logout();
  if (req.url === "/count") Object.assign(req.session, { n: 1 });
  res.end(String(req.session.userId));
};

function recordAt(clock: ManualClock, different: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock.now();
  return {
    payload: "",
    version: 1,
    secretHash: "hash",
    userId: null,
    createdAt: now,
    touchedAt: now,
    expiresAt: now + MINUTE,
    ...different,
  };
}

test("strangers that fill a bounded store make no used link, revoked cookie or replaced session work again", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, maxEntries: 300 });
  const links = query({ iUnderstandThatAddressesLeak: true });
  const sealed = new SealedStore({ secret, revocations: store });
  const one = await site(t, { clock, store: sealed, secret, transport: [cookie(), links] }, handler);
  const shop = await site(t, { clock, store }, handler);
  const visitor = one.visitor();
  await visitor.get("/login");
  const copy = visitor.clone();
  await visitor.get("/logout");
  const link = one.sessions.urlToken("bob");
  await one.visitor().get(`/?session=${link}`);
  const browser = shop.visitor();
  await browser.get("/count");
  const late = browser.clone();
  await browser.get("/login");
  for (let n = 0; n < 305; n++) await shop.visitor().get("/count");
  assert.equal((await copy.get("/")).text, "null", "the ended cookie");
  const again = one.visitor();
  await again.get(`/?session=${link}`);
  assert.equal((await again.get("/")).text, "null", "the used link");
  assert.deepEqual((await late.get("/count")).setCookies, [], "the replaced session");
  assert.equal((await browser.get("/")).text, "alice", "and nobody was signed out");
});

test("a store that is full of notes says so, gives up no session for nothing, and works on when they expire", () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, maxEntries: 10 });
  const full = { code: "STORE_FULL", message: /maxEntries/ };
  for (let n = 0; n < 2; n++) store.create(`session${n}`, recordAt(clock, { expiresAt: clock.now() + 5 * MINUTE }));
  for (let n = 0; n < 10; n++) assert.equal(store.create(`${NOTE}${n}`, recordAt(clock)), true);
  assert.equal(store.count(), 0, "sessions make room for notes");
  assert.throws(() => store.create(`${NOTE}10`, recordAt(clock)), full);
  assert.throws(() => store.create("another", recordAt(clock)), full);
  for (let n = 0; n < 10; n++) assert.ok(store.load(`${NOTE}${n}`));
  assert.equal(store.delete(`${NOTE}0`), true);
  assert.equal(store.create("another", recordAt(clock)), true);
  const tombstone = { handle: `${NOTE}tombstone`, ...recordAt(clock) };
  assert.throws(() => store.replace("another", 1, "heir", recordAt(clock), tombstone), full);
  assert.ok(store.load("another"), "a replacement that fails leaves the session as it was");
  clock.advance(MINUTE);
  assert.equal(store.create(`${NOTE}10`, recordAt(clock)), true);
});

test("bytes count for notes, too: a session that would push a note out is refused", () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, maxBytes: 1_000 });
  store.create(`${NOTE}1`, recordAt(clock, { payload: "x".repeat(600) }));
  assert.equal(store.create("small", recordAt(clock, { payload: "x".repeat(200) })), true);
  assert.throws(() => store.create("large", recordAt(clock, { payload: "x".repeat(500) })), { code: "STORE_FULL" });
  const grown = recordAt(clock, { payload: "x".repeat(500), version: 2 });
  assert.throws(() => store.update("small", grown, 1), { code: "STORE_FULL" });
  assert.equal(store.load("small")?.version, 1);
  assert.equal(store.load(`${NOTE}1`)?.payload.length, 600);
});

test("a tombstone that takes the place of an earlier one takes no more room than one", () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, maxEntries: 3 });
  const tombstone = { handle: `${NOTE}tombstone`, ...recordAt(clock) };
  for (let round = 0; round < 5; round++) {
    assert.equal(store.create("old", recordAt(clock)), true);
    assert.equal(store.replace("old", 1, `new${round}`, recordAt(clock), { ...tombstone, payload: `${round}` }), "ok");
    assert.equal(store.load(tombstone.handle)?.payload, `${round}`);
    assert.equal(store.delete(`new${round}`), true);
  }
  assert.equal(store.delete(tombstone.handle), true);
  for (let n = 0; n < 3; n++) assert.equal(store.create(`${NOTE}${n}`, recordAt(clock)), true);
});
