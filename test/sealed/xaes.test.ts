import assert from "node:assert/strict";
import { createHash, createSecretKey } from "node:crypto";
import { test } from "node:test";
import { TAG_BYTES, Xaes } from "../../src/crypto/xaes.ts";

const nonce = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWX", "latin1");
const plaintext = Buffer.from("XAES-256-GCM", "latin1");
/** The vectors of https://c2sp.org/XAES-256-GCM. */
const vectors = [
  { key: 1, additional: "", sealed: "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271" },
  { key: 3, additional: "c2sp.org/XAES-256-GCM", sealed: "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d" },
];

for (const { key, additional, sealed } of vectors) {
  test(`the official vector of key ${key}`, () => {
    const xaes = new Xaes(createSecretKey(Buffer.alloc(32, key)));
    const aad = Buffer.from(additional, "latin1");
    assert.equal(xaes.encrypt(nonce, plaintext, aad).toString("hex"), sealed);
    assert.deepEqual(xaes.decrypt(nonce, Buffer.from(sealed, "hex"), aad), plaintext);
  });
}

test("10,000 random messages, accumulated as the specification does", () => {
  const total = 10_000 * (32 + 24 + 1 + 255 + 1 + 255);
  const stream = createHash("shake128", { outputLength: total }).digest();
  let at = 0;
  const take = (bytes: number): Buffer => {
    at += bytes;
    return stream.subarray(at - bytes, at);
  };
  const accumulated = createHash("shake128", { outputLength: 32 });
  for (let i = 0; i < 10_000; i += 1) {
    const xaes = new Xaes(createSecretKey(take(32)));
    const messageNonce = take(24);
    const message = take(take(1).readUInt8());
    const additional = take(take(1).readUInt8());
    const sealed = xaes.encrypt(messageNonce, message, additional);
    accumulated.update(sealed);
    assert.deepEqual(xaes.decrypt(messageNonce, sealed, additional), message);
  }
  assert.equal(accumulated.digest("hex"), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
});

test("a tag that is shorter is refused, whatever its length", () => {
  const xaes = new Xaes(createSecretKey(Buffer.alloc(32, 1)));
  const sealed = xaes.encrypt(nonce, plaintext, Buffer.alloc(0));
  for (let length = 0; length < sealed.length; length += 1) {
    assert.equal(xaes.decrypt(nonce, sealed.subarray(0, length), Buffer.alloc(0)), undefined);
  }
  const empty = xaes.encrypt(nonce, Buffer.alloc(0), Buffer.alloc(0));
  for (let length = 0; length < TAG_BYTES; length += 1) {
    assert.equal(xaes.decrypt(nonce, empty.subarray(0, length), Buffer.alloc(0)), undefined);
  }
});
