import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { IndexedStore } from "../../src/contract/store.ts";
import type { LiveSession } from "../../src/session/session.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { engine, type Held } from "../support/contexts.ts";
import { ImpatientClock } from "../support/impatient-clock.ts";
import { inSteps } from "../support/in-steps.ts";
import { ProbeStore } from "../support/probe-store.ts";

/** The same seed gives the same race (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  };
}

const OPERATIONS = ["load", "create", "update", "touch", "delete", "replace"] as const;

/** What each kind of request does to the session that all of them hold. */
const ACTORS = {
  write: (session: LiveSession, name: string) => {
    Object.assign(session, { [name]: 1 });
    return session.save();
  },
  count: (session: LiveSession) =>
    session.update((current) => Object.assign(current, { n: Number(Reflect.get(current, "n")) + 1 })),
  touch: (session: LiveSession) => session.touch(),
  regenerate: async (session: LiveSession) => {
    await session.regenerate({ keep: true });
    await session.save();
  },
  login: async (session: LiveSession) => {
    await session.login("alice");
    await session.save();
  },
  destroy: (session: LiveSession) => session.destroy(),
  revoke: undefined,
  prune: undefined,
};
type Kind = keyof typeof ACTORS;
const KINDS = Object.keys(ACTORS) as Kind[];
const ENDING: readonly Kind[] = ["regenerate", "login", "destroy", "revoke"];

async function race(seed: number, open: (clock: ImpatientClock) => IndexedStore): Promise<void> {
  const roll = dice(seed);
  const clock = new ImpatientClock();
  const inner = open(clock);
  const probe = new ProbeStore(inner, { async: true });
  const site = engine({ clock, store: probe.store });
  const first = await site.request();
  Object.assign(first.session, { n: 0 });
  const held: Held = (await first.end()) ?? assert.fail("no token");

  // Every call waits twice: before the store acts, and before its answer arrives.
  const gates = OPERATIONS.flatMap((operation) => [probe.gate(operation, "before"), probe.gate(operation, "after")]);
  const acknowledged: string[] = [];
  const tokens: (Held | undefined)[] = [];
  const told: string[] = [];
  let hasEnded = false;
  let counted = 0;
  const kinds = Array.from({ length: 2 + roll(5) }, () => KINDS[roll(KINDS.length)] ?? "write");
  const story = () => `seed ${seed}: ${kinds.join(", ")}: ${told.join(" ")}`;

  const actors = kinds.map(async (kind, i) => {
    const act = ACTORS[kind];
    if (act === undefined) {
      if (kind === "prune") await site.admin.prune();
      else if (await site.admin.revoke(held.handle)) hasEnded = true;
      return;
    }
    const mustNotOpen = hasEnded;
    const visit = await site.request(held);
    if (!visit.wasOpened) return;
    assert.ok(!mustNotOpen, `opened after its end was acknowledged; ${story()}`);
    try {
      await act(visit.session, `w${i}`);
      told.push(`${kind}${i}`);
      if (kind === "write") acknowledged.push(`w${i}`);
      if (kind === "count") counted += 1;
      if (ENDING.includes(kind)) hasEnded = true;
    } catch (error) {
      told.push(`${kind}${i}!`);
      assert.ok(
        ["SESSION_GONE", "CONFLICT"].includes(String(Reflect.get(Object(error), "code"))),
        `${error}; ${story()}`,
      );
    }
    tokens.push(await visit.end());
  });

  let running = actors.length;
  for (const actor of actors)
    actor.then(
      () => {
        running -= 1;
      },
      () => {
        running -= 1;
      },
    );
  for (let step = 0; running > 0; step += 1) {
    await turn();
    const busy = gates.filter((gate) => gate.waiting > 0);
    busy[roll(Math.max(1, busy.length))]?.releaseOne();
    if (hasEnded) assert.equal(await inner.load(held.handle), undefined, `came back; ${story()}`);
    assert.ok(step < 5_000, `no end; ${story()}`);
  }
  await Promise.all(actors);
  // What nobody waits for, such as the removal of a new session whose login failed, has its turn now.
  for (const gate of gates) gate.open();
  for (let i = 0; i < 5; i += 1) await turn();

  const { sessions } = await inner.list({});
  const live = sessions.filter(({ handle }) => handle !== held.handle);
  for (const { handle } of live) {
    assert.ok(
      tokens.some((token) => token?.handle === handle),
      `a session that nobody holds; ${story()}`,
    );
  }
  if (hasEnded) assert.equal(sessions.length, live.length, story());
  if (!kinds.includes("destroy") && !kinds.includes("revoke")) {
    // Nothing acknowledged is lost: it is where the session lives on, under its own handle or the one that took over.
    const data = await Promise.all(sessions.map(({ handle }) => site.admin.get(handle)));
    const everything: Record<string, unknown> = {};
    for (const snapshot of data) {
      for (const [name, value] of Object.entries(snapshot?.data ?? {})) {
        everything[name] = Math.max(Number(value), Number(everything[name] ?? 0));
      }
    }
    for (const name of acknowledged) assert.equal(everything[name], 1, `${name} was lost; ${story()}`);
    assert.equal(everything["n"], counted, `counted ${counted}; ${story()}`);
  }
  await site.backend.close();
}

async function races(count: number, open: (clock: ImpatientClock) => IndexedStore): Promise<void> {
  for (let seed = 0; seed < count; seed += 1) await race(seed, open);
}

test("1,000 random interleavings over memory: no session revives, no acknowledged write is lost", async () => {
  await races(1_000, (clock) => new MemoryStore({ clock }));
});

test("500 random interleavings over memory, where a session is replaced in two steps", async () => {
  await races(500, (clock) => inSteps(new MemoryStore({ clock })));
});

test("150 random interleavings over SQLite", async () => {
  await races(150, (clock) => new SqliteStore(":memory:", { clock }));
});
