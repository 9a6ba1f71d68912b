import { test } from "node:test";
import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore } from "../../src/index.ts";
import { generator } from "../support/random.ts";
import { identityOperations, type Operation, operations } from "./operations.ts";
import { Race, Track } from "./race.ts";
import { explore, Run, told } from "./steps.ts";

/** `RACES=all` tries every order, and ten times as many random ones: minutes instead of seconds. */
const ALL = process.env["RACES"] === "all";

type MakeStore = (clock: Clock) => IndexedStore;

/** For `preemptions` see `explore`. With two processes, each serves one of the requests. */
interface Limits {
  preemptions?: number;
  processes?: 1 | 2;
  skip?: string | undefined;
}

/** Every pair of operations on one session, in the orders that make a difference. */
export function testEveryPair(name: string, makeStore: MakeStore, limits: Limits): void {
  for (const [position, first] of operations.entries())
    testPairs(name, makeStore, { first, others: operations.slice(position), ...limits });
}

/** Every pair of which one replaces the session. @param names the others; all of them if none is named */
export function testReplacements(name: string, makeStore: MakeStore, limits: Limits, names?: readonly string[]): void {
  const others = operations.filter((operation) => names?.includes(operation.name) ?? true);
  for (const first of operations.filter(({ replaces }) => replaces !== undefined))
    testPairs(name, makeStore, { first, others, ...limits });
}

/** Every pair of which one is of identity. @param names the others; all of them if none is named */
export function testIdentity(name: string, makeStore: MakeStore, limits: Limits, names?: readonly string[]): void {
  for (const [position, first] of identityOperations.entries()) {
    const all = [...operations, ...identityOperations.slice(position)];
    const others = all.filter((operation) => names?.includes(operation.name) ?? true);
    testPairs(name, makeStore, { first, others, ...limits });
  }
}

function testPairs(
  name: string,
  makeStore: MakeStore,
  { first, others, processes = 1, skip, ...limits }: { first: Operation; others: readonly Operation[] } & Limits,
): void {
  const where = processes === 1 ? name : `${name}, two processes`;
  test(`${where}: ${first.name} and any other operation on one session, in all orders`, {
    skip: skip ?? false,
  }, async (t) => {
    const track = await Track.open(t, makeStore, { processes });
    let orders = 0;
    for (const second of others) {
      await t.test(`${first.name} and ${second.name}`, async () => {
        const race = new Race(track, [first, second]);
        orders += await explore((run) => race.attempt(run), ALL ? {} : limits);
      });
    }
    t.diagnostic(`${orders} orders`);
  });
}

/** Three operations at a time: too many orders to try all. The seed is kept, so that a failure can be repeated. */
export function testRandomTriples(
  name: string,
  makeStore: MakeStore,
  runs: number,
  { processes = 1 }: Limits = {},
): void {
  const where = processes === 1 ? name : `${name}, two processes`;
  test(`${where}: ${runs} times three operations on one session, in a random order`, async (t) => {
    const track = await Track.open(t, makeStore, { processes });
    const random = generator(0x3a3a);
    const any = (): Operation => operations[Math.floor(random() * operations.length)] ?? operations[0];
    for (let done = 0; done < (ALL ? 10 * runs : runs); done += 1) {
      const race = new Race(track, [any(), any(), any()]);
      await told(new Run((options) => Math.floor(random() * options)), (run) => race.attempt(run));
    }
  });
}
