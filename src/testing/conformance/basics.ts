import { deepEqual, equal } from "node:assert/strict";
import { isIndexed } from "../../contract/store.ts";
import type { Check } from "./check.ts";

/** Text that has broken a store somewhere. */
const texts: Readonly<Record<string, string>> = {
  empty: "",
  "a space": " ",
  "trailing spaces": "x  ",
  quotes: `'";--\\'\\"\`$1 ? :name %s`,
  "new lines": "a\r\nb\u2028c\u2029d",
  "control characters": "\u0001\u001f\u007f\u0085",
  "many scripts": "žluťoučký Ελληνικά עברית العربية 中文 한국어 🧑‍🚀🏳️‍🌈",
  "composed and decomposed": "\u00e9 e\u0301",
  "the byte order mark": "\ufeffx",
  "the largest code point": "\u{10ffff}\uffff",
  "a name of Object.prototype": "__proto__",
  JSON: '{"__proto__":{"polluted":true},"a":[1,2.5e300,null]}',
};

const unstorable: Readonly<Record<string, string>> = {
  "a NUL character": "a\u0000b",
  "half a surrogate pair": "\ud800x",
  "the other half": "x\udfff",
};

const oddNames = ["__proto__", "constructor", "hasOwnProperty", "toString", "prototype", "0", "null", "undefined"];

/** Within the alphabet of handles, base64url. None may be folded or matched as a pattern. */
const alikeHandles = ["abc", "Abc", "ABC", "ab_", "_bc", "ab-", "-bc", "abcd", "ab", "1", "01", "001"];

export const basics: readonly Check[] = [
  {
    name: "a fresh store has nothing under any handle",
    async run(bench) {
      await bench.holds("unknown", undefined);
      equal(await bench.first.delete("unknown"), false);
      await bench.holds("unknown", undefined);
    },
  },
  {
    name: "what one connection created, the other one loads, every field of it",
    async run(bench) {
      const now = bench.clock.now();
      const record = await bench.create("handle", {
        payload: "p",
        version: 1,
        secretHash: "s",
        userId: "user",
        createdAt: now - 3,
        touchedAt: now - 2,
        expiresAt: now + 1,
      });
      await bench.holds("handle", record);
      const anonymous = await bench.create("anonymous", { userId: null });
      await bench.holds("anonymous", anonymous);
    },
  },
  {
    name: "numbers keep their value: large versions, times up to the year 9999",
    async run(bench) {
      const record = await bench.create("handle", {
        version: 2 ** 40 + 1,
        createdAt: 1,
        expiresAt: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
      });
      await bench.holds("handle", record);
      const next = { ...record, version: record.version + 1 };
      equal(await bench.second.update("handle", next, record.version), "ok");
      await bench.holds("handle", next);
    },
  },
  ...Object.entries(texts).map(([name, text]): Check => textCheck(name, text)),
  ...Object.entries(unstorable).map(([name, text]): Check => ({ ...textCheck(name, text), needs: "any text" })),
  {
    name: "a payload of 1 MiB, created and updated",
    async run(bench) {
      const large = "x".repeat(1024 * 1024 - 1);
      const record = await bench.create("handle", { payload: `1${large}` });
      await bench.holds("handle", record);
      const next = { ...record, payload: `2${large}`, version: 2 };
      equal(await bench.second.update("handle", next, 1), "ok");
      await bench.holds("handle", next);
      const small = { ...next, payload: "3", version: 3 };
      equal(await bench.first.update("handle", small, 2), "ok");
      await bench.holds("handle", small);
    },
  },
  {
    name: "handles and users may have the names of JavaScript's own things",
    async run(bench) {
      for (const name of oddNames) equal(await bench.second.load(name), undefined, name);
      for (const name of oddNames) await bench.create(name, { payload: name, userId: name });
      for (const name of oddNames) equal((await bench.second.load(name))?.payload, name);
      for (const name of oddNames) equal(await bench.first.delete(name), true, name);
      for (const name of oddNames) equal(await bench.second.load(name), undefined, name);
    },
  },
  {
    name: "handles that look alike are different",
    async run(bench) {
      for (const name of alikeHandles) await bench.create(name, { payload: name });
      for (const name of alikeHandles) equal((await bench.second.load(name))?.payload, name);
      equal(await bench.first.delete("abc"), true);
      for (const name of alikeHandles.slice(1)) equal((await bench.second.load(name))?.payload, name);
    },
  },
  {
    name: "nobody can change the store through an object that they gave it or got from it",
    async run(bench) {
      const record = bench.record();
      const untouched = { ...record };
      await bench.first.create("handle", record);
      record.payload = "changed";
      record.version = 99;
      const loaded = await bench.first.load("handle");
      deepEqual(loaded, untouched);
      if (loaded !== undefined) loaded.payload = "changed too";
      await bench.holds("handle", untouched);
      const next = { ...untouched, version: 2, payload: "next" };
      const nextUntouched = { ...next };
      await bench.first.update("handle", next, 1);
      next.expiresAt = 0;
      await bench.holds("handle", nextUntouched);
    },
  },
  {
    name: "says of itself what is so",
    async run({ first }) {
      // Without `await`, which would hide a promise.
      if (first.synchronousLoad === true) equal(first.load("unknown"), undefined);
      if (first.capabilities !== undefined) equal(first.capabilities.indexed, isIndexed(first));
    },
  },
];

function textCheck(name: string, text: string): Check {
  return {
    name: `text comes back unchanged: ${name}`,
    async run(bench) {
      const record = await bench.create("handle", { payload: text });
      await bench.holds("handle", record);
      const next = { ...record, payload: `${text}${text}`, version: 2 };
      equal(await bench.second.update("handle", next, 1), "ok");
      await bench.holds("handle", next);
    },
  };
}
