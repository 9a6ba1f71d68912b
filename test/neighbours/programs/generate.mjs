/**
 * Writes handlers: lists of steps that read and change a session, and answer in every way that a response has, in any order, sensible
 * or not. A seed gives the same program on every machine.
 */

/** @param {number} seed Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What a step of the session can be inside an argument, or on its own. */
const TOUCHES = ["read", "set", "set", "nothing"];

/** @param {number} seed @returns {{ seed: number, steps: object[] }} */
export function programOf(seed) {
  const random = randomOf(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const steps = [];
  const before = Math.floor(random() * 4);
  for (let i = 0; i < before; i += 1) steps.push(stepOf(pick, random, i));
  steps.push(lastOf(pick, random));
  // What a careless handler still does afterwards.
  if (random() < 0.15) steps.push(stepOf(pick, random, 9));
  return { seed, steps };
}

function stepOf(pick, random, index) {
  const kind = pick([
    "touch",
    "touch",
    "write",
    "write",
    "writeHead",
    "flushHeaders",
    "flush",
    "wait",
    "wait",
    "header",
    "save",
    "login",
  ]);
  const touch = pick(TOUCHES);
  switch (kind) {
    case "write":
      return { kind, touch, text: `${"ab".repeat(random() < 0.1 ? 20_000 : 3)}${index};` };
    case "writeHead":
      return { kind, touch, status: pick([200, 201, 404]), shape: pick(["object", "flat", "none"]) };
    case "wait":
      return { kind, turns: pick([0, 1, 5]) };
    case "save":
    case "login":
      return { kind, awaited: random() < 0.7 };
    default:
      return { kind, touch };
  }
}

function lastOf(pick, random) {
  const kind = pick(["end", "end", "end", "send", "redirect", "pipe", "throw", "next", "reject"]);
  return { kind, touch: pick(TOUCHES), text: random() < 0.8 ? "the end" : undefined, later: random() < 0.3 };
}
