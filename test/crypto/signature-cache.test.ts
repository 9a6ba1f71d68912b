import assert from "node:assert/strict";
import { test } from "node:test";
import { signValue, unsignValue } from "../../src/crypto/signature.ts";

test("a text that was verified with a key is not good for other keys", () => {
  const keys = ["old", "new"];
  const text = signValue("id", "old");
  assert.equal(unsignValue(text, keys), "id");
  assert.equal(unsignValue(text, keys), "id");
  keys.shift();
  assert.equal(unsignValue(text, keys), undefined);
  assert.equal(unsignValue(text, ["old"]), "id");
});

test("a key of bytes that the application overwrites verifies nothing that it signed before", () => {
  const key = Buffer.from("old");
  const text = signValue("id", key);
  assert.equal(unsignValue(text, [key]), "id");
  key.fill(0);
  assert.equal(unsignValue(text, [key]), undefined);
});

test("values with dots, wide characters and lone surrogates are verified again and again", () => {
  for (const value of ["a.b", "żółw", "\ud800", ""]) {
    const text = signValue(value, "key");
    for (let time = 0; time < 2; time++) assert.equal(unsignValue(text, ["key"]), value);
    for (let time = 0; time < 2; time++) assert.equal(unsignValue(`${text}x`, ["key"]), undefined);
  }
});
