import assert from "node:assert/strict";
import crypto from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore, type SealedStoreOptions } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

const A = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const B = Buffer.from("ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu");

const app: Handler = async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
  if (pathname === "/login") await req.session.login("alice@example.com");
  if (pathname === "/logout") await req.session.logout();
  if (pathname === "/fill") Reflect.set(req.session, "fill", "x".repeat(Number(searchParams.get("size"))));
  res.end(`${req.session.userId} ${String(Reflect.get(req.session, "fill") ?? "").length}`);
};

const shop = (t: TestContext, options: SealedStoreOptions = {}, more: SiteOptions = {}) =>
  site(t, { store: new SealedStore({ secret: A, ...options }), ...more }, app);

test("whatever is wrong with a cookie, status, headers and text are a stranger's", async (t) => {
  const clock = new ManualClock();
  const revocations = new MemoryStore({ clock });
  const overflow = new MemoryStore({ clock });
  const one = await shop(t, { revocations, overflow }, { clock });
  const signedIn = async (other = one) => {
    const visitor = other.visitor();
    await visitor.get("/login");
    return visitor;
  };
  const good = (await signedIn()).token ?? "";
  const bytes = Buffer.from(good, "base64url");
  const changed = (at: number, bit = 1) => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ bit;
    return copy.toString("base64url");
  };
  const ended = await signedIn();
  const endedToken = ended.token ?? "";
  await ended.get("/logout");
  const elsewhere = one.visitor();
  await elsewhere.get("/fill?size=5000");
  const missing = elsewhere.token ?? "";
  await elsewhere.clone().get("/logout");
  const future = await signedIn(await shop(t, {}, { clock: new ManualClock(clock.now() + 100_000) }));
  const brief = await shop(t, {}, { clock, idleTimeout: "10s" });
  const expired = (await signedIn(brief)).token ?? "";
  clock.advance(10_000);
  const bad = {
    "another version": changed(0, 2),
    "an unknown key": changed(1),
    "another nonce": changed(9),
    "another text": changed(40),
    "another tag": changed(bytes.length - 1),
    "a cut tag": bytes.subarray(0, -4).toString("base64url"),
    "another application's key": (await signedIn(await shop(t, { secret: B }))).token ?? "",
    "another name": (await signedIn(await shop(t, {}, { name: "other" }))).cookies.get("other") ?? "",
    "a token of a store": (await signedIn(await shop(t, {}, { store: new MemoryStore(), secret: A }))).token ?? "",
    "a later time": future.token ?? "",
    "a time that is over": expired,
    "an end in the list": endedToken,
    "data that is gone": missing,
    "no seal at all": "junk",
    "the text of another encoding": Buffer.from(good, "base64url").toString("base64"),
  };
  const answer = async (visitor: Visitor, path: string) => {
    const { status, headers, text, setCookies } = await visitor.get(path);
    const { date: _, ...others } = headers;
    return { status, headers: { ...others, "set-cookie": setCookies.length }, text };
  };
  const texts = new Map(Object.entries(bad));
  assert.ok([...texts.values()].every((text) => text.length > 3));
  for (const path of ["/", "/fill?size=10"]) {
    const expected = await answer(one.visitor(), path);
    for (const [reason, text] of texts) {
      const visitor = one.visitor();
      visitor.cookies.set("sid", text);
      assert.deepEqual(await answer(visitor, path), expected, reason);
    }
  }
  const control = one.visitor();
  control.cookies.set("sid", good);
  assert.equal((await control.get("/")).text, "alice@example.com 0");
  assert.deepEqual(one.errors, []);
});

test("every time in a seal is kept to the millisecond, and clocks may differ by a minute", async (t) => {
  const sealedAt = new ManualClock();
  const began = sealedAt.now();
  const limits = { idleTimeout: "10m", absoluteTimeout: "25m" } as const;
  const maker = await shop(t, {}, { clock: sealedAt, ...limits });
  const visitor = maker.visitor();
  await visitor.get("/login");
  const first = visitor.clone();
  sealedAt.advance(9 * 60_000);
  await visitor.get("/");
  const second = visitor.clone();
  sealedAt.advance(9 * 60_000);
  await visitor.get("/");
  const minute = 60_000;
  const table: [string, Visitor, number, boolean][] = [
    ["from too far ahead", first, -minute - 1, false],
    ["a minute ahead", first, -minute, true],
    ["just ahead", first, -1, true],
    ["at once", first, 0, true],
    ["before the idle deadline", first, 10 * minute - 1, true],
    ["at the idle deadline", first, 10 * minute, false],
    ["after it", first, 10 * minute + minute, false],
    ["used too far ahead", second, 9 * minute - minute - 1, false],
    ["used a minute ahead", second, 9 * minute - minute, true],
    ["before the next idle deadline", second, 19 * minute - 1, true],
    ["at the next idle deadline", second, 19 * minute, false],
    ["before the absolute deadline", visitor, 25 * minute - 1, true],
    ["at the absolute deadline", visitor, 25 * minute, false],
    ["after it", visitor, 26 * minute, false],
  ];
  for (const [when, of, ms, opens] of table) {
    const reader = await shop(t, {}, { clock: new ManualClock(began + ms), ...limits });
    const guest = reader.visitor();
    for (const [name, value] of of.cookies) guest.cookies.set(name, value);
    assert.equal((await guest.get("/")).text, opens ? "alice@example.com 0" : "null 0", when);
  }
});

test("a cookie's length tells of the data to 32 bytes only", async (t) => {
  const one = await shop(t);
  const lengths: number[] = [];
  for (let size = 0; size < 160; size += 1) {
    const visitor = one.visitor();
    await visitor.get(`/fill?size=${size}`);
    lengths.push(visitor.token?.length ?? 0);
  }
  const steps = lengths.flatMap((length, size) => (size > 0 && length !== lengths[size - 1] ? [size] : []));
  for (const [position, size] of steps.entries()) {
    if (position > 0) assert.ok(size - (steps[position - 1] ?? 0) >= 30, `a step at ${size}`);
  }
  assert.ok(new Set(lengths).size <= 7, [...new Set(lengths)].join());
});

test("any size up to 12 KiB is stored in cookies that browsers keep, or refused before the response", async (t) => {
  for (const [options, most] of [
    [{}, 2_950],
    [{ chunks: 2 }, 6_000],
    [{ chunks: 3 }, 9_000],
  ] as const) {
    const one = await shop(t, options);
    let largest = 0;
    for (let size = 0; size <= 12_288; size += 173) {
      const visitor = one.visitor();
      await visitor.get("/fill?size=1");
      const { status, setCookies } = await visitor.get(`/fill?size=${size}`);
      for (const line of setCookies) assert.ok((line.split(";")[0] ?? "").length - 1 <= 4_096, `${size}`);
      assert.equal((await visitor.get("/")).text, `null ${status === 200 ? size : 1}`);
      if (status === 200) largest = Math.max(largest, size);
      else assert.deepEqual([status, setCookies], [500, []]);
      assert.ok(status === 200 || size > most - 200, `${size} would fit`);
    }
    assert.ok(largest > most - 400 && largest < most + 300, `${largest} with ${JSON.stringify(options)}`);
  }
});

test("where the system's generator fails, nothing is sealed, stored or sent (CVE-2025-66565)", async (t) => {
  const { randomFillSync } = crypto;
  t.after(() => {
    crypto.randomFillSync = randomFillSync;
    syncBuiltinESMExports();
  });
  crypto.randomFillSync = () => {
    throw new Error("no entropy");
  };
  syncBuiltinESMExports();
  const store = new MemoryStore();
  for (const options of [{ store }, { store, secret: A }, { store: new SealedStore({ secret: A }) }]) {
    const one = await site(t, options, app);
    for (const path of ["/fill?size=10", "/login"]) {
      const { status, setCookies } = await one.visitor().get(path);
      assert.deepEqual([status, setCookies], [500, []]);
    }
  }
  assert.equal(store.count(), 0);
});

/** Comparisons by `===` and its kind of what an attacker must not find out piece by piece. */
function timedComparisons(source: string): string[] {
  const kept = /\b(?:\w*[sS]ecret(?:Hash)?|\w*[mM]ac|\w*[sS]ignature|\w*[dD]igest|tag)$/;
  const harmless = /^(?:undefined|null|true|false|\d+|"\w*")$/;
  return [...source.matchAll(/([\w.?"]+) [!=]==? ([\w.?"]+)/g)].flatMap(([whole, left = "", right = ""]) =>
    !harmless.test(left) && !harmless.test(right) && (kept.test(left) || kept.test(right)) ? [whole] : [],
  );
}

test("no code compares a secret, a MAC or a hash by ===, whose time tells where two differ", () => {
  assert.deepEqual(timedComparisons("if (mac === expected || record.secretHash !== hash) {}"), [
    "mac === expected",
    "record.secretHash !== hash",
  ]);
  const root = join(import.meta.dirname, "../..");
  const files = globSync("src/{session,sealed,crypto,wrap,http,compat,identity}/**/*.ts", { cwd: root });
  assert.ok(files.length > 50);
  for (const file of files) assert.deepEqual(timedComparisons(readFileSync(join(root, file), "utf8")), [], file);
});
