import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Arena, contentOf, LARGEST } from "../../src/stores/memory/arena.ts";

/** An arena that is told what to do, and whose every block is filled with its own mark. */
class Checked {
  readonly arena = new Arena();
  readonly blocks = new Map<number, { bytes: number; mark: number }>();
  #mark = 0;

  allocate(bytes: number): number {
    const mark = ++this.#mark & 63;
    const place = this.arena.allocate(bytes, mark);
    ok(!this.blocks.has(place), "the place is taken");
    this.blocks.set(place, { bytes, mark });
    this.#fill(place);
    return place;
  }

  refit(place: number, bytes: number): void {
    const block = this.blocks.get(place);
    if (block === undefined || !this.arena.refit(place, bytes, block.mark)) return;
    block.bytes = bytes;
    this.#fill(place);
  }

  release(place: number): void {
    this.#check(place);
    this.blocks.delete(place);
    this.arena.release(place);
  }

  check(): void {
    for (const place of this.blocks.keys()) this.#check(place);
  }

  #fill(place: number): void {
    const { bytes, mark } = this.blocks.get(place) ?? { bytes: 0, mark: 0 };
    const from = contentOf(place) * 4;
    this.arena.chunk(place).bytes.fill(mark, from, from + bytes);
  }

  #check(place: number): void {
    const { bytes, mark } = this.blocks.get(place) ?? { bytes: -1, mark: -1 };
    equal(this.arena.bytes(place), bytes);
    equal(this.arena.tag(place), mark);
    const from = contentOf(place) * 4;
    const content = this.arena.chunk(place).bytes.subarray(from, from + bytes);
    ok(
      content.every((byte) => byte === mark),
      `block ${place} was written to`,
    );
  }
}

test("no block touches another, whatever is taken, refitted and given back", () => {
  const bytes = fc.oneof(fc.nat(40), fc.nat(600), fc.nat(5_000), fc.integer({ min: LARGEST - 5_000, max: LARGEST }));
  const step = fc.record({ bytes, pick: fc.nat(), what: fc.constantFrom("allocate", "allocate", "release", "refit") });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const checked = new Checked();
      const places: number[] = [];
      for (const { bytes, pick, what } of steps) {
        const at = pick % Math.max(places.length, 1);
        const place = places[at];
        if (what === "allocate" || place === undefined) places.push(checked.allocate(bytes));
        else if (what === "refit") checked.refit(place, bytes);
        else {
          checked.release(place);
          places.splice(at, 1);
        }
      }
      checked.check();
      for (const place of places) checked.release(place);
      // All of it is whole again: the largest block fits wherever there is a chunk.
      const { size } = checked.arena;
      for (let left = size; left > 0; left -= LARGEST + 4) checked.allocate(LARGEST);
      equal(checked.arena.size, size);
    }),
    { numRuns: 50 },
  );
});

test("what was given back is used again: a year of changing sizes takes little more than the content", () => {
  const arena = new Arena();
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((seed / 0x80000000) * below);
  };
  const places: number[] = [];
  let most = 0;
  let content = 0;
  for (let n = 0; n < 400_000; n++) {
    // Sessions grow and shrink, and the usual size moves from 200 to 1,000 bytes.
    const bytes = 200 + random(400) + Math.floor(n / 1_000);
    const at = random(10_000);
    const old = places[at];
    if (old !== undefined) {
      content -= arena.bytes(old);
      arena.release(old);
    }
    places[at] = arena.allocate(bytes, 0);
    content += bytes;
    most = Math.max(most, content);
  }
  ok(arena.size < 1.2 * most, `${(arena.size / most).toFixed(3)} of the most that was ever stored`);
});

test("giving everything back at once leaves it all free", () => {
  const checked = new Checked();
  for (let n = 0; n < 5_000; n++) checked.allocate(n % 700);
  const { size } = checked.arena;
  checked.arena.clear();
  checked.blocks.clear();
  for (let n = 0; n < 5_000; n++) checked.allocate(n % 700);
  checked.check();
  equal(checked.arena.size, size);
});
