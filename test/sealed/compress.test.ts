import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { deflateRawSync } from "node:zlib";
import { decodeSealed, encodeSealed } from "../../src/core/sealed-record.ts";
import { SealedStore, type SealedStoreOptions } from "../../src/stores/sealed.ts";
import type { SessionRecord } from "../../src/stores/store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { KeyRing } from "../../src/tokens/key-ring.ts";
import { Sealer } from "../../src/tokens/seal.ts";
import { type Handler, site, type Visitor } from "../http/site.ts";

const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const PROSE = ["README.md", "docs/SEALED.md", "docs/ARCHITECTURE.md"]
  .map((file) => readFileSync(join(import.meta.dirname, "../..", file), "utf8"))
  .join("\n");
const HANDLE = "A".repeat(22);

const app: Handler = (req, res) => {
  const url = new URL(req.url ?? "/", "http://x");
  const size = Number(url.searchParams.get("size"));
  if (url.pathname === "/prose") Reflect.set(req.session, "text", PROSE.slice(0, size));
  if (url.pathname === "/noise") Reflect.set(req.session, "text", randomBytes(size).toString("base64").slice(0, size));
  if (url.pathname === "/same") Reflect.set(req.session, "text", "x".repeat(size));
  res.end(String(Reflect.get(req.session, "text")));
};

const shop = (t: TestContext, options: SealedStoreOptions, clock = new ManualClock()) =>
  site(t, { clock, store: new SealedStore({ secret, ...options }) }, app);
const record = (payload: string, userId: string | null = "alice"): SessionRecord => ({
  payload,
  userId,
  version: 3,
  secretHash: "",
  createdAt: 1,
  touchedAt: 2,
  expiresAt: 3,
});
const text = async (visitor: Visitor) => (await visitor.get("/")).text;
/** A body that says its payload is deflated. */
const claims = (payload: Buffer) => {
  const body = Buffer.concat([encodeSealed(HANDLE, record("", null)), payload]);
  body[0] = 1;
  return body;
};

test("12 KB of ordinary text take at most three cookies, and none without compress", async (t) => {
  const one = await shop(t, { chunks: 3, compress: true });
  const visitor = one.visitor();
  assert.equal((await visitor.get("/prose?size=12000")).status, 200);
  assert.equal(await text(visitor), PROSE.slice(0, 12_000));
  const total = [...visitor.cookies.values()].join("").length;
  assert.ok(visitor.cookies.size <= 3 && total < 12_000, `${visitor.cookies.size} cookies, ${total} characters`);
  const plain = await shop(t, { chunks: 3 });
  assert.equal((await plain.visitor().get("/prose?size=12000")).status, 500);
});

test("what was sealed with it opens without it, and the other way round", async (t) => {
  const clock = new ManualClock();
  const on = await shop(t, { compress: true }, clock);
  const off = await shop(t, {}, clock);
  for (const [from, to] of [
    [on, off],
    [off, on],
  ] as const) {
    const visitor = from.visitor();
    await visitor.get("/prose?size=2000");
    const other = to.visitor();
    other.cookies.set("sid", visitor.token ?? "");
    assert.equal(await text(other), PROSE.slice(0, 2_000));
  }
});

test("only long payloads are deflated", () => {
  const flags = (payload: string, compress: boolean) => {
    const body = encodeSealed(HANDLE, record(payload), compress);
    assert.deepEqual(decodeSealed(body), { handle: HANDLE, record: record(payload) });
    return body[0];
  };
  assert.equal(flags("é".repeat(600), true), 1);
  assert.equal(flags("x".repeat(1_024), true), 1);
  assert.equal(flags("x".repeat(1_023), true), 0);
  assert.equal(flags("x".repeat(1_024), false), 0);
});

test("a bomb made with our own key is no session, and neither is anything else that does not inflate", async (t) => {
  assert.equal(decodeSealed(claims(deflateRawSync(Buffer.alloc(65_536, "x"))))?.record.payload.length, 65_536);
  const bomb = claims(deflateRawSync(Buffer.alloc(100_000_000)));
  for (const body of [
    claims(deflateRawSync(Buffer.alloc(65_537, "x"))),
    bomb,
    claims(deflateRawSync(Buffer.alloc(9_000, "x")).subarray(0, -2)),
    claims(Buffer.from("not deflated at all")),
    claims(Buffer.alloc(0)),
  ]) {
    assert.equal(decodeSealed(body), undefined);
  }
  for (const flags of [2, 3, 128, 255]) {
    const body = encodeSealed(HANDLE, record("{}"));
    body[0] = flags;
    assert.equal(decodeSealed(body), undefined, `flags ${flags}`);
  }

  const one = await shop(t, { compress: true });
  const sealer = new Sealer(new KeyRing(secret, { production: true, warn: () => {} }), {
    purpose: "cookie",
    name: "sid",
  });
  const visitor = one.visitor();
  visitor.cookies.set("sid", sealer.seal(claims(deflateRawSync(Buffer.alloc(2_000_000))), [], 128));
  const { status, text: seen } = await visitor.get("/");
  assert.deepEqual([status, seen], [200, "undefined"]);
  await visitor.get("/same?size=10");
  assert.equal(await text(visitor), "xxxxxxxxxx", "the visitor goes on");
  assert.deepEqual(one.errors, []);
});

test("the length tells of the data to 128 bytes only", async (t) => {
  const one = await shop(t, { compress: true });
  const lengths = new Set<number>();
  for (let size = 0; size < 1_400; size += 20) {
    const visitor = one.visitor();
    await visitor.get(`/noise?size=${size}`);
    const bytes = Buffer.from(visitor.token ?? "", "base64url").length;
    assert.equal((bytes - 29 - 16) % 128, 0, `${size}: ${bytes}`);
    lengths.add(bytes);
  }
  assert.ok(lengths.size > 5);
});

test("what is too large even so is an error that names it, whatever it would deflate to", async (t) => {
  const one = await shop(t, { compress: true });
  const visitor = one.visitor();
  assert.equal((await visitor.get("/same?size=60000")).status, 200);
  assert.equal((await text(visitor)).length, 60_000);
  assert.equal((await visitor.get("/noise?size=6000")).status, 500);
  assert.match(inspect(one.errors[0]), /even compressed; .*"text" \(6002 bytes\).*TOO_LARGE/s);
  assert.equal((await visitor.get("/same?size=65537")).status, 500);
  assert.match(inspect(one.errors[1]), /maxBytes \(65536\).*TOO_LARGE/s);
  assert.equal((await text(visitor)).length, 60_000, "the cookie before stays good");
});

test("fills one cookie to the last byte that a browser keeps, and never more", async (t) => {
  const one = await shop(t, { compress: true });
  let refused = 0;
  for (let size = 3_000; size < 4_200; size += 40) {
    const { status, setCookies } = await one.visitor().get(`/noise?size=${size}`);
    if (status === 500) refused += 1;
    for (const line of setCookies) assert.ok((line.split(";")[0] ?? "").length - 1 <= 4_096);
    assert.equal(setCookies.length, status === 200 ? 1 : 0);
  }
  assert.ok(refused > 0);
});
