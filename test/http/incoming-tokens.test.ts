import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hashSecret, TokenSource } from "../../src/crypto/token.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

const SECRET = "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-first";
const OTHER_SECRET = "q8RkVt3bYhZ6mWc1LxDf0NsJpG5uEaTo-other";

/** `/set` puts something in, anything else says what is there; `/unread` looks at nothing. */
const handler: Handler = (req, res) => {
  if (req.url === "/unread") return res.end();
  if (req.url === "/set") Object.assign(req.session, { n: 1 });
  return res.end(JSON.stringify({ id: req.session.id, data: req.session, userId: req.session.userId }));
};

type Cleanup = { after(action: () => unknown): void };

async function probed(t: Cleanup, { async = false, ...options }: SiteOptions & { async?: boolean } = {}) {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async });
  return { probe, ...(await site(t, { ...options, clock, store: probe.store }, handler)) };
}

async function loggedIn(visitor: Visitor): Promise<string> {
  await visitor.get("/set");
  return visitor.token ?? assert.fail("no token");
}

/** What a stranger may try: none of it is a token. */
function junk(token: string): string[] {
  const [handle = "", secret = ""] = token.split(".");
  return [
    "", "x", ".", "..", "...", "null", "undefined", "[object Object]", "__proto__", "%00", "../../etc/passwd", "' OR 1=1 --", `${handle}`, `${handle}.`, `.${secret}`,
    `${handle}.${"A".repeat(32)}=`, token.slice(0, -1), `${token}A`, `${token} x`, `"${token}"`, `s:${token}`, `s%3A${token}`, encodeURIComponent(`${token}=`),
    token.replace(".", "%2E"), token.replace(".", "\u00b7"), `${"A".repeat(21)}B.${secret}`, `${"A".repeat(4000)}`, "a".repeat(55), "-".repeat(78), `${handle}..${secret}`, Buffer.from(token).toString("base64url"),
    Buffer.from(token).toString("hex"), token.split("").reverse().join(""),
  ]; // biome-ignore format: a list of small values
}

for (const async of [false, true]) {
  for (const secret of [undefined, SECRET]) {
    const what = `${async ? "asynchronous" : "synchronous"} store, ${secret === undefined ? "no key" : "with a key"}`;

    test(`without a token, or with junk, the store is never asked (${what})`, async (t) => {
      const one = await probed(t, { async, ...(secret !== undefined && { secret }) });
      const token = await loggedIn(one.visitor());
      one.probe.reset();
      for (const path of ["/", "/unread"]) {
        assert.equal((await one.visitor().get(path)).status, 200);
        assert.equal((await one.visitor().get(path, { cookie: "other=1; theme=dark" })).status, 200);
        for (const value of junk(token)) {
          const answer = await one.visitor().get(path, { cookie: `sid=${value}` });
          assert.equal(answer.status, 200, value);
          assert.deepEqual(answer.setCookies, [], value);
          if (path === "/") assert.match(answer.text, /"data":\{\},"userId":null/, value);
        }
      }
      assert.deepEqual(one.probe.operations, []);
    });
  }
}

test("with a key, a well-formed token that the application never made never reaches the store", async (t) => {
  const one = await probed(t, { secret: SECRET });
  const token = await loggedIn(one.visitor());
  const source = new TokenSource();
  one.probe.reset();
  for (let i = 0; i < 50; i += 1) {
    const made = `${source.handle()}.${source.secret()}`;
    await one.visitor().get("/", { cookie: `sid=${made}` });
    await one.visitor().get("/", { cookie: `sid=${made}.${source.handle()}` });
  }
  const [handle, secret, mac = ""] = token.split(".");
  for (const forged of [
    `${handle}.${source.secret()}.${mac}`,
    `${source.handle()}.${secret}.${mac}`,
    `${handle}.${secret}`,
  ]) {
    await one.visitor().get("/", { cookie: `sid=${forged}` });
  }
  assert.deepEqual(one.probe.operations, []);
  assert.match((await one.visitor().get("/", { cookie: `sid=${token}` })).text, /"n":1/, "the real one does");
});

test("property: whatever the Cookie header holds, the answer is 200 and only exact tokens reach the store", async (t) => {
  const one = await probed(t);
  const token = await loggedIn(one.visitor());
  const isToken = /^[\w-]{21}[AQgw]\.[\w-]{32}$/;
  const latin1 = fc.string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
    maxLength: 60,
  });
  const near = fc
    .tuple(
      fc.nat(token.length),
      latin1.map((text) => text.slice(0, 2)),
    )
    .map(([at, text]) => token.slice(0, at) + text + token.slice(at + 1));
  const header = fc
    .array(
      fc.oneof(
        latin1,
        near,
        near.map((value) => `sid=${value}`),
        fc.constantFrom(";", "; ", "=", "sid=", "sid"),
      ),
      { maxLength: 6 },
    )
    .map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(header, async (cookie) => {
      one.probe.reset();
      const { status } = await one.visitor().get("/", { cookie });
      assert.equal(status, 200);
      const candidates = cookie
        .split(";")
        .map((part) => part.trim().replace(/^sid=/, ""))
        .filter((value) => isToken.test(value));
      // Each is looked for, and then its tombstone.
      assert.ok(
        one.probe.operations.length <= 2 * candidates.length,
        `${one.probe.operations.length} calls for ${cookie}`,
      );
    }),
    { numRuns: 300 },
  );
});

describe("duplicates of the cookie", () => {
  test("the first that opens a session wins, wherever the junk stands", async (t) => {
    for (const async of [false, true]) {
      const one = await probed(t, { async });
      const token = await loggedIn(one.visitor());
      const [id] = token.split(".");
      const unknown = `${"x".repeat(21)}A.${"y".repeat(32)}`;
      const wrongSecret = `${id}.${"z".repeat(32)}`;
      const headers = [
        `sid=junk; sid=${token}`, `sid=${token}; sid=junk`, `sid=${unknown}; sid=${token}`, `sid=${token}; sid=${unknown}`, `sid=${wrongSecret}; sid=${token}`,
        `sid=; sid=${token}`, `sid=${token}; sid=${token}`, `a=1; sid=junk; b=2; sid=${unknown}; sid=${token}; c=3`, `sid=1; sid=2; sid=3; sid=4; sid=5; sid=6; sid=7; sid=${token}`,
      ]; // biome-ignore format: a list of small values
      for (const cookie of headers) assert.match((await one.visitor().get("/", { cookie })).text, /"n":1/, cookie);
    }
  });

  test("of two that open a session the first wins, and an event tells how many differed, without the tokens", async (t) => {
    const one = await probed(t);
    const told: unknown[] = [];
    one.sessions.on("duplicate-cookie", (detail) => told.push(detail));
    const [first, second] = [await loggedIn(one.visitor()), await loggedIn(one.visitor())];
    const answer = await one.visitor().get("/", { cookie: `sid=${first}; sid=${second}` });
    assert.equal(JSON.parse(answer.text).id, first.slice(0, 22));
    assert.deepEqual(told, [{ count: 2 }]);
    await one.visitor().get("/", { cookie: `sid=${first}; sid=${first}` });
    await one.visitor().get("/", { cookie: `sid=junk; sid=${first}` });
    assert.equal(told.length, 1, "the same twice, or junk beside it, is no conflict");
  });

  test("no more than eight are tried", async (t) => {
    const one = await probed(t);
    const token = await loggedIn(one.visitor());
    const unknown = Array.from({ length: 8 }, (_, i) => `sid=${String(i).repeat(21)}A.${"y".repeat(32)}`).join("; ");
    one.probe.reset();
    assert.match((await one.visitor().get("/", { cookie: `${unknown}; sid=${token}` })).text, /"data":\{\}/);
    assert.equal(one.probe.operations.length, 2 * 8, "each, and its tombstone");
    assert.match((await one.visitor().get("/", { cookie: `sid=${token}; ${unknown}` })).text, /"n":1/);
  });

  test("the name is matched exactly: padded, nameless and differently written ones are others' cookies", async (t) => {
    const one = await probed(t);
    const token = await loggedIn(one.visitor());
    one.probe.reset();
    for (const cookie of [
      `sid =${token}`,
      `=sid=${token}`,
      `SID=${token}`,
      `xsid=${token}`,
      `sid2=${token}`,
      `"sid"=${token}`,
      `__Host-sid=${token}`,
      `si%64=${token}`,
      `a=sid=${token}`,
    ]) {
      assert.match((await one.visitor().get("/", { cookie })).text, /"data":\{\}/, cookie);
    }
    assert.deepEqual(one.probe.operations, []);
  });
});

describe("a session that the application never began", () => {
  test("is never adopted: the visitor gets another handle and another secret", async (t) => {
    const one = await probed(t);
    const made = `${"x".repeat(21)}A.${"y".repeat(32)}`;
    const visitor = one.visitor();
    visitor.cookies.set("sid", made);
    const answer = await visitor.get("/set");
    const token = visitor.token ?? assert.fail();
    assert.notEqual(token, made);
    assert.notEqual(token.slice(0, 22), made.slice(0, 22));
    assert.notEqual(token.slice(23), made.slice(23));
    assert.equal(JSON.parse(answer.text).id, token.slice(0, 22));
    assert.equal(await one.sessions.get(made.slice(0, 22)), undefined);
    assert.match((await one.visitor().get("/", { cookie: `sid=${made}` })).text, /"data":\{\}/);
  });

  test("with the right handle and a wrong secret opens nothing, and harms nothing", async (t) => {
    const one = await probed(t);
    const visitor = one.visitor();
    const token = await loggedIn(visitor);
    const forged = `${token.slice(0, 22)}.${"y".repeat(32)}`;
    const stranger = one.visitor();
    stranger.cookies.set("sid", forged);
    const answer = await stranger.get("/set");
    assert.notEqual(JSON.parse(answer.text).id, token.slice(0, 22));
    assert.match((await visitor.get()).text, /"n":1/);
  });

  test("the handle alone opens nothing", async (t) => {
    const one = await probed(t);
    const token = await loggedIn(one.visitor());
    const handle = token.slice(0, 22);
    for (const cookie of [
      `sid=${handle}`,
      `sid=${handle}.`,
      `sid=${handle}.${handle}`,
      `sid=${handle}.${hashSecret(token.slice(23)).slice(0, 32)}`,
    ]) {
      assert.match((await one.visitor().get("/", { cookie })).text, /"data":\{\}/);
    }
  });
});

/** What a thief finds of a secret in some bytes. */
function findings(bytes: Buffer, token: string): string[] {
  const secret = token.split(".")[1] ?? assert.fail();
  const raw = Buffer.from(secret, "base64url");
  const forms: [string, Buffer][] = [
    ["token", Buffer.from(token)],
    ["secret", Buffer.from(secret)],
    ["raw bytes", raw],
    ["base64", Buffer.from(raw.toString("base64"))],
    ["hex", Buffer.from(raw.toString("hex"))],
    ["UTF-16", Buffer.from(secret, "utf16le")],
    ["half of it", Buffer.from(secret.slice(0, 16))],
  ];
  return forms.filter(([, form]) => bytes.includes(form)).map(([name]) => name);
}

describe("a stolen store", () => {
  test("of memory or SQLite holds nothing that opens a session", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "sojourn-dump-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const clock = new ManualClock();
    const memory = new MemoryStore({ clock });
    const sqlite = new SqliteStore(join(folder, "sessions.db"), { clock });
    for (const store of [memory, sqlite]) {
      const { visitor } = await site(t, { clock, store }, async (req, res) => {
        if (req.url === "/login") await req.session.login("alice");
        return handler(req, res);
      });
      const tokens: string[] = [];
      for (let i = 0; i < 60; i += 1) {
        const one = visitor();
        tokens.push(await loggedIn(one));
        if (i % 3 === 0) {
          await one.get("/login");
          tokens.push(one.token ?? assert.fail());
        }
      }
      const { sessions } = await store.list({ limit: 1_000 });
      const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
      const dump = store === memory ? Buffer.from(JSON.stringify(sessions)) : Buffer.concat(files);
      assert.ok(sessions.length >= 60);
      assert.ok(dump.includes(Buffer.from(sessions[0]?.handle ?? "?")), "the dump is of the right thing");
      for (const token of tokens) assert.deepEqual(findings(dump, token), [], "found in the dump");
      // Every column of a row, and whatever can be put together from them, tried as a cookie.
      const row = sessions[0] ?? assert.fail();
      const { handle, secretHash, payload } = row;
      const hex = Buffer.from(secretHash, "base64url").toString("hex");
      for (const value of [
        handle,
        secretHash,
        `${handle}.${secretHash}`,
        `${handle}.${secretHash.slice(0, 32)}`,
        `${handle}.${hex.slice(0, 32)}`,
        encodeURIComponent(payload),
        JSON.stringify(row),
      ]) {
        assert.match((await visitor().get("/", { cookie: `sid=${value.replaceAll(";", "")}` })).text, /"data":\{\}/);
      }
    }
  });

  test("with a key, write access to it mints no session either", async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const now = clock.now();
    const source = new TokenSource();
    const mint = () => {
      const [handle, secret] = [source.handle(), source.secret()];
      store.create(handle, {
        payload: '[0,"n",1]\n1',
        version: 1,
        secretHash: hashSecret(secret),
        userId: "admin",
        createdAt: now,
        touchedAt: now,
        expiresAt: now + 1e6,
      });
      return `${handle}.${secret}`;
    };
    const keyed = await site(t, { clock, store, secret: SECRET }, handler);
    const minted = mint();
    const mac = createHash("sha256").update(minted).digest("base64url").slice(0, 22);
    for (const value of [minted, `${minted}.${mac}`]) {
      assert.match((await keyed.visitor().get("/", { cookie: `sid=${value}` })).text, /"data":\{\},"userId":null/);
    }
    const keyless = await site(t, { clock, store }, handler);
    assert.match(
      (await keyless.visitor().get("/", { cookie: `sid=${mint()}` })).text,
      /"userId":"admin"/,
      "without a key it would",
    );
  });

  test("the session of one cookie's name does not open under another", async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const shop = await site(t, { clock, store, secret: SECRET, name: "shop" }, handler);
    const admin = await site(t, { clock, store, secret: SECRET, name: "admin" }, handler);
    const visitor = shop.visitor();
    await visitor.get("/set");
    const token = visitor.cookies.get("shop");
    assert.match((await admin.visitor().get("/", { cookie: `admin=${token}` })).text, /"data":\{\}/);
    assert.match((await shop.visitor().get("/", { cookie: `shop=${token}` })).text, /"n":1/);
  });
});

describe("rotating the key", () => {
  test("the old key's tokens work, and are replaced at their next use", async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const before = await site(t, { clock, store, secret: OTHER_SECRET }, handler);
    const rotated = await site(t, { clock, store, secret: [SECRET, OTHER_SECRET] }, handler);
    const afterwards = await site(t, { clock, store, secret: SECRET }, handler);
    const old = await loggedIn(before.visitor());
    const visitor = rotated.visitor();
    visitor.cookies.set("sid", old);
    assert.equal((await visitor.get("/unread")).setCookies.length, 0, "an unread session is left alone");
    const answer = await visitor.get();
    assert.match(answer.text, /"n":1/);
    assert.equal(answer.setCookies.length, 1);
    const renewed = visitor.token ?? assert.fail();
    assert.equal(renewed.slice(0, 55), old.slice(0, 55), "the same session");
    assert.notEqual(renewed, old);
    assert.equal((await visitor.get()).setCookies.length, 0, "sent once");
    assert.match((await afterwards.visitor().get("/", { cookie: `sid=${renewed}` })).text, /"n":1/);
    assert.match((await afterwards.visitor().get("/", { cookie: `sid=${old}` })).text, /"data":\{\}/);
  });

  test("a server that has not got the new key yet leaves the cookie alone", async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const late = await site(t, { clock, store, secret: OTHER_SECRET }, handler);
    const ahead = await site(t, { clock, store, secret: [SECRET, OTHER_SECRET] }, handler);
    const token = await loggedIn(ahead.visitor());
    const visitor = late.visitor();
    visitor.cookies.set("sid", token);
    const answer = await visitor.get();
    assert.match(answer.text, /"data":\{\}/);
    assert.deepEqual(answer.setCookies, []);
    assert.match((await ahead.visitor().get("/", { cookie: `sid=${visitor.token}` })).text, /"n":1/);
    // It has the key now.
    const restarted = await site(t, { clock, store, secret: [SECRET, OTHER_SECRET] }, handler);
    assert.match((await restarted.visitor().get("/", { cookie: `sid=${visitor.token}` })).text, /"n":1/);
  });

  test("renewing a remembered session's token keeps its lifetime", async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const login: Handler = async (req, res) => {
      if (req.url === "/login") await req.session.login("alice", { remember: 100_000_000 });
      return handler(req, res);
    };
    const before = await site(t, { clock, store, secret: OTHER_SECRET }, login);
    const rotated = await site(t, { clock, store, secret: [SECRET, OTHER_SECRET] }, login);
    const one = before.visitor();
    await one.get("/login");
    const two = rotated.visitor();
    two.cookies.set("sid", one.token ?? assert.fail());
    clock.advance(10_000_000);
    assert.match((await two.get()).setCookies[0] ?? "", /; Max-Age=90000;/);
  });
});
