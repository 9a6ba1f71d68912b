import assert from "node:assert/strict";
import { hkdfSync } from "node:crypto";
import { test } from "node:test";
import { KeyRing, MANAGED } from "../../src/crypto/key-ring.ts";
import { OwnerHashes } from "../../src/crypto/owner.ts";
import { TokenCodec } from "../../src/crypto/token.ts";

const STRONG = "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-strong";
const silent = { production: false, warn: () => {} };
const strict = { production: true, warn: (message: string) => assert.fail(`warned: ${message}`) };

const ring = (secret: unknown, options: { production: boolean; warn: (message: string) => void }) =>
  Reflect.construct(KeyRing, [secret, options]);

test("what is no secret is refused everywhere", () => {
  const refused: unknown[] = [
    null,
    undefined,
    "",
    5,
    true,
    {},
    [],
    [""],
    [STRONG, ""],
    [STRONG, null],
    [[STRONG]],
    Buffer.alloc(0),
    [5],
    () => STRONG,
    new Date(),
  ];
  for (const secret of refused) {
    for (const production of [true, false]) {
      assert.throws(
        () => ring(secret, { production, warn: () => {} }),
        /^TypeError: secret must be a string, a Buffer/,
      );
    }
  }
});

test("a weak secret is refused in production, and warned of elsewhere, without being repeated", () => {
  const weak: (string | Buffer)[] = [
    "keyboard cat",
    "Keyboard Cat",
    " secret ",
    "changeme",
    "shhhh",
    "your-secret-key",
    "0123456789abcdefghijklmnopqrstu", // 31
    "a".repeat(64),
    "abcabcabcabcabcabcabcabcabcabcabcabc",
    Buffer.alloc(64),
    Buffer.from("0123456789abcdefghijklmnopqrstu"),
  ];
  for (const secret of weak) {
    for (const given of [secret, [STRONG, secret], [secret, STRONG]]) {
      const label = String(secret);
      assert.throws(
        () => ring(given, { production: true, warn: () => assert.fail("threw or warned, not both") }),
        (error: unknown) =>
          error instanceof TypeError &&
          /secret is weak.*randomBytes\(32\)/.test(error.message) &&
          !error.message.includes(label),
        label,
      );
      const warnings: string[] = [];
      assert.doesNotThrow(() => ring(given, { production: false, warn: (message) => warnings.push(message) }));
      assert.equal(warnings.length, 1, label);
      assert.match(warnings[0] ?? "", /at least 32 random bytes/);
      assert.ok(!(warnings[0] ?? "").includes(label));
    }
  }
});

test("a strong secret is silent", () => {
  const strong: unknown[] = [STRONG, Buffer.from(STRONG), [STRONG], [STRONG, Buffer.from(STRONG.toUpperCase())]];
  for (const secret of strong) assert.doesNotThrow(() => ring(secret, strict));
});

test("each purpose has a key of its own, by HKDF-SHA-256", () => {
  const keys = new KeyRing(STRONG, strict);
  const expected = Buffer.from(hkdfSync("sha256", Buffer.from(STRONG), "sojourn v1", "token|sid", 32));
  const [key, ...others] = keys.keysFor("token|sid");
  assert.ok(key !== undefined);
  assert.equal(others.length, 0);
  assert.deepEqual(key.export(), expected);
  const purposes = ["token|sid", "token|__Host-sid", "seal|sid", "", "token"];
  const exported = purposes.map((purpose) => keys.keysFor(purpose)[0]?.export().toString("hex"));
  assert.equal(new Set(exported).size, purposes.length);
  assert.ok(!exported.includes(Buffer.from(STRONG).toString("hex")), "the master key itself is never used");
});

test("every key is derived as it has been: what was made with an earlier version is read with this one", () => {
  const keys = new KeyRing(STRONG, strict);
  const derived = ["token|sid", "seal|cookie", "seal|store", "seal|url"].map(
    (purpose) => `${purpose} ${keys.keysFor(purpose)[0]?.export().toString("hex")}`,
  );
  assert.deepEqual([...derived, `ID ${keys.keyId(0).toString("hex")}`], VECTORS);
});

test("a string and its UTF-8 bytes are the same secret", () => {
  const secret = "Schlüssel mit genug verschiedenen Zeichen 🗝";
  const [a] = new KeyRing(secret, strict).keysFor("x");
  const [b] = new KeyRing(Buffer.from(secret), strict).keysFor("x");
  assert.ok(a !== undefined && b !== undefined && a.equals(b));
});

test("keys come in the order of the secrets", () => {
  const both = new KeyRing([STRONG, STRONG.toLowerCase()], strict).keysFor("p");
  const [first] = new KeyRing(STRONG, strict).keysFor("p");
  const [second] = new KeyRing(STRONG.toLowerCase(), strict).keysFor("p");
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(
    both.map((key) => key.export()),
    [first.export(), second.export()],
  );
});

test("changing the array afterwards changes no key", () => {
  const secrets = [STRONG];
  const keys = new KeyRing(secrets, silent);
  secrets[0] = "another one that is also long enough to pass";
  const [key] = keys.keysFor("p");
  const [expected] = new KeyRing(STRONG, silent).keysFor("p");
  assert.ok(key !== undefined && expected !== undefined && key.equals(expected));
});

const VECTORS = [
  "token|sid 1ac77e04080481adab46a81a58fbbdf79c46a8570c135ede12281a2959d2ad1c",
  "seal|cookie 845708f8237d9bb2c1a9c65271aa306f3cc948953e8f10b4464b94dd6869c237",
  "seal|store 0765eb914af3443f97d2a5dc9e206eedd1f61d378f9b2a0532bddf68b3dfc380",
  "seal|url 8b434e3d7e3dedb813b3a121a1859059ecc5bae82c2b102d727f12c6bcb54f3a",
  "ID 34753950",
];

test("managed keys are an error before they were read, and replace all others afterwards", () => {
  const managed = new KeyRing(MANAGED, strict);
  assert.throws(() => managed.keysFor("token|sid"), { code: "KEYS_UNAVAILABLE", status: 503 });
  const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  managed.replace([first]);
  const codec = new TokenCodec(managed, "sid");
  const owners = new OwnerHashes(managed);
  const token = codec.format("A".repeat(22), "s".repeat(32));
  const owner = owners.hash("hash", { userId: "ann", createdAt: 1 });
  assert.equal(codec.verify(token)?.outdated, false);
  managed.replace([second, first]);
  assert.equal(codec.verify(token)?.outdated, true);
  assert.equal(owners.all("hash", { userId: "ann", createdAt: 1 })[1], owner);
  managed.replace([second]);
  assert.equal(codec.verify(token), undefined);
  assert.notEqual(owners.hash("hash", { userId: "ann", createdAt: 1 }), owner);
  assert.deepEqual(managed.keyId(0), new KeyRing(second, { production: false, warn: () => {} }).keyId(0));
});
