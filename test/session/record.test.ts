import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Content, decodePayload, encodePayload } from "../../src/session/content.ts";
import type { SessionMeta } from "../../src/session/meta.ts";

const META: SessionMeta = {
  endsAt: 2_524_608_000_000,
  device: { label: "Firefox on Linux", ip: "192.0.2.1" },
  flash: { info: ["Bücher", { n: 1 }] },
};
const ENCODED = new Map([
  ["cart", '["book","lamp"]'],
  ["views", "3"],
  ["naïve 🍪\n", '"line\\nbreak 😀"'],
]);

test("the format, to the byte: the library's meta, an index, the encoded", () => {
  const encoded = new Map([
    ["cart", '["book","lamp"]'],
    ["views", "3"],
  ]);
  assert.equal(encodePayload({ meta: {}, encoded }), '[0,"cart",15,"views",1]\n["book","lamp"]3');
  assert.equal(encodePayload({ meta: {}, encoded: new Map() }), "[0]\n");
  assert.equal(encodePayload({ meta: { endsAt: 5 }, encoded: new Map([["n", "1"]]) }), '[12,"n",1]\n{"endsAt":5}1');
});

test("what is encoded is decoded", () => {
  assert.deepEqual(decodePayload(encodePayload({ meta: META, encoded: ENCODED })), {
    meta: META,
    encoded: ENCODED,
  });
});

test("property: any meta and any JSON encoded survive, under any names", () => {
  const meta: fc.Arbitrary<SessionMeta> = fc.record(
    {
      endsAt: fc.integer(),
      absoluteFrom: fc.integer(),
      notAfter: fc.integer(),
      authenticatedAt: fc.integer(),
      methods: fc.array(fc.string({ unit: "binary" })),
      stamp: fc.string({ unit: "binary" }),
      actor: fc.record(
        { userId: fc.string(), reason: fc.string({ unit: "binary" }), since: fc.integer(), session: fc.string() },
        { noNullPrototype: true },
      ),
      parked: fc.record({ endsAt: fc.integer() }, { requiredKeys: [], noNullPrototype: true }),
      device: fc.record(
        { label: fc.string({ unit: "binary" }), ip: fc.string() },
        { requiredKeys: [], noNullPrototype: true },
      ),
      flash: fc.dictionary(fc.string({ unit: "binary" }), fc.array(fc.jsonValue()), { noNullPrototype: true }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const name = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("__proto__", "constructor", "toString", "\n", "[0]\n"),
  );
  fc.assert(
    fc.property(meta, fc.array(fc.tuple(name, fc.json({ stringUnit: "binary" }))), (given, entries) => {
      const encoded = new Map(entries);
      const jsonFacts: unknown = JSON.parse(JSON.stringify(given));
      assert.deepEqual(decodePayload(encodePayload({ meta: given, encoded })), { meta: jsonFacts, encoded });
    }),
    { numRuns: 200 },
  );
});

test("lone surrogates travel, as JSON escapes them", () => {
  const encoded = new Map([["\ud800", JSON.stringify("\udfff😀\ud83d")]]);
  assert.deepEqual(decodePayload(encodePayload({ meta: {}, encoded }))?.encoded, encoded);
});

test("a payload cut at any offset counts as absent", () => {
  const payload = encodePayload({ meta: META, encoded: ENCODED });
  for (let end = 0; end < payload.length; end += 1) {
    assert.equal(decodePayload(payload.slice(0, end)), undefined, `cut at ${end}`);
    if (end > 0) assert.equal(decodePayload(payload.slice(end)), undefined, `begun at ${end}`);
  }
  assert.equal(decodePayload(`${payload}x`), undefined, "one more character");
  assert.equal(decodePayload(payload + payload), undefined, "twice");
});

test("type confusion in the index or the meta counts as absent", () => {
  const heads = [
    "", "null", "0", "{}", "[]", '"[0]"', "[1]", "[null]", '["x"]', "[false]", "[[]]", "[0,0]", '[0,"a"]', '[0,"a","1"]',
    '[0,"a",-1]', '[0,"a",0]', '[0,"a",0.5]', '[0,"a",null]', '[0,1,1]', '[0,null,1]', '[0,"a",1,"b"]', '[0,"a",2]', '[0,"a",1e308]',
    '[0,"a",9007199254740993]', '[0,"a",1', ' [0,"a",1]', "[0,'a',1]", '[0,"a",1,]', '[0,"a"1]', '[0"a",1]', '[0,a,1]', '[0,"a,1]',
    '[0,"a\\\\",1]"', '[0,"\\x",1]', '[0,"\\",1]', '[,"a",1]', '[-0,"a",1]', '[2,"a",1]', '[0,"a",1]]', '[0,"a", 1]',
  ]; // biome-ignore format: a list of small values
  const meta = [
    '{"endsAt":"5"}', '{"endsAt":null}', '{"absoluteFrom":true}', '{"device":1}', '{"device":[]}', '{"device":{"label":1}}', '{"device":{"ip":{}}}',
    '{"notAfter":"5"}', '{"authenticatedAt":null}', '{"methods":"pwd"}', '{"methods":[1]}', '{"methods":{}}', '{"stamp":1}', '{"actor":{}}', '{"actor":null}',
    '{"actor":{"userId":"a","reason":"b","since":"1","session":"c"}}', '{"actor":{"userId":1,"reason":"b","since":1,"session":"c"}}', '{"parked":1}',
    '{"parked":{"endsAt":null}}', '{"flash":[]}', '{"flash":{"a":"b"}}', '{"flash":null}', '{"transport":1}', "0", "null", "[]", '"x"', "{", "}",
  ]; // biome-ignore format: a list of small values
  for (const text of meta) assert.equal(decodePayload(`[${text.length},"a",1]\n${text}1`), undefined, text);
  for (const head of heads) assert.equal(decodePayload(`${head}\n1`), undefined, head);
  assert.equal(decodePayload('[0,"a",1]1'), undefined, "no line feed");
  assert.equal(decodePayload('{"cookie":{},"a":1}'), undefined, "another library's record");
  assert.deepEqual(
    decodePayload('[0,"a",1]\n1'),
    { meta: {}, encoded: new Map([["a", "1"]]) },
    "the one that is right",
  );
});

test("unknown meta are dropped, so that they can't smuggle anything in", () => {
  const meta = '{"endsAt":5,"isAdmin":true,"__proto__":{"x":1}}';
  const decoded = decodePayload(`[${meta.length}]\n${meta}`);
  assert.deepEqual(decoded?.meta, { endsAt: 5 });
  assert.deepEqual(Object.getOwnPropertyNames(decoded?.meta), ["endsAt"]);
  assert.equal(Object.getPrototypeOf(decoded?.meta), Object.prototype);
});

function isWellFormed(decoded: Content | undefined): boolean {
  if (decoded === undefined) return true;
  for (const [name, text] of decoded.encoded) if (typeof name !== "string" || typeof text !== "string") return false;
  return typeof decoded.meta === "object";
}

test("property: anything at all is decoded or absent, and never throws or reaches a prototype", () => {
  const payload = encodePayload({ meta: META, encoded: ENCODED });
  const prototype = Object.getOwnPropertyNames(Object.prototype).sort();
  const mutated = fc
    .array(fc.tuple(fc.nat(payload.length), fc.nat(3), fc.string({ unit: "binary", maxLength: 3 })), {
      minLength: 1,
      maxLength: 4,
    })
    .map((edits) => {
      let text = payload;
      for (const [at, removed, inserted] of edits) text = text.slice(0, at) + inserted + text.slice(at + removed);
      return text;
    });
  const confused = fc.tuple(fc.json(), fc.string({ unit: "binary" })).map(([head, body]) => `${head}\n${body}`);
  const index = fc
    .tuple(fc.array(fc.oneof(fc.jsonValue(), fc.nat(5), fc.constantFrom(0, "a"))), fc.string())
    .map(([head, body]) => `${JSON.stringify(head)}\n${body}`);
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), mutated, confused, index), (text) => {
      const decoded = decodePayload(text);
      assert.ok(isWellFormed(decoded));
      // Whatever counts as valid says how long it is, so encoding it again loses nothing.
      if (decoded !== undefined) assert.deepEqual(decodePayload(encodePayload(decoded)), decoded);
    }),
    { numRuns: 3_000 },
  );
  assert.deepEqual(Object.getOwnPropertyNames(Object.prototype).sort(), prototype);
});

test("a hostile index of 2 MiB is judged without overflowing the stack", () => {
  assert.equal(decodePayload(`${"[".repeat(2 * 1024 * 1024)}\n`), undefined);
  assert.equal(decodePayload("[".repeat(2 * 1024 * 1024)), undefined);
  assert.equal(decodePayload(`[${"0,".repeat(1024 * 1024)}0]\n`), undefined);
});
