import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SojournError } from "../../src/contract/errors.ts";
import { type Changes, type Content, type FlashStep, merge, textOf } from "../../src/session/content.ts";

const content = (encoded: Record<string, string>, meta: Content["meta"] = {}): Content => ({
  meta,
  encoded: new Map(Object.entries(encoded)),
});
const changes = (encoded: Record<string, string | undefined>, more: Omit<Changes, "encoded"> = {}): Changes => ({
  encoded: new Map(Object.entries(encoded)),
  ...more,
});
const plain = ({ meta, encoded }: Content) => ({ meta, encoded: Object.fromEntries(encoded) });

test("one request's changes put over a newer state, property by property", () => {
  const table: [string, Content, Changes, ReturnType<typeof plain>][] = [
    ["nothing over nothing", content({}), changes({}), { meta: {}, encoded: {} }],
    ["nothing over something", content({ a: "1" }), changes({}), { meta: {}, encoded: { a: "1" } }],
    ["set a new one", content({ a: "1" }), changes({ b: "2" }), { meta: {}, encoded: { a: "1", b: "2" } }],
    ["set the same one: the later wins", content({ a: "1" }), changes({ a: "2" }), { meta: {}, encoded: { a: "2" } }],
    ["delete one", content({ a: "1", b: "2" }), changes({ a: undefined }), { meta: {}, encoded: { b: "2" } }],
    ["delete one that is gone", content({ b: "2" }), changes({ a: undefined }), { meta: {}, encoded: { b: "2" } }],
    ["set one that the other deleted", content({}), changes({ a: "1" }), { meta: {}, encoded: { a: "1" } }],
    ["names of Object.prototype", content({}), changes({ toString: "1" }), { meta: {}, encoded: { toString: "1" } }],
    ["remember", content({}), changes({}, { endsAt: 9 }), { meta: { endsAt: 9 }, encoded: {} }],
    ["remember anew", content({}, { endsAt: 5 }), changes({}, { endsAt: 9 }), { meta: { endsAt: 9 }, encoded: {} }],
    ["take it back", content({}, { endsAt: 5 }), changes({}, { endsAt: null, absoluteFrom: 7 }), { meta: { absoluteFrom: 7 }, encoded: {} }],
    ["meta stay that nobody changed", content({}, { endsAt: 5, absoluteFrom: 3 }), changes({ a: "1" }), { meta: { endsAt: 5, absoluteFrom: 3 }, encoded: { a: "1" } }],
  ]; // biome-ignore format: a table
  for (const [name, newest, made, expected] of table) assert.deepEqual(plain(merge(newest, made)), expected, name);
});

const add = (type: string, message: unknown): FlashStep => ({ type, add: message });
const take = (type: string, ...messages: unknown[]): FlashStep => ({
  type,
  take: messages.map((message) => JSON.stringify(message)),
});
const flash = (...steps: FlashStep[]): Changes => ({ encoded: new Map(), flash: steps });

test("messages of two requests both survive, and what was taken is taken once", () => {
  const table: [string, Record<string, unknown[]> | undefined, Changes, unknown][] = [
    ["first message", undefined, flash(add("info", "a")), { info: ["a"] }],
    ["one more of the type", { info: ["a"] }, flash(add("info", "b")), { info: ["a", "b"] }],
    ["another type", { info: ["a"] }, flash(add("error", "b")), { info: ["a"], error: ["b"] }],
    ["take all: nothing remains", { info: ["a"] }, flash(take("info", "a")), undefined],
    ["take what was seen, keep what came meanwhile", { info: ["a", "b"] }, flash(take("info", "a")), { info: ["b"] }],
    ["taken by another request already", undefined, flash(take("info", "a")), undefined],
    ["one of two equal messages", { info: ["a", "a"] }, flash(take("info", "a")), { info: ["a"] }],
    ["messages are JSON", { info: [{ n: 1 }, { n: 2 }] }, flash(take("info", { n: 2 })), { info: [{ n: 1 }] }],
    ["take and leave", { info: ["a"] }, flash(take("info", "a"), add("info", "b")), { info: ["b"] }],
    ["leave and take", { info: ["a"] }, flash(add("info", "b"), take("info", "a", "b")), undefined],
    ["take, leave the same again", { info: ["a"] }, flash(take("info", "a"), add("info", "a")), { info: ["a"] }],
  ];
  for (const [name, stored, made, expected] of table) {
    const merged = merge(content({}, stored === undefined ? {} : { flash: stored }), made);
    assert.deepEqual(merged.meta.flash, expected, name);
  }
});

test("a message type may have any name, and no prototype changes", () => {
  const message = { polluted: true };
  const merged = merge(content({}), flash(add("__proto__", message)));
  assert.deepEqual(Object.getOwnPropertyNames(merged.meta.flash), ["__proto__"]);
  assert.equal(Object.getPrototypeOf(merged.meta.flash), Object.prototype);
  assert.equal(merge(merged, flash(take("__proto__", message))).meta.flash, undefined);
});

test("merging modifies neither argument", () => {
  const stored = content({ a: "1", b: "2" }, { endsAt: 5, flash: { info: ["a"] } });
  const made = changes({ a: undefined, c: "3" }, { endsAt: null, flash: [take("info", "a"), add("info", "b")] });
  const before = structuredClone({ stored, made });
  merge(stored, made);
  assert.deepEqual({ stored, made }, before);
});

const names = fc.constantFrom("a", "b", "c", "d", "__proto__", "toString");
const encoded = fc.dictionary(names, fc.json(), { noNullPrototype: true });
const edits = fc.array(fc.tuple(names, fc.option(fc.json(), { nil: undefined })));

test("property: a merge is exactly the changes, and changes of different properties commute", () => {
  fc.assert(
    fc.property(encoded, edits, edits, (stored, first, second) => {
      const newest: Content = { meta: {}, encoded: new Map(Object.entries(stored)) };
      const one: Changes = { encoded: new Map(first) };
      const two: Changes = { encoded: new Map(second.filter(([name]) => !one.encoded.has(name))) };
      const merged = merge(newest, one);
      for (const name of ["a", "b", "c", "d", "__proto__", "toString"]) {
        assert.equal(
          merged.encoded.get(name),
          one.encoded.has(name) ? one.encoded.get(name) : newest.encoded.get(name),
        );
      }
      const sorted = (value: Content) => [...value.encoded].sort();
      assert.deepEqual(sorted(merge(merge(newest, one), two)), sorted(merge(merge(newest, two), one)));
      assert.deepEqual(sorted(merge(merged, one)), sorted(merged), "the same changes again change nothing");
    }),
    { numRuns: 300 },
  );
});

test("the text of a property is its JSON", () => {
  const holder = { n: 1, s: "é\n", d: new Date(0), u: undefined, nan: Number.NaN, nested: { a: [1, undefined] } };
  assert.equal(textOf(holder, "n"), "1");
  assert.equal(textOf(holder, "s"), '"é\\n"');
  assert.equal(textOf(holder, "d"), '"1970-01-01T00:00:00.000Z"');
  assert.equal(textOf(holder, "u"), undefined);
  assert.equal(textOf(holder, "missing"), undefined);
  assert.equal(textOf(holder, "nan"), "null");
  assert.equal(textOf(holder, "nested"), '{"a":[1,null]}');
});

test("what JSON can't hold is refused by name, and its value is told nobody", () => {
  const circular: Record<string, unknown> = { secret: "hunter2" };
  circular["self"] = circular;
  const values: [string, unknown][] = [
    ["BigInt", 2n ** 64n],
    ["nested BigInt", { deep: [1n] }],
    ["symbol", Symbol("hunter2")],
    ["function", () => "hunter2"],
    ["circular", circular],
    ["toJSON that gives nothing", { toJSON: () => undefined }],
    ["toJSON that throws", { toJSON: () => { throw new Error("no") } }],
    ["getter that throws", { get boom() { throw new Error("no") } }],
  ]; // biome-ignore format: a table
  for (const [name, value] of values) {
    assert.throws(
      () => textOf({ "my\nproperty": value }, "my\nproperty"),
      (error: unknown) =>
        error instanceof SojournError &&
        error.code === "NOT_SERIALIZABLE" &&
        error.status === 500 &&
        error.message.includes('req.session["my\\nproperty"]') &&
        !error.message.includes("hunter2"),
      name,
    );
  }
});

test("a value too deep for JSON.stringify is refused like any other", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i += 1) deep = [deep];
  assert.throws(() => textOf({ deep }, "deep"), { code: "NOT_SERIALIZABLE" });
});
