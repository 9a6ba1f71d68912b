import { deepEqual, equal } from "node:assert/strict";
import { isIndexed, type SessionStore } from "../../contract/store.ts";
import { type Check, type CheckContext, checks } from "./check.ts";

/** Texts that broke stores in the past. */
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

const malformed: Readonly<Record<string, string>> = {
  "a NUL character": "a\u0000b",
  "half a surrogate pair": "\ud800x",
  "the other half": "x\udfff",
};

const oddNames = ["__proto__", "constructor", "hasOwnProperty", "toString", "prototype", "0", "null", "undefined"];

/** A store must not fold case in handles, or match them as patterns. */
const similarHandles = ["abc", "Abc", "ABC", "ab_", "_bc", "ab-", "-bc", "abcd", "ab", "1", "01", "001"];

export const basics: readonly Check[] = [
  ...checks({
    "a new store is empty": async (context) => {
      await context.holds("unknown", undefined);
      equal(await context.first.delete("unknown"), false);
      await context.holds("unknown", undefined);
    },
    "one connection loads every field that the other one created": async (context) => {
      const now = context.clock.now();
      const record = await context.create("handle", {
        payload: "p",
        version: 1,
        secretHash: "s",
        userId: "user",
        createdAt: now - 3,
        touchedAt: now - 2,
        expiresAt: now + 1,
      });
      await context.holds("handle", record);
      const anonymous = await context.create("anonymous", { userId: null });
      await context.holds("anonymous", anonymous);
    },
    "numbers keep their value: large versions, times up to the year 9999": async (context) => {
      const record = await context.create("handle", {
        version: 2 ** 40 + 1,
        createdAt: 1,
        expiresAt: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
      });
      await context.holds("handle", record);
      const next = { ...record, version: record.version + 1 };
      equal(await context.second.update("handle", next, record.version), "ok");
      await context.holds("handle", next);
    },
  }),
  ...textChecks(texts),
  ...textChecks(malformed).map((check): Check => ({ ...check, needs: "any text" })),
  ...checks({
    "a store creates and updates a payload of 1 MiB": async (context) => {
      const large = "x".repeat(1024 * 1024 - 1);
      const record = await context.create("handle", { payload: `1${large}` });
      await context.holds("handle", record);
      const next = { ...record, payload: `2${large}`, version: 2 };
      equal(await context.second.update("handle", next, 1), "ok");
      await context.holds("handle", next);
      const small = { ...next, payload: "3", version: 3 };
      equal(await context.first.update("handle", small, 2), "ok");
      await context.holds("handle", small);
    },
    "handles and user IDs may have the names of JavaScript's built-in properties": async (context) => {
      for (const name of oddNames) equal(await context.second.load(name), undefined, name);
      for (const name of oddNames) await context.create(name, { payload: name, userId: name });
      for (const name of oddNames) equal((await context.second.load(name))?.payload, name);
      for (const name of oddNames) equal(await context.first.delete(name), true, name);
      for (const name of oddNames) equal(await context.second.load(name), undefined, name);
    },
    "similar handles are different": async (context) => {
      for (const name of similarHandles) await context.create(name, { payload: name });
      for (const name of similarHandles) equal((await context.second.load(name))?.payload, name);
      equal(await context.first.delete("abc"), true);
      for (const name of similarHandles.slice(1)) equal((await context.second.load(name))?.payload, name);
    },
    "a store shares no object with its caller: later changes to it change nothing": async (context) => {
      const record = context.record();
      const untouched = { ...record };
      await context.first.create("handle", record);
      record.payload = "changed";
      record.version = 99;
      const loaded = await context.first.load("handle");
      deepEqual(loaded, untouched);
      if (loaded !== undefined) loaded.payload = "changed too";
      await context.holds("handle", untouched);
      const next = { ...untouched, version: 2, payload: "next" };
      const nextUntouched = { ...next };
      await context.first.update("handle", next, 1);
      next.expiresAt = 0;
      await context.holds("handle", nextUntouched);
    },
    "the store's declarations are true": async ({ first }) => {
      // No `await`: it would hide a promise.
      if (first.synchronousLoad === true) equal(first.load("unknown"), undefined);
      if (first.capabilities !== undefined) equal(first.capabilities.indexed, isIndexed(first));
    },
  }),
];

function textChecks(texts: Readonly<Record<string, string>>) {
  return Object.entries(texts).map(([name, text]) => ({
    name: `text is stored unchanged: ${name}`,
    async run(context: CheckContext<SessionStore>) {
      const record = await context.create("handle", { payload: text });
      await context.holds("handle", record);
      const next = { ...record, payload: `${text}${text}`, version: 2 };
      equal(await context.second.update("handle", next, 1), "ok");
      await context.holds("handle", next);
    },
  }));
}
