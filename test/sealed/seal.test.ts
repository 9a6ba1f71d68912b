import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KeyRing, type Secret } from "../../src/crypto/key-ring.ts";
import { Sealer, type SealUse, sealLength, sealRoom } from "../../src/crypto/seal.ts";
import { Xaes } from "../../src/crypto/xaes.ts";

const A = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const B = Buffer.from("ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu");
const use: SealUse = { purpose: "cookie", name: "sid" };
const ringOf = (secret: Secret) => new KeyRing(secret, { production: true, warn: assert.fail });
const sealer = new Sealer(ringOf(A), use);
const body = Buffer.from('{"user":"u"}');

const opens = (text: string, by = sealer): string | undefined => by.open(text)?.body.toString();

describe("a seal", () => {
  test("opens as what was sealed, and is different each time", () => {
    const texts = new Set(Array.from({ length: 200 }, () => sealer.seal(body)));
    assert.equal(texts.size, 200);
    for (const text of texts) assert.equal(opens(text), body.toString());
  });

  test("shows nothing of its body", () => {
    for (const text of [sealer.seal(body), sealer.seal(Buffer.from("alice@example.com".repeat(9)))]) {
      const bytes = Buffer.from(text, "base64url").toString("latin1");
      assert.doesNotMatch(bytes + text, /user|alice|example/);
    }
  });

  test("with any single bit flipped is none", () => {
    const bytes = Buffer.from(sealer.seal(body), "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const forged = Buffer.from(bytes);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(opens(forged.toString("base64url")), undefined, `bit ${bit}`);
    }
  });

  test("cut at any length, or longer, is none", () => {
    const text = sealer.seal(body);
    const bytes = Buffer.from(text, "base64url");
    for (let length = 0; length < text.length; length += 1) assert.equal(opens(text.slice(0, length)), undefined);
    for (let length = 0; length < bytes.length; length += 1) {
      assert.equal(opens(bytes.subarray(0, length).toString("base64url")), undefined);
    }
    for (const more of ["A", "AA", "AAA", "AAAA", text]) assert.equal(opens(text + more), undefined);
  });

  test("spliced of two is none", () => {
    const one = Buffer.from(sealer.seal(body), "base64url");
    const two = Buffer.from(sealer.seal(body), "base64url");
    for (let at = 1; at < one.length; at += 1) {
      const spliced = Buffer.concat([one.subarray(0, at), two.subarray(at)]);
      if (spliced.equals(one) || spliced.equals(two)) continue;
      assert.equal(opens(spliced.toString("base64url")), undefined, `at ${at}`);
    }
  });

  test("is canonical: whatever Node's decoder would take for the same bytes is none", () => {
    // A body whose seal leaves bits of the last character unused.
    const text = [body, Buffer.alloc(40), Buffer.alloc(70)]
      .map((one) => sealer.seal(one))
      .find((one) => one.length % 4 > 0);
    assert.ok(text !== undefined);
    const bytes = Buffer.from(text, "base64url");
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const twins = [...alphabet].map((last) => text.slice(0, -1) + last).filter((twin) => twin !== text);
    const disguised = [
      `${text}=`,
      `${text}==`,
      ` ${text}`,
      `${text}\n`,
      `${text.slice(0, 9)}*${text.slice(9)}`,
      `${text}*`,
    ];
    const same = [...twins, ...disguised].filter((one) => Buffer.from(one, "base64url").equals(bytes));
    assert.ok(same.length >= 6, "the decoder takes some of them");
    for (const one of [...twins, ...disguised]) assert.equal(opens(one), undefined);
    assert.equal(opens(text), opens(text));
  });

  test("random and mutated texts are seals or nothing, and never throw", () => {
    const text = sealer.seal(body);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String(), fc.string({ unit: "binary" })), (junk) => {
        assert.equal(opens(junk), undefined);
      }),
      { numRuns: 600 },
    );
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ minLength: 0, maxLength: 3 }), (at, put) => {
        const mutated = text.slice(0, at) + put + text.slice(at + 1);
        assert.equal(opens(mutated), mutated === text ? body.toString() : undefined);
      }),
      { numRuns: 10_000 },
    );
  });

  test("of a plaintext that sealing never writes is none: each body has one length, and zeros as padding", () => {
    const forge = (plaintext: Buffer): string => {
      const ring = ringOf(A);
      const [key] = ring.keysFor("seal|cookie");
      assert.ok(key !== undefined);
      const head = Buffer.concat([Buffer.of(1), ring.keyId(0), randomBytes(24)]);
      const parts = ["cookie", "sid", ""].map((text) => Buffer.concat([lengthOf(text.length), Buffer.from(text)]));
      const additional = Buffer.concat([Buffer.from("sojourn\0"), Buffer.of(1), ring.keyId(0), ...parts]);
      return new Xaes(key).encrypt(head.subarray(5), plaintext, additional, head).toString("base64url");
    };
    const lengthOf = (length: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(length);
      return bytes;
    };
    const padded = (length: number, to: number): Buffer =>
      Buffer.concat([lengthOf(length), body, Buffer.alloc(to - 4 - body.length)]);
    assert.equal(opens(forge(padded(body.length, 32))), body.toString(), "as it is sealed");
    for (let at = 4 + body.length; at < 32; at += 1) {
      const plaintext = padded(body.length, 32);
      plaintext[at] = 1;
      assert.equal(opens(forge(plaintext)), undefined, `byte ${at}`);
    }
    for (const to of [31, 33, 64, 96, 128, 160, 256]) {
      assert.equal(opens(forge(padded(body.length, to))), undefined, `${to} bytes`);
    }
    for (const length of [29, 124, 125, 2 ** 32 - 1]) {
      assert.equal(opens(forge(padded(length, 32))), undefined, `a body of ${length} bytes`);
    }
  });

  test("opens for its own purpose, name, namespace and bindings alone", () => {
    const uses: SealUse[] = [];
    for (const purpose of ["cookie", "store", "url"] as const) {
      for (const name of ["sid", "__Host-sid", "s", "idsid"]) {
        for (const namespace of ["", "shop", "sid"]) uses.push({ purpose, name, namespace });
      }
    }
    const ring = ringOf(A);
    const sealers = uses.map((one) => new Sealer(ring, one));
    const seals = sealers.map((one) => one.seal(body));
    for (const [row, text] of seals.entries()) {
      for (const [column, one] of sealers.entries()) {
        assert.equal(opens(text, one) !== undefined, row === column, JSON.stringify([uses[row], uses[column]]));
      }
    }
    const bindings = [[], [""], ["a"], ["a", "b"], ["ab"], ["a", ""], ["", "a"], ["a\0b"]];
    const bound = bindings.map((one) => sealer.seal(body, one));
    for (const [row, text] of bound.entries()) {
      for (const [column, one] of bindings.entries())
        assert.equal(sealer.open(text, one) !== undefined, row === column);
    }
  });

  test("opens with any key of the ring, and says when another than the first made it", () => {
    const old = new Sealer(ringOf(B), use).seal(body);
    assert.deepEqual(new Sealer(ringOf([A, B]), use).open(old), { body, outdated: true });
    assert.deepEqual(new Sealer(ringOf([B, A]), use).open(old), { body, outdated: false });
    assert.equal(opens(old), undefined);
    const swapped = Buffer.from(old, "base64url");
    Buffer.from(sealer.seal(body), "base64url").copy(swapped, 1, 1, 5);
    assert.equal(opens(swapped.toString("base64url"), new Sealer(ringOf([A, B]), use)), undefined, "another key's ID");
  });

  test("is derived as it has been: old seals open for ever", () => {
    const fixture = new Sealer(ringOf(A), use, (nonce) => nonce.fill(7)).seal(body);
    assert.equal(fixture, FIXTURE);
    assert.equal(ringOf(A).keyId(0).toString("hex"), KEY_ID);
  });

  test("of equal buckets has equal length, as computed", () => {
    const lengths = new Map<number, Set<number>>();
    for (let bytes = 0; bytes < 200; bytes += 1) {
      const { length } = sealer.seal(Buffer.alloc(bytes));
      assert.equal(length, sealLength(bytes));
      const bucket = Math.ceil((bytes + 4) / 32);
      lengths.set(bucket, (lengths.get(bucket) ?? new Set()).add(length));
    }
    for (const found of lengths.values()) assert.equal(found.size, 1);
    for (let characters = 110; characters < 1_000; characters += 1) {
      const room = sealRoom(characters);
      assert.ok(sealLength(room) <= characters && sealLength(room + 1) > characters, String(characters));
    }
  });

  test("any bytes survive", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.deepEqual(sealer.open(sealer.seal(Buffer.from(bytes)))?.body, Buffer.from(bytes));
      }),
      { numRuns: 500 },
    );
    const large = randomBytes(1 << 20);
    assert.deepEqual(sealer.open(sealer.seal(large))?.body, large);
  });

  test("is not made when the generator fails", () => {
    const broken = new Sealer(ringOf(A), use, () => {
      throw new Error("no entropy");
    });
    assert.throws(() => broken.seal(body), /no entropy/);
  });
});

const FIXTURE =
  "AXAXZskHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwflUo79u9b5V1hitEjBotB5zx3VW1r8mK93VEsrAY-0oD2KcU4wWSqlItF14H8HoEQ";
const KEY_ID = "701766c9";
