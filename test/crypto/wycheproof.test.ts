import assert from "node:assert/strict";
import { createSecretKey, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { macOf } from "../../src/crypto/key-ring.ts";
import { gcmDecrypt, gcmEncrypt } from "../../src/crypto/xaes.ts";

/** So that a file that was cut short is noticed. */
const COUNTS = { gcm: 48, hmac: 117, hkdf: 105 };

/** Each field but these is hexadecimal; every file has its own. */
interface Vector extends Record<string, unknown> {
  tcId: number;
  result: "valid" | "acceptable" | "invalid";
  flags: string[];
}

interface Group extends Record<string, unknown> {
  tests: Vector[];
}

function groupsOf(file: string): Group[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, "wycheproof", `${file}.json`), "utf8")).testGroups;
}

function bytes(value: unknown): Buffer {
  return Buffer.from(String(value), "hex");
}

test("AES-256-GCM as it seals: every vector with an IV of 96 bits and a tag of 128", () => {
  let count = 0;
  for (const group of groupsOf("aes_gcm_test")) {
    if (group["keySize"] !== 256 || group["ivSize"] !== 96 || group["tagSize"] !== 128) continue;
    for (const { tcId, result, ...vector } of group.tests) {
      const key = createSecretKey(bytes(vector["key"]));
      const [iv, aad, message] = [bytes(vector["iv"]), bytes(vector["aad"]), bytes(vector["msg"])];
      const sealed = Buffer.concat([bytes(vector["ct"]), bytes(vector["tag"])]);
      const opened = gcmDecrypt(key, iv, sealed, aad);
      if (result === "valid") {
        assert.deepEqual(opened, message, `vector ${tcId}`);
        assert.deepEqual(gcmEncrypt(key, iv, message, aad), sealed, `vector ${tcId}`);
      } else assert.equal(opened, undefined, `vector ${tcId}`);
      count++;
    }
  }
  assert.equal(count, COUNTS.gcm);
});

test("HMAC-SHA-256 as it signs: every vector whose message is text", () => {
  let count = 0;
  for (const group of groupsOf("hmac_sha256_test")) {
    for (const { tcId, result, ...vector } of group.tests) {
      const text = bytes(vector["msg"]).toString("utf8");
      if (!Buffer.from(text, "utf8").equals(bytes(vector["msg"]))) continue;
      const made = Buffer.from(macOf(createSecretKey(bytes(vector["key"])), text), "base64url");
      const matches = made.subarray(0, Number(group["tagSize"]) / 8).equals(bytes(vector["tag"]));
      assert.equal(matches, result === "valid", `vector ${tcId}`);
      count++;
    }
  }
  assert.equal(count, COUNTS.hmac);
});

test("HKDF-SHA-256 as keys are derived: every vector, and none longer than RFC 5869 allows", () => {
  let count = 0;
  for (const group of groupsOf("hkdf_sha256_test")) {
    for (const { tcId, result, ...vector } of group.tests) {
      const derived = () =>
        hkdfSync("sha256", bytes(vector["ikm"]), bytes(vector["salt"]), bytes(vector["info"]), Number(vector["size"]));
      if (result === "invalid") assert.throws(derived, `vector ${tcId}`);
      else assert.deepEqual(Buffer.from(derived()), bytes(vector["okm"]), `vector ${tcId}`);
      count++;
    }
  }
  assert.equal(count, COUNTS.hkdf);
});
