import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { RandomPool } from "../../src/crypto/random.ts";
import { hashSecret, isHandle, sameHash, TokenCodec, TokenSource } from "../../src/crypto/token.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const HANDLE = `${"h".repeat(21)}A`;
const SECRET = "s".repeat(32);
const BARE = `${HANDLE}.${SECRET}`;

const keyRing = (...secrets: string[]) =>
  new KeyRing(secrets, { production: true, warn: (message) => assert.fail(message) });
const OLD_KEY = "0123456789abcdefghijklmnopqrstuvwxyz-old";
const NEW_KEY = "0123456789abcdefghijklmnopqrstuvwxyz-new";

test("a token without a key is the handle and the secret", () => {
  const codec = new TokenCodec(undefined, "sid");
  assert.equal(codec.format(HANDLE, SECRET), BARE);
  const verified = codec.verify(BARE);
  assert.equal(verified?.handle, HANDLE);
  assert.equal(verified?.secret, SECRET);
  assert.equal(verified?.secretHash, createHash("sha256").update(SECRET).digest("base64url"));
  assert.equal(verified?.outdated, false);
});

test("only the canonical form of a handle counts: 128 bits leave four unused bits that must be zero", () => {
  for (const last of ALPHABET) {
    const handle = `${"h".repeat(21)}${last}`;
    const isCanonical = Buffer.from(handle, "base64url").toString("base64url") === handle;
    assert.equal(isCanonical, "AQgw".includes(last));
    assert.equal(isHandle(handle), isCanonical, last);
    const verified = new TokenCodec(undefined, "sid").verify(`${handle}.${SECRET}`);
    assert.equal(verified !== undefined, isCanonical, last);
  }
});

test("nothing but exactly the grammar is a handle", () => {
  const wrong = ["", "h", HANDLE.slice(1), `${HANDLE}A`, `${HANDLE}\n`, `\n${HANDLE}`, `${"h".repeat(20)}=A`, BARE];
  for (const text of wrong) assert.equal(isHandle(text), false, JSON.stringify(text));
});

test("nothing but exactly the grammar is a token", () => {
  const codec = new TokenCodec(undefined, "sid");
  const outside = [..." \t\n\r\0\"'%&+,/:;<=>?@[\\]^`{|}~*.", "é", "\u00a0", "А", "０", "\u212a", "\ud83c", "\ufeff"];
  for (let at = 0; at < BARE.length; at += 1) {
    for (const character of outside) {
      if (BARE[at] === character) continue;
      const text = BARE.slice(0, at) + character + BARE.slice(at + 1);
      assert.equal(codec.verify(text), undefined, `${JSON.stringify(character)} at ${at}`);
    }
    assert.equal(codec.verify(BARE.slice(0, at) + BARE.slice(at + 1)), undefined, `without character ${at}`);
    assert.equal(codec.verify(`${BARE.slice(0, at)}a${BARE.slice(at)}`), undefined, `one more at ${at}`);
  }
  for (const text of [
    "",
    ".",
    BARE + BARE,
    `s:${BARE}`,
    `"${BARE}"`,
    encodeURIComponent(`${BARE}=`),
    `${SECRET}.${HANDLE}`,
  ]) {
    assert.equal(codec.verify(text), undefined, text);
  }
});

test("property: verify never throws, and accepts only what it would write", () => {
  for (const codec of [new TokenCodec(undefined, "sid"), new TokenCodec(keyRing(NEW_KEY), "sid")]) {
    const good = codec.format(HANDLE, SECRET);
    const near = fc
      .tuple(
        fc.nat(good.length),
        fc.string({ unit: fc.constantFrom(...ALPHABET, ".", "=", "é"), maxLength: 2 }),
        fc.nat(2),
      )
      .map(([at, inserted, removed]) => good.slice(0, at) + inserted + good.slice(at + removed));
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: "binary", maxLength: 90 })), (text) => {
        const verified = codec.verify(text);
        if (verified !== undefined) assert.equal(codec.format(verified.handle, verified.secret), text);
      }),
      { numRuns: 800 },
    );
  }
});

test("with a key, a token without its MAC, or with a wrong one, is nothing", () => {
  const codec = new TokenCodec(keyRing(NEW_KEY), "sid");
  const token = codec.format(HANDLE, SECRET);
  assert.match(token, /^[\w-]{22}\.[\w-]{32}\.[\w-]{22}$/);
  assert.equal(codec.verify(token)?.handle, HANDLE);
  assert.equal(codec.verify(BARE), undefined, "no MAC at all");
  const macStart = BARE.length + 1;
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === "A" ? "Q" : "A";
    assert.equal(codec.verify(token.slice(0, at) + other + token.slice(at + 1)), undefined, `changed at ${at}`);
  }
  for (let end = macStart; end < token.length; end += 1) assert.equal(codec.verify(token.slice(0, end)), undefined);
  const stranger = new TokenCodec(keyRing(OLD_KEY), "sid").format(HANDLE, SECRET);
  assert.equal(codec.verify(stranger), undefined, "another application's key");
});

test("without a key, a token with a MAC is nothing", () => {
  const token = new TokenCodec(keyRing(NEW_KEY), "sid").format(HANDLE, SECRET);
  assert.equal(new TokenCodec(undefined, "sid").verify(token), undefined);
});

test("a token works under no other cookie's name", () => {
  const ring = keyRing(NEW_KEY);
  const names = ["sid", "__Host-sid", "SID", "sid2", "", "token|sid"];
  for (const written of names) {
    const token = new TokenCodec(ring, written).format(HANDLE, SECRET);
    for (const read of names) {
      assert.equal(
        new TokenCodec(ring, read).verify(token) !== undefined,
        read === written,
        `${written} read as ${read}`,
      );
    }
  }
});

test("rotation: the first key writes, all of them read, and what an older one made should be sent anew", () => {
  const before = new TokenCodec(keyRing(OLD_KEY), "sid");
  const rotated = new TokenCodec(keyRing(NEW_KEY, OLD_KEY), "sid");
  const afterwards = new TokenCodec(keyRing(NEW_KEY), "sid");
  const oldToken = before.format(HANDLE, SECRET);
  const newToken = rotated.format(HANDLE, SECRET);
  assert.notEqual(oldToken, newToken);
  assert.equal(afterwards.format(HANDLE, SECRET), newToken);
  assert.equal(rotated.verify(oldToken)?.outdated, true);
  assert.equal(rotated.verify(oldToken)?.outdated, true, "the second time too");
  assert.equal(rotated.verify(newToken)?.outdated, false);
  assert.equal(afterwards.verify(oldToken), undefined, "the old key was removed");
  assert.equal(before.verify(newToken), undefined, "a server that hasn't the new key yet");
});

test("the same key twice is not outdated", () => {
  const codec = new TokenCodec(keyRing(NEW_KEY, NEW_KEY), "sid");
  assert.equal(codec.verify(codec.format(HANDLE, SECRET))?.outdated, false);
});

test("remembering what was verified is bounded, and forgets nothing that matters", () => {
  const codec = new TokenCodec(keyRing(NEW_KEY), "sid");
  const source = new TokenSource();
  const first = codec.format(source.handle(), source.secret());
  const found = codec.verify(first);
  assert.ok(found !== undefined);
  assert.equal(codec.verify(first), found, "remembered");
  const tokens = Array.from({ length: 12_000 }, () => codec.format(source.handle(), source.secret()));
  for (const token of tokens) assert.ok(codec.verify(token) !== undefined);
  const again = codec.verify(first);
  assert.notEqual(again, found, "10,000 others later it was forgotten");
  assert.deepEqual({ ...again, quietUntil: 0 }, { ...found, quietUntil: 0 }, "and is found again");
});

test("handles and secrets are canonical, and none comes twice", () => {
  const source = new TokenSource();
  const seen = new Set<string>();
  for (let i = 0; i < 50_000; i += 1) {
    const handle = source.handle();
    const secret = source.secret();
    assert.ok(isHandle(handle));
    assert.match(secret, /^[\w-]{32}$/);
    seen.add(handle).add(secret);
  }
  assert.equal(seen.size, 100_000);
});

test("every position of a secret takes every character about equally often", () => {
  const source = new TokenSource();
  const counts = Array.from({ length: 32 }, () => new Map<string, number>());
  const drawn = 20_000;
  for (let i = 0; i < drawn; i += 1) {
    for (const [at, character] of [...source.secret()].entries()) {
      const count = counts[at] ?? assert.fail();
      count.set(character, (count.get(character) ?? 0) + 1);
    }
  }
  const expected = drawn / 64;
  for (const count of counts) {
    const chiSquare = [...ALPHABET].reduce((sum, one) => sum + ((count.get(one) ?? 0) - expected) ** 2 / expected, 0);
    // 63 degrees of freedom: 170 is exceeded once in 10^11 draws by a fair source.
    assert.ok(chiSquare < 170, `chi-square ${chiSquare}`);
  }
});

test("a failing random generator is fatal, and nothing of an earlier draw is used again (CVE-2025-66565)", () => {
  let broken = false;
  let counter = 0;
  const source = new TokenSource((buffer) => {
    if (broken) throw new Error("no entropy");
    for (let i = 0; i < buffer.length; i += 4) {
      counter += 1;
      buffer.writeUInt32BE(counter, i);
    }
  });
  const seen = new Set([source.handle()]);
  broken = true;
  let thrown = 0;
  for (let i = 0; i < 400; i += 1) {
    try {
      const handle = source.handle();
      assert.ok(!seen.has(handle), "drawn twice");
      seen.add(handle);
    } catch (error) {
      assert.match(String(error), /no entropy/);
      thrown += 1;
    }
  }
  assert.equal(seen.size, 256, "4096 bytes are 256 handles, each used once");
  assert.equal(thrown, 400 - 255);
  broken = false;
  assert.ok(!seen.has(source.handle()), "after it recovered: new bytes");
});

test("random bytes that were given away are wiped, so that none is in memory twice or given twice", () => {
  let pool: Buffer = Buffer.alloc(0);
  const random = new RandomPool((buffer) => {
    pool = buffer.fill(0xff);
  });
  const given = Buffer.alloc(24);
  for (let used = 0; used + 40 <= 4_096; used += 40) {
    assert.equal(random.text(16), Buffer.alloc(16, 0xff).toString("base64url"));
    random.fill(given.fill(0));
    assert.deepEqual(given, Buffer.alloc(24, 0xff));
    assert.deepEqual(pool.subarray(0, used + 40), Buffer.alloc(used + 40), "what was given");
    assert.deepEqual(pool.subarray(used + 40), Buffer.alloc(4_096 - used - 40, 0xff), "what was not");
  }
});

test("hashes of secrets are compared in full", () => {
  const hash = hashSecret(SECRET);
  assert.equal(hash, createHash("sha256").update(SECRET).digest("base64url"));
  assert.equal(sameHash(hash, hash), true);
  for (let at = 0; at < hash.length; at += 1) {
    const other = hash[at] === "A" ? "B" : "A";
    assert.equal(sameHash(hash, hash.slice(0, at) + other + hash.slice(at + 1)), false);
  }
  assert.equal(sameHash(hash, ""), false);
  assert.equal(sameHash("", hash), false);
  assert.equal(sameHash(hash, `${hash}A`), false);
});

test("nothing that inspects a codec, a key ring or a source sees a secret", () => {
  const ring = keyRing(NEW_KEY, OLD_KEY);
  const codec = new TokenCodec(ring, "sid");
  const token = codec.format(HANDLE, SECRET);
  codec.verify(token);
  const source = new TokenSource();
  source.secret();
  for (const customInspect of [true, false]) {
    const shown = inspect([ring, codec, source], { depth: Number.POSITIVE_INFINITY, showHidden: true, customInspect });
    for (const secret of [NEW_KEY, OLD_KEY, SECRET, token, hashSecret(SECRET)]) assert.ok(!shown.includes(secret));
  }
  assert.equal(JSON.stringify([ring, codec, source]), "[{},{},{}]");
});
