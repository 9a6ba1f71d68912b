import assert from "node:assert/strict";
import { createHmac, createSecretKey } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { HmacKey } from "../../src/tokens/hmac.ts";

/** Project Wycheproof's vectors are in wycheproof.test.ts. */

/** RFC 4231, those whose text is text: its numbers, key, text, the MAC or its beginning. */
const RFC_4231: [number, Buffer, string, string][] = [
  [1, Buffer.alloc(20, 0x0b), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
  [
    2,
    Buffer.from("Jefe"),
    "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    6,
    Buffer.alloc(131, 0xaa),
    "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    7,
    Buffer.alloc(131, 0xaa),
    "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
];

test("RFC 4231's vectors", () => {
  for (const [number, key, text, mac] of RFC_4231) {
    assert.equal(
      Buffer.from(new HmacKey(createSecretKey(key)).sign(text), "base64url").toString("hex"),
      mac,
      `${number}`,
    );
  }
});

test("is Node's HMAC-SHA-256, whatever the key and the text, and whatever was signed before", () => {
  const characters = ["a", "Z", "0", ".", "é", "Ā", "𝄞", "\0"];
  for (let length = 1; length <= 150; length++) {
    const bytes = Buffer.from(Array.from({ length }, (_, at) => (length * 31 + at * 7) % 256));
    const key = new HmacKey(createSecretKey(bytes));
    for (const characterCount of [55, 0, 1, 55, 55, length, 200, 2 * length]) {
      const text = Array.from({ length: characterCount }, (_, at) => characters[(at + length) % 8]).join("");
      assert.equal(key.sign(text), createHmac("sha256", bytes).update(text).digest("base64url"));
    }
  }
});

test("nobody who looks at it sees the key", () => {
  const key = new HmacKey(createSecretKey(Buffer.from("a key that nobody must ever see!")));
  key.sign("text");
  assert.equal(inspect(key, { depth: 9, showHidden: true }), "HmacKey {}");
  assert.equal(JSON.stringify(key), "{}");
});
