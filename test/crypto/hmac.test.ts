import assert from "node:assert/strict";
import { createSecretKey, hash } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { KeyRing, macOf } from "../../src/crypto/key-ring.ts";
import { OwnerHashes } from "../../src/crypto/owner.ts";
import { TokenCodec } from "../../src/crypto/token.ts";

const SECRET = "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-strong";

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
    assert.equal(Buffer.from(macOf(createSecretKey(key), text), "base64url").toString("hex"), mac, `${number}`);
  }
});

test("is HMAC-SHA-256 by its definition, whatever the key and the text, and whatever was signed before", () => {
  const characters = ["a", "Z", "0", ".", "é", "Ā", "𝄞", "\0"];
  for (let length = 1; length <= 150; length++) {
    const bytes = Buffer.from(Array.from({ length }, (_, at) => (length * 31 + at * 7) % 256));
    const key = createSecretKey(bytes);
    for (const characterCount of [55, 0, 1, 55, 55, length, 200, 2 * length]) {
      const text = Array.from({ length: characterCount }, (_, at) => characters[(at + length) % 8]).join("");
      assert.equal(macOf(key, text), byDefinition(bytes, text));
    }
  }
});

test("nobody who looks at what signs sees a key", () => {
  const ring = new KeyRing(SECRET, { production: true, warn: assert.fail });
  const codec = new TokenCodec(ring, "sid");
  codec.format("A".repeat(22), "B".repeat(32));
  const owners = new OwnerHashes(ring);
  owners.hash("hash", { userId: "alice", createdAt: 1 });
  const keys = [...ring.keysFor("token|sid"), ...ring.keysFor("owner")];
  const seen = [codec, owners, ring, keys].flatMap((one) => [
    inspect(one, { depth: 9, showHidden: true }),
    JSON.stringify(one),
  ]);
  for (const bytes of [Buffer.from(SECRET), ...keys.map((key) => key.export())]) {
    const texts = [
      bytes.toString("latin1"),
      bytes.toString("hex"),
      bytes.toString("base64"),
      bytes.toString("base64url"),
    ];
    const numbers = [[...bytes].join(), bytes.toString("hex").match(/../g)?.join(" ")];
    for (const text of [...texts, ...numbers]) assert.ok(text !== undefined && !seen.join("\n").includes(text));
  }
  assert.deepEqual(seen.slice(0, 4), ["TokenCodec {}", "{}", "OwnerHashes {}", "{}"]);
});

/** RFC 2104, as it is written there. */
function byDefinition(key: Buffer, text: string): string {
  const block = Buffer.alloc(64);
  (key.length > 64 ? hash("sha256", key, "buffer") : key).copy(block);
  const pad = (byte: number) => block.map((one) => one ^ byte);
  const inner = hash("sha256", Buffer.concat([pad(0x36), Buffer.from(text)]), "buffer");
  return hash("sha256", Buffer.concat([pad(0x5c), inner]), "base64url");
}
