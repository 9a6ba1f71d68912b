import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Arena, contentOf } from "../../src/stores/memory/arena.ts";
import { Chains } from "../../src/stores/memory/chains.ts";
import { Directory } from "../../src/stores/memory/directory.ts";
import { areNames, Name } from "../../src/stores/memory/name.ts";
import { Order } from "../../src/stores/memory/order.ts";
import { Recent } from "../../src/stores/memory/recent.ts";
import { LARGEST_NUMBER, NONE, Rings, Rows, Texts } from "../../src/stores/memory/rows.ts";

test("rows keep what was set, across pages", () => {
  const rows = new Rows(6);
  const texts = new Texts();
  const slots = [0, 1, 4_095, 4_096, 20_000];
  for (const slot of slots) {
    rows.setNumber(slot, 1, 2 ** 40 + slot);
    rows.setInteger(slot, 4, slot);
    texts.set(slot, `slot ${slot}`);
  }
  for (const slot of slots) {
    deepEqual([rows.number(slot, 0), rows.number(slot, 1)], [0, 2 ** 40 + slot]);
    deepEqual([rows.integer(slot, 4), rows.integer(slot, 5)], [slot, NONE]);
    equal(texts.get(slot), `slot ${slot}`);
  }
  deepEqual([rows.number(100_000, 0), rows.integer(100_000, 4), texts.get(100_000)], [0, NONE, undefined]);
});

test("rows keep whole numbers of 48 bits, each apart from its neighbour, and bring others to the nearest below", () => {
  const rows = new Rows(6);
  const model = new Map([0, 1, 3, 4].map((word) => [word, 0]));
  const values = fc.oneof(
    fc.maxSafeNat(),
    fc.double(),
    fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1),
  );
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 3, 4), values, (word, value) => {
      rows.setNumber(5_000, word, value);
      model.set(word, value > 0 ? Math.min(Math.floor(value), LARGEST_NUMBER) : 0);
      for (const [at, kept] of model) equal(rows.number(5_000, at), kept);
    }),
    { numRuns: 2_000 },
  );
  equal(new Date(LARGEST_NUMBER).getUTCFullYear(), 10_889);
});

test("rings are lists", () => {
  const slots = fc.integer({ min: 0, max: 30 });
  fc.assert(
    fc.property(fc.array(fc.record({ append: fc.boolean(), slot: slots }), { maxLength: 60 }), (operations) => {
      const rings = new Rings(new Rows(2), 0);
      let first = NONE;
      const model: number[] = [];
      for (const { append, slot } of operations) {
        const at = model.indexOf(slot);
        if (append && at === -1) {
          first = rings.append(first, slot);
          model.push(slot);
        } else if (at !== -1) {
          first = rings.remove(first, slot);
          model.splice(at, 1);
        }
        deepEqual([...rings.slots(first)], model);
      }
      for (const [at, second] of model.entries()) {
        if (at === 0) continue;
        rings.splice(first, second);
        deepEqual([...rings.slots(first)], model.slice(0, at));
        deepEqual([...rings.slots(second)], model.slice(at));
        rings.splice(first, second);
        deepEqual([...rings.slots(first)], model);
      }
    }),
  );
});

/** Slots in the order of their times, kept as simply as can be. */
function checkedOrder() {
  const rows = new Rows(5);
  const order = new Order(new Rings(rows, 3), rows, 0);
  const model: { slot: number; time: number }[] = [];
  return {
    order,
    model,
    add(slot: number, time: number) {
      rows.setNumber(slot, 0, time);
      order.add(slot);
      const later = model.findIndex((entry) => entry.time > time);
      model.splice(later === -1 ? model.length : later, 0, { slot, time });
    },
    remove(slot: number) {
      order.remove(slot);
      model.splice(
        model.findIndex((entry) => entry.slot === slot),
        1,
      );
    },
    check() {
      const slots = model.map(({ slot }) => slot);
      deepEqual([...order.newestFrom(Number.POSITIVE_INFINITY)], slots.toReversed());
      equal(order.oldest(), slots[0] ?? NONE);
      equal(order.oldest(slots[0]), slots[1] ?? NONE);
      const middle = model[model.length >> 1]?.time ?? 0;
      equal(order.countUpTo(middle), model.filter(({ time }) => time <= middle).length);
      deepEqual(
        [...order.newestFrom(middle)],
        model
          .filter(({ time }) => time <= middle)
          .map(({ slot }) => slot)
          .toReversed(),
      );
    },
  };
}

test("an order is sorted, whatever was added, moved and removed", () => {
  const step = fc.record({ slot: fc.nat(400), time: fc.nat(30), remove: fc.boolean() });
  const times = fc.constantFrom(1, 10, 1_000);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, minLength: 100 }), times, (steps, scale) => {
      const { model, add, remove, check } = checkedOrder();
      for (const { slot, time, remove: isRemoval } of steps) {
        if (model.some((entry) => entry.slot === slot)) remove(slot);
        if (!isRemoval) add(slot, (time * scale + (slot % scale)) % (30 * scale));
      }
      check();
    }),
    { numRuns: 60 },
  );
});

test("an order keeps its leaves small and few, for any sequence of times", () => {
  const sequences: Record<string, (n: number) => number> = {
    "ever newer": (n) => n,
    "ever older": (n) => 5_000 - n,
    "all at once": () => 7,
    "back and forth": (n) => (n * 7_919) % 5_003,
    "many at once among others": (n) => (n % 3 === 0 ? 2_500 : n),
    "one older than all the rest": (n) => (n === 3_000 ? 6 : 7),
  };
  for (const [name, timeOf] of Object.entries(sequences)) {
    const { order, add, remove, check } = checkedOrder();
    for (let n = 0; n < 5_000; n++) add(n, timeOf(n));
    check();
    ok(order.leaves <= 5_000 / 16, `${name}: ${order.leaves} leaves`);
    for (let n = 0; n < 5_000; n++) if (n % 50 !== 0) remove(n);
    check();
    ok(order.leaves <= 20, `${name}: ${order.leaves} leaves are left`);
    ok(order.longestWalk <= 64, `${name}: a walk over ${order.longestWalk} slots`);
  }
});

test("chains find what was added, and move two handfuls of slots at most in one call, however many there are", () => {
  const hashOf = (slot: number) => Math.imul(slot, 0x9e3779b1);
  const rows = new Rows(2);
  const chains = new Chains(rows, 0, 1);
  const add = (slot: number) => {
    rows.setInteger(slot, 1, hashOf(slot));
    chains.add(slot);
  };
  const find = (slot: number) => {
    let at = chains.first(hashOf(slot));
    while (at !== NONE && at !== slot) at = chains.after(at);
    return at;
  };
  let most = 0;
  for (let slot = 0; slot < 300_000; slot++) {
    const before = chains.moved;
    add(slot);
    most = Math.max(most, chains.moved - before);
  }
  ok(most <= 10, `${most} slots moved in one call`);
  ok(chains.moved > 100_000, "the test sees growth work");
  for (let slot = 0; slot < 300_000; slot += 2) chains.remove(slot);
  for (let slot = 0; slot < 300_000; slot++) equal(find(slot), slot % 2 === 0 ? NONE : slot);
  chains.clear();
  for (let slot = 0; slot < 100; slot++) equal(find(slot), NONE);
  for (let slot = 0; slot < 100; slot++) add(slot);
  for (let slot = 0; slot < 200; slot++) equal(find(slot), slot < 100 ? slot : NONE);
});

test("a directory tells all names apart, and gives each back as it was", () => {
  const arena = new Arena();
  const directory = new Directory(arena);
  const name = new Name();
  const handle = "AAAAAAAAAAAAAAAAAAAAAA";
  const odd = ["", "a", "ab", "abc", "abcd", "abcde", "abc\0", "é", "Ā", "\u0000é", "\ud800", "x\udfff", "__proto__"];
  const alike = [
    handle,
    "AAAAAAAAAAAAAAAAAAAAAB",
    "AAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAA=",
    "AAAAAAAAAAAAAAAAAAAAAé",
  ];
  const hashes = [
    `${"_-".repeat(21)}8`,
    `${"_-".repeat(21)}9`,
    `${"_-".repeat(21)}é`,
    "x".repeat(43),
    "x".repeat(4_096),
  ];
  const numbered = Array.from({ length: 5_000 }, (_, n) => [`user${n}`, String(n)]).flat();
  const texts = [...odd, ...alike, ...hashes, ...numbered];
  for (const text of texts) {
    ok(name.set(text));
    equal(directory.find(name), NONE);
    const place = arena.allocate(name.length * 4, name.kind);
    name.writeTo(arena.chunk(place), contentOf(place));
    directory.add(name, place);
  }
  for (const [slot, text] of texts.entries()) {
    name.set(text);
    equal(directory.find(name), slot);
    equal(directory.text(slot), text);
  }
  for (let slot = 0; slot < 200; slot++) directory.remove(slot);
  for (const [slot, text] of texts.entries()) {
    name.set(text);
    equal(directory.find(name), slot < 200 ? NONE : slot);
  }
  equal(name.set("x".repeat(4_097)), false);
  equal(areNames("x".repeat(4_097)), false);
  equal(areNames("x".repeat(4_096), null), true);
});

test("what was read lately is remembered, and never after it was written or removed", () => {
  const recent = new Recent();
  const texts = (payload: string) => ({ payload, secretHash: "" });
  const remembered = () => Array.from({ length: 3_000 }, (_, slot) => slot).filter((slot) => recent.get(slot));
  for (let slot = 0; slot < 3_000; slot++) recent.set(slot, texts(`${slot}`));
  equal(remembered().length, 1_024);
  for (const slot of remembered()) equal(recent.get(slot)?.payload, `${slot}`);
  for (let slot = 0; slot < 3_000; slot++) recent.set(slot, texts(`${slot}`.padEnd(10_000)));
  // 8 Mi characters, and who was set last is among them.
  equal(remembered().length, 838);
  equal(recent.get(2_999)?.payload.length, 10_000);
  recent.replace(2_999, texts("written"));
  recent.replace(0, texts("written"));
  recent.delete(2_998);
  deepEqual([recent.get(2_999)?.payload, recent.get(0), recent.get(2_998)], ["written", undefined, undefined]);
  recent.replace(2_999, texts("written".repeat(1_000)));
  recent.delete(2_999);
  equal(recent.get(2_999), undefined);
  for (let slot = 0; slot < 200; slot++) recent.set(slot, texts("x".repeat(128 * 1_024)));
  deepEqual(
    remembered(),
    Array.from({ length: 64 }, (_, n) => 136 + n),
  );
  recent.clear();
  deepEqual(remembered(), []);
  for (let slot = 0; slot < 1_024; slot++) recent.set(slot, texts("x"));
  equal(remembered().length, 1_024);
});
