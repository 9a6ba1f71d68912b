import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { requireSerializable } from "../../src/session/serializable.ts";
import { engine } from "../support/contexts.ts";

class User {
  name: string;
  constructor(name: string) {
    this.name = name;
  }
  greet(): string {
    return `Hello ${this.name}`;
  }
}

class Vault {
  readonly #content = 1;
  open(): number {
    return this.#content;
  }
}

function circular(): object {
  const node: Record<string, unknown> = { list: [] };
  node["list"] = [{ up: node }];
  return node;
}

/** What would come back as something else, and how its place is called. */
const LOST: [what: string, value: unknown, path: string][] = [
  ["a Map", new Map([["a", 1]]), ""],
  ["an empty Map", new Map(), ""],
  ["a Set", new Set([1]), ""],
  ["a WeakMap", new WeakMap(), ""],
  ["a WeakSet", new WeakSet(), ""],
  ["a RegExp", /x/, ""],
  ["an Error", new Error("x"), ""],
  ["an Error with properties", Object.assign(new TypeError("x"), { code: "E" }), ""],
  ["a Promise", Promise.resolve(1), ""],
  ["NaN", Number.NaN, ""],
  ["Infinity", Number.POSITIVE_INFINITY, ""],
  ["a boxed NaN", Object(Number.NaN), ""],
  ["a BigInt", 1n, ""],
  ["a function", () => 1, ""],
  ["a symbol", Symbol("x"), ""],
  ["an invalid Date", new Date(Number.NaN), ""],
  ["a typed array", new Uint8Array(2), ""],
  ["an ArrayBuffer", new ArrayBuffer(2), ""],
  ["a URLSearchParams", new URLSearchParams("a=1"), ""],
  ["an Intl.NumberFormat", new Intl.NumberFormat(), ""],
  ["a generator", (function* () {})(), ""],
  ["an instance without anything that JSON sees", new Vault(), ""],
  ["a named property of an array", Object.assign([1], { total: 1 }), ".total"],
  ["a match", "abc".match(/b/), ".index"],
  ["undefined in an array", [1, undefined], "[1]"],
  ["a hole in an array", new Array(2), "[0]"],
  ["a nested function", { a: { run() {} } }, ".a.run"],
  ["a nested symbol", { a: [Symbol("x")] }, ".a[0]"],
  ["a property named by a symbol", { a: { [Symbol("x")]: 1 } }, ".a[Symbol(x)]"],
  ["a nested Map", { items: [{}, { options: new Map() }] }, ".items[1].options"],
  ["a nested NaN", { "a b": { "1": Number.NaN } }, '["a b"]["1"]'],
  ["a nested BigInt", { a: [1n] }, ".a[0]"],
  ["a Map that toJSON gives", { a: { toJSON: () => ({ deep: new Map() }) } }, ".a.deep"],
  ["a circular reference", circular(), ".list[0].up"],
];

const KEPT: [what: string, value: unknown][] = [
  ["plain data", { a: [1, "x", true, null, { b: {} }], "": -1.5 }],
  ["undefined in an object", { a: undefined }],
  ["a Date", new Date(0)],
  ["a Buffer, as its toJSON says", Buffer.from("x")],
  ["a URL", new URL("http://x/")],
  ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
  ["an empty object of another realm", runInNewContext("({ a: {}, b: [] })")],
  ["the data of a class's instance", new User("A")],
  ["a class with toJSON", Object.assign(new Vault(), { toJSON: () => 1 })],
  ["boxed primitives", [Object(1), Object("x"), Object(true)]],
  ["the same object twice", ((one) => [one, one])({ a: 1 })],
];

test("what JSON would lose is refused with its path, and what it keeps is not", () => {
  for (const [what, value, path] of LOST) {
    assert.throws(
      () => requireSerializable(value, "req.session.x"),
      (error: unknown) => {
        const { code, message } = Object(error);
        assert.equal(code, "NOT_SERIALIZABLE", what);
        assert.ok(message.startsWith(`req.session.x${path} can't be saved: `), `${what}: ${message}`);
        return true;
      },
      what,
    );
  }
  for (const [what, value] of KEPT) requireSerializable(value, what);
});

describe("a session", () => {
  test("refuses to save what JSON would lose, new or in the place of something, and stays as it was", async () => {
    for (const [what, value, path] of LOST) {
      for (const before of [undefined, 1, {}, null]) {
        const { request } = engine();
        const first = await request();
        Object.assign(first.session, { x: before, kept: 1 });
        const held = await first.end();
        const visit = await request(held);
        Object.assign(visit.session, { x: value });
        await assert.rejects(
          visit.end(),
          (error: unknown) => {
            const { code, message } = Object(error);
            return code === "NOT_SERIALIZABLE" && message.startsWith(`req.session.x${path} can't be saved: `);
          },
          `${what} in the place of ${before}`,
        );
        const stored = { ...(await request(held)).session };
        assert.deepEqual(stored, { ...(before !== undefined && { x: before }), kept: 1 }, what);
      }
    }
  });

  test("refuses what was put into a stored property, and a message that JSON would lose", async () => {
    const { request } = engine();
    const first = await request();
    Object.assign(first.session, { cart: { items: [] } });
    const visit = await request(await first.end());
    const { items } = Object(Reflect.get(visit.session, "cart"));
    items.push({ price: Number.NaN });
    await assert.rejects(visit.session.save(), {
      code: "NOT_SERIALIZABLE",
      message: /^req\.session\.cart\.items\[0\]\.price can't/,
    });
    assert.throws(() => visit.session.flash("info", { at: new Map() }), {
      code: "NOT_SERIALIZABLE",
      message: /message\.at can't/,
    });
  });

  test("keeps what comes back as JSON has it, and looks at nothing that did not change", async () => {
    const { request } = engine();
    for (const [what, value] of KEPT) {
      const first = await request();
      Object.assign(first.session, { x: value });
      const next = await request(await first.end());
      assert.deepEqual(Reflect.get(next.session, "x"), JSON.parse(JSON.stringify(value)), what);
    }
  });
});
