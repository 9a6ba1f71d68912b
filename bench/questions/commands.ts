import { systemClock } from "../../src/contract/time.ts";
import type { Verdict } from "../lib/budget.ts";
import { check, filled } from "../lib/check.ts";
import { Connection } from "../lib/connection.ts";
import type { Contender } from "../lib/contender.ts";
import { Jar } from "../lib/jar.ts";
import type { Question } from "../lib/question.ts";
import { SessionData } from "../lib/session-data.ts";
import { spread } from "../lib/statistics.ts";
import { digits } from "../lib/table.ts";

/** How many commands, or statements, reach the store's server for one request: by the server's own count, which a library can't embellish. */
const CONTENDERS = [
  "sojourn-redis",
  "express-session-redis",
  "sojourn-postgres",
  "express-session-postgres",
  "sojourn-mysql",
];
const OURS = ["sojourn-redis", "sojourn-postgres"];
const REQUESTS = 20;
/** A visitor who looks at another page every three seconds, for ten minutes. */
const PAGES = 200;
const PAGE_MS = 3_000;
/** After so long every library notes that a session is in use. */
const TOUCHED_MS = 61_000;

interface Stage {
  ask(path: string, jar: Jar): Promise<void>;
  visitor(): Promise<Jar>;
  /** What earlier requests have begun is done by then. */
  later(ms: number): Promise<void>;
}

/** Each makes its visitors ready, and returns the requests that count. */
const KINDS: Record<string, { atMost?: number; ready(stage: Stage): Promise<(() => Promise<void>)[]> }> = {
  anonymous: { atMost: 0, ready: (stage) => times(async () => () => stage.ask("/none", new Jar())) },
  untouched: { ready: of("/none") },
  read: { atMost: 1, ready: of("/read") },
  "read, page by page": {
    atMost: 1.05,
    async ready(stage) {
      const visitor = await stage.visitor();
      return Array.from({ length: PAGES }, () => async () => {
        await stage.later(PAGE_MS);
        await stage.ask("/read", visitor);
      });
    },
  },
  write: { atMost: 2, ready: of("/write") },
  login: { atMost: 2, ready: (stage) => times(async () => () => stage.ask("/login", new Jar())) },
  "login, with a session before": { atMost: 2, ready: of("/login") },
  logout: {
    atMost: 2,
    ready: (stage) =>
      times(async () => {
        const jar = new Jar();
        await stage.ask("/login", jar);
        return () => stage.ask("/logout", jar);
      }),
  },
};

function of(path: string) {
  return (stage: Stage) =>
    times(async () => {
      const visitor = await stage.visitor();
      return () => stage.ask(path, visitor);
    });
}

async function times(make: () => Promise<() => Promise<void>>): Promise<(() => Promise<void>)[]> {
  const made: (() => Promise<void>)[] = [];
  while (made.length < REQUESTS) made.push(await make());
  return made;
}

/** Commands for a request of each kind. */
async function count(contender: Contender): Promise<Record<string, number>> {
  const data = new SessionData(200);
  // Time passes only for sessions: what a process does once a minute, such as sweeping, is no request's.
  let passed = 0;
  const clock = { ...systemClock, now: () => Date.now() + passed };
  const site = await contender.open(data, clock);
  try {
    const { commands } = site;
    if (commands === undefined) throw new Error(`${contender.name} does not count`);
    const connection = new Connection(site.listener);
    const stage: Stage = {
      async ask(path, jar) {
        const { status, setCookies } = await connection.ask(path, jar.isEmpty ? undefined : jar.header);
        if (status !== 200) throw new Error(`${contender.name}, ${path}: status ${status}`);
        jar.take(setCookies);
      },
      visitor: () => filled(contender, connection, data),
      async later(ms) {
        await settled(commands);
        passed += ms;
      },
    };
    // Tables are made, scripts and statements become known to the server.
    await check(contender, connection, data);
    const visitor = await stage.visitor();
    await stage.later(TOUCHED_MS);
    await stage.ask("/read", visitor);
    const counts: Record<string, number> = {};
    for (const [kind, { ready }] of Object.entries(KINDS)) {
      const requests = await ready(stage);
      const before = await settled(commands);
      for (const request of requests) await request();
      counts[kind] = ((await settled(commands)) - before) / requests.length;
    }
    return counts;
  } finally {
    await site.close();
  }
}

/** What nobody waits for, such as touches, may still be under way. */
async function settled(commands: () => Promise<number>): Promise<number> {
  for (let last = await commands(); ; ) {
    const now = await commands();
    if (now === last) return now;
    last = now;
  }
}

export const question: Question = {
  title: "Commands to the store's server for one request, by the server's own count",
  async ask({ contenders = CONTENDERS, progress }) {
    const rows: string[][] = [];
    const notes: string[] = [];
    const verdicts: Verdict[] = [];
    const data: Record<string, Record<string, number>> = {};
    for (const file of CONTENDERS.filter((name) => contenders.includes(name))) {
      const { contender }: { contender: Contender } = await import(`../contenders/${file}.ts`);
      const missing = await contender.missing?.();
      if (missing !== undefined) {
        notes.push(`${contender.name}: not measured, ${missing}`);
        continue;
      }
      progress(`Commands: ${contender.name}`);
      const counts = await count(contender);
      data[file] = counts;
      rows.push([contender.name, ...Object.values(counts).map(digits)]);
      for (const [kind, { atMost }] of Object.entries(KINDS)) {
        const measured = counts[kind] ?? Number.NaN;
        if (atMost === undefined || !OURS.includes(file)) continue;
        const budget = `at most ${atMost}`;
        verdicts.push({
          what: `${file}: ${kind}`,
          against: "",
          ratio: spread([measured]),
          budget,
          isMet: measured <= atMost,
        });
      }
    }
    return {
      tables: [
        {
          title: "Commands to the store's server for one request",
          head: ["commands", ...Object.keys(KINDS)],
          rows,
          notes: [
            "Page by page: one visitor, a request every three seconds for ten minutes; the last use is noted once a minute.",
            "A script, or a statement that does several things, is one command: it is sent, answered and waited for once.",
            "What each process does once a minute, whatever the requests, is not in it: a sweep.",
            ...notes,
          ],
        },
      ],
      verdicts,
      plots: {},
      data,
    };
  },
};
