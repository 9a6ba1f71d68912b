import { MemoryStore } from "../../src/stores/memory.ts";
import { Connection } from "../lib/connection.ts";
import type { Question } from "../lib/question.ts";
import { SessionData } from "../lib/session-data.ts";
import { keylessSite } from "../lib/sojourn-site.ts";
import { handleOf, recordOf, tokenOf } from "../lib/sqlite-file.ts";
import { inTurn, pairwise, type Spread, spread } from "../lib/statistics.ts";
import { digits } from "../lib/table.ts";

/**
 * What a request costs with 1,000 sessions in memory and with 1,000,000, of 500 characters: whole requests through Express in process, one
 * after the other, in one process and in turns. Once by the same thousand visitors, which tells what the number of sessions does; once by any
 * of all, whose tokens and records nothing remembers, neither the library nor the processor's caches.
 */
const CASES = ["/none", "/read", "/write"].flatMap((path) => [
  { name: `${path}, the same thousand visitors`, path, few: true },
  { name: `${path}, any of all`, path, few: false },
]);
const MOST = 1.2;
const COOKIE = "sid";

interface Effort {
  small: number;
  large: number;
  requests: number;
  warmUp: number;
  rounds: number;
}
const FULL: Effort = { small: 1_000, large: 1_000_000, requests: 2_000, warmUp: 8, rounds: 15 };
const QUICK: Effort = { small: 100, large: 1_000, requests: 100, warmUp: 0, rounds: 1 };

export const question: Question = {
  title: "Memory: what a request costs, a million sessions stored against a thousand",
  async ask({ quick, progress }) {
    const { small, large, requests, warmUp, rounds } = quick ? QUICK : FULL;
    progress("a million sessions in memory");
    const sites = [opened(small), opened(large)];
    const costs = new Map(CASES.map(({ name }) => [name, sites.map((): number[] => [])]));
    for (let round = -warmUp; round < rounds; round++) {
      for (const { name, path, few } of CASES) {
        for (const index of inTurn([...sites.keys()], round + warmUp)) {
          const cost = await sites[index]?.ask(path, few ? small : undefined, requests);
          if (round >= 0 && cost !== undefined) costs.get(name)?.[index]?.push(cost);
        }
      }
    }
    for (const site of sites) await site.close();

    const rows = CASES.map(({ name }) => {
      const [few = [], many = []] = costs.get(name) ?? [];
      const ratio = spread(pairwise(many, few, (more, less) => more / less));
      return { name, few: spread(few), many: spread(many), ratio };
    });
    const range = ({ low, high }: Spread) => `${digits(low)}…${digits(high)}`;
    return {
      tables: [
        {
          title: this.title,
          head: ["microseconds of a request, Express included", "a thousand", "a million", "ratio", "quartiles"],
          rows: rows.map(({ name, few, many, ratio }) => [
            name,
            ...[few.median, many.median, ratio.median].map(digits),
            range(ratio),
          ]),
        },
      ],
      verdicts: rows.map(({ name, ratio }) => ({
        what: `MemoryStore, a million: ${name}`,
        against: "a thousand",
        ratio,
        budget: `at most ${MOST} times`,
        isMet: ratio.median <= MOST,
      })),
      plots: {},
      data: rows,
    };
  },
};

function opened(count: number) {
  const store = new MemoryStore({ maxEntries: 2 * count, maxBytes: 2 ** 40, acceptLossOnRestart: true });
  for (let n = 0; n < count; n++) {
    if (store.create(handleOf(n), recordOf(n, 1)) !== true) throw new Error("a session was not created");
  }
  const site = keylessSite(new SessionData(200), { store, name: COOKIE });
  const connection = new Connection(site.listener);
  /** Microseconds of CPU a request, each by another visitor. */
  const ask = async (path: string, visitors: number | undefined, requests: number): Promise<number> => {
    const cookies = Array.from(
      { length: requests },
      () => `${COOKIE}=${tokenOf(Math.floor(Math.random() * (visitors ?? count)))}`,
    );
    const before = process.cpuUsage();
    for (const [index, cookie] of cookies.entries()) {
      const { promise, resolve } = Promise.withResolvers<number>();
      connection.send(path, cookie, (res) => resolve(res.statusCode));
      if ((await promise) !== 200) throw new Error(`${path} failed`);
      if (index % 8 === 0) await new Promise(setImmediate);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / requests;
  };
  return { ask, close: () => site.close() };
}
