import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import { describe, test } from "node:test";
import { keygripSigner, signValue, unsignValue } from "../../src/crypto/signature.ts";

describe("the format of cookie-signature", () => {
  const vectors = [
    ["apple", "keyboard cat", "D8Y+pkTAmeR0PobOhY4G97PRW+j7bUnP/5m6/On1MCU"],
    ["0123456789ABCDEFGHIJKLMNOPQRSTUV", "keyboard cat", "2zhR3+2AahVAMmNRS9PfWJvfS+TixxEEHPrfWPH0dN4"],
    ["x.y.z", "a", "Cwvch3qGL3xI6e33E0J9Zm5oMY16Sl+y3k5vKDyfkb8"],
  ] as const;

  for (const [value, secret, signature] of vectors) {
    test(`${value} with ${secret}`, () => {
      const signed = `${value}.${signature}`;
      for (const key of [secret, Buffer.from(secret), createSecretKey(Buffer.from(secret))]) {
        assert.equal(signValue(value, key), signed);
        assert.equal(unsignValue(signed, ["another", key]), value);
      }
      assert.equal(unsignValue(signed, ["another"]), undefined);
    });
  }

  test("nothing else passes, whatever it looks like", () => {
    const signed = signValue("apple", "keyboard cat");
    const texts = [
      "",
      ".",
      "apple",
      "apple.",
      `${signed}=`,
      `${signed}.`,
      ` ${signed}`,
      signed.slice(0, -1),
      `x${signed}`,
    ];
    for (let i = 0; i < signed.length; i += 1) texts.push(`${signed.slice(0, i)}\u0000${signed.slice(i + 1)}`);
    for (const text of texts) assert.equal(unsignValue(text, ["keyboard cat", "other"]), undefined, text);
  });

  test("without a key or a text it says why", () => {
    assert.throws(() => Reflect.apply(signValue, undefined, ["a", undefined]), /Secret key must be provided/);
    assert.throws(() => Reflect.apply(signValue, undefined, [42, "key"]), /must be provided as a string/);
  });
});

describe("the format of keygrip", () => {
  const vectors = [
    [["a", "b"], "session=eyJtZXNzYWdlIjoiaGkifQ==", "vdp2-kj-91tgzbWcV1QzofT3hu0"],
    [["a"], "session=e30=", "8ryvNgg8q6BXGIAl3pmG2syWtWo"],
    [["secret"], "my.session=eyJhIjoiw6k7In0=", "H2q0igVwmAGYZrgalbarLOpRN5A"],
    [["a"], "session=", "S5xzvvfka05Z8JWDc8Tqj40wqBw"],
  ] as const;

  for (const [keys, text, signature] of vectors) {
    test(`${text} with ${keys}`, () => {
      assert.equal(keygripSigner(keys).sign(text), signature);
      assert.equal(keygripSigner(["new", ...keys]).index(text, signature), 1);
      assert.equal(keygripSigner(["new"]).index(text, signature), -1);
    });
  }

  test("keys may be changed in the array that was given", () => {
    const keys = ["old"];
    const signer = keygripSigner(keys);
    const signature = signer.sign("a=b");
    keys.unshift("new");
    assert.equal(signer.index("a=b", signature), 1);
    assert.notEqual(signer.sign("a=b"), signature);
    assert.throws(() => keygripSigner([]), /Keys must be provided/);
  });
});
