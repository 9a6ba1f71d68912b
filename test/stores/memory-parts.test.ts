import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NONE, Numbers, Rings, Texts } from "../../src/stores/memory/columns.ts";
import { SlotMap } from "../../src/stores/memory/slot-map.ts";
import { Timeline } from "../../src/stores/memory/timeline.ts";

test("columns keep what was set, across pages", () => {
  const numbers = new Numbers(2);
  const texts = new Texts(2);
  for (const slot of [0, 1, 1_023, 1_024, 5_000]) {
    numbers.set(slot, 1, slot + 0.5);
    texts.set(slot, 0, `slot ${slot}`);
  }
  for (const slot of [0, 1, 1_023, 1_024, 5_000]) {
    deepEqual([numbers.get(slot, 0), numbers.get(slot, 1)], [0, slot + 0.5]);
    deepEqual([texts.get(slot, 0), texts.get(slot, 1)], [`slot ${slot}`, null]);
  }
  equal(numbers.get(100_000, 0), 0);
  equal(texts.get(100_000, 0), null);
});

test("rings are lists", () => {
  const slots = fc.integer({ min: 0, max: 3_000 });
  fc.assert(
    fc.property(fc.array(fc.record({ append: fc.boolean(), slot: slots }), { maxLength: 60 }), (operations) => {
      const rings = new Rings();
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
    }),
  );
});

test("a timeline knows its oldest, whatever was added, moved and removed", () => {
  const minute = 60_000;
  const step = fc.record({ slot: fc.nat(30), minutes: fc.nat(20), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const timeline = new Timeline(new Rings());
      let model: { slot: number; time: number }[] = [];
      for (const { slot, minutes, remove } of steps) {
        const known = model.find((entry) => entry.slot === slot);
        if (known !== undefined) {
          timeline.remove(slot, known.time);
          model = model.filter((entry) => entry !== known);
        }
        if (!remove) {
          timeline.add(slot, minutes * minute);
          model.push({ slot, time: minutes * minute });
        }
        // Stable, as a ring keeps the order of addition.
        const ordered = model.toSorted((a, b) => a.time - b.time);
        equal(timeline.oldest(), ordered[0]?.slot ?? NONE);
        equal(timeline.oldest(ordered[0]?.slot), ordered[1]?.slot ?? NONE);
        equal(timeline.oldestBefore(10 * minute), ordered.find(({ time }) => time < 10 * minute)?.slot ?? NONE);
        deepEqual(
          [...timeline.slotsUpTo(10 * minute)],
          ordered.filter(({ time }) => time <= 10 * minute).map((entry) => entry.slot),
        );
      }
    }),
  );
});

test("a slot map is a map, also of short and odd keys", () => {
  const map = new SlotMap();
  const keys = ["", "a", "ab", "abc", "abcd", "__proto__", "constructor", "\ud800", "x".repeat(10_000)];
  for (let n = 0; n < 5_000; n++) keys.push(String(n), `user${n}`);
  for (const key of keys) equal(map.get(key), undefined);
  for (const [slot, key] of keys.entries()) map.set(key, slot);
  for (const [slot, key] of keys.entries()) equal(map.get(key), slot);
  for (const key of keys.slice(0, 100)) map.delete(key);
  for (const [slot, key] of keys.entries()) equal(map.get(key), slot < 100 ? undefined : slot);
});
