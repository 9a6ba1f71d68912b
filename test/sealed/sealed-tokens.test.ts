import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SessionRecord } from "../../src/contract/store.ts";
import { KeyRing, MANAGED } from "../../src/crypto/key-ring.ts";
import { Sealer } from "../../src/crypto/seal.ts";
import { decodeSealed, encodeOverflow, encodeSealed } from "../../src/sealed/record.ts";
import { SealedTokens } from "../../src/sealed/tokens.ts";

const HANDLE = "AAAAAAAAAAAAAAAAAAAAAA";
const record: SessionRecord = {
  payload: '[0,"cart",2]\n12',
  version: 3,
  secretHash: "",
  userId: "ann",
  createdAt: 1,
  touchedAt: 2,
  expiresAt: 3,
};

class Counting extends Sealer {
  opened = 0;
  override open(...args: Parameters<Sealer["open"]>) {
    this.opened += 1;
    return super.open(...args);
  }
}

function tokens(keys = ["0123456789abcdefghijklmnopqrstuvwxyz"]) {
  const sealer = new Counting(new KeyRing(keys, { production: false, warn: assert.fail }), {
    purpose: "cookie",
    name: "sid",
  });
  return { sealer, tokens: new SealedTokens(sealer) };
}

test("what was opened lately is opened once, and what was sealed not at all", () => {
  const here = tokens();
  const elsewhere = tokens();
  const text = here.tokens.seal({ handle: HANDLE, record });
  for (let times = 0; times < 3; times += 1) {
    const own = here.tokens.open(text);
    const others = elsewhere.tokens.open(`${text}`);
    assert.deepEqual(own, { sealed: { handle: HANDLE, record }, outdated: false });
    assert.deepEqual(others, own);
  }
  assert.equal(here.sealer.opened, 0);
  assert.equal(elsewhere.sealer.opened, 1);
});

test("what is remembered opens for exactly the text that was sealed, not for one that only begins like it", () => {
  for (const isOwn of [true, false]) {
    const here = tokens();
    const text = (isOwn ? here : tokens()).tokens.seal({ handle: HANDLE, record });
    assert.ok(here.tokens.open(text) !== undefined);
    for (let at = 0; at < text.length; at += 1) {
      const other = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
      assert.equal(here.tokens.open(other), undefined, `character ${at}`);
      assert.equal(here.tokens.open(text.slice(0, at)), undefined, `${at} characters`);
    }
    assert.equal(here.tokens.open(`${text}A`), undefined);
    assert.equal(here.tokens.open(text)?.sealed.handle, HANDLE);
  }
});

test("a body that is none of ours is no record, whatever it looks like", () => {
  const body = encodeSealed(HANDLE, record);
  assert.deepEqual(decodeSealed(body), { handle: HANDLE, record });
  const userEnd = body.length - Buffer.byteLength(record.payload);
  for (let length = 0; length < userEnd; length += 1) {
    assert.equal(decodeSealed(body.subarray(0, length)), undefined, `${length} bytes`);
  }
  for (let flags = 1; flags < 256; flags += 1) {
    const other = Buffer.from(body);
    other[0] = flags;
    assert.equal(decodeSealed(other), undefined, `flags ${flags}`);
  }
  const overflowed = encodeOverflow(HANDLE, record, HANDLE);
  assert.equal(decodeSealed(overflowed)?.overflowKey, HANDLE);
  assert.equal(decodeSealed(overflowed.subarray(0, -1)), undefined, "a name that is too short");
  assert.equal(decodeSealed(Buffer.concat([overflowed, Buffer.alloc(1)])), undefined, "a name that is too long");
});

test("property: what is remembered of a record is what others find in its seal", () => {
  const time = fc.double({ min: 0, max: 2 ** 48 - 1, noNaN: true });
  const text = fc.string({ unit: "binary", maxLength: 40 });
  const fields = {
    createdAt: time,
    touchedAt: time,
    expiresAt: time,
    version: fc.nat(),
    payload: text,
    secretHash: text,
  };
  const records = fc.record<SessionRecord>({ ...fields, userId: fc.option(text) });
  const elsewhere = fc.option(fc.constant("BBBBBBBBBBBBBBBBBBBBBA"), { nil: undefined });
  const own = tokens().tokens;
  const others = tokens().tokens;
  fc.assert(
    fc.property(records, elsewhere, (any, name) => {
      const sealed = own.seal({ handle: HANDLE, record: any, ...(name !== undefined && { overflowKey: name }) });
      assert.deepEqual(own.open(sealed), others.open(sealed));
    }),
  );
  const half = { ...record, userId: "half \ud800", payload: "\udc00" };
  const sealed = own.seal({ handle: HANDLE, record: half });
  assert.deepEqual(own.open(sealed), others.open(sealed));
});

test("a payload that is kept elsewhere is remembered as such", () => {
  const { sealer, tokens: own } = tokens();
  const text = own.seal({ handle: HANDLE, record, overflowKey: "BBBBBBBBBBBBBBBBBBBBBA" });
  const expected = { handle: HANDLE, record: { ...record, payload: "" }, overflowKey: "BBBBBBBBBBBBBBBBBBBBBA" };
  assert.deepEqual(own.open(text)?.sealed, expected);
  assert.equal(sealer.opened, 0);
  assert.deepEqual(tokens().tokens.open(text)?.sealed, expected);
});

test("what opens nothing is tried each time, and what was sealed by an older key stays outdated", () => {
  const { sealer, tokens: own } = tokens([
    "a newer key of at least 32 characters",
    "0123456789abcdefghijklmnopqrstuvwxyz",
  ]);
  for (let times = 1; times < 4; times += 1) {
    assert.equal(own.open("A".repeat(200)), undefined);
    assert.equal(sealer.opened, times);
  }
  const text = tokens().tokens.seal({ handle: HANDLE, record });
  for (let times = 0; times < 3; times += 1) assert.equal(own.open(text)?.outdated, true);
  assert.equal(sealer.opened, 4);
});

test("memory is bounded: after many others a token is opened again", () => {
  const { sealer, tokens: own } = tokens();
  const large = { ...record, payload: `[0,"cart",${"1".length}]\n1`, userId: "u".repeat(2_000) };
  const first = own.seal({ handle: HANDLE, record: large });
  for (let others = 0; others < 1_600; others += 1) own.seal({ handle: HANDLE, record: large });
  assert.equal(own.open(first)?.sealed.handle, HANDLE);
  assert.equal(sealer.opened, 1);
});

test("what is remembered is forgotten when the keys change", () => {
  const ring = new KeyRing(MANAGED, { production: false, warn: assert.fail });
  const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const here = new SealedTokens(new Sealer(ring, { purpose: "cookie", name: "sid" }));
  ring.replace([first]);
  const text = here.seal({ handle: HANDLE, record });
  assert.equal(here.open(text)?.outdated, false);
  ring.replace([second, first]);
  assert.equal(here.open(text)?.outdated, true);
  ring.replace([second]);
  assert.equal(here.open(text), undefined);
});
