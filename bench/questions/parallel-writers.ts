import type { Verdict } from "../lib/budget.ts";
import { check, filled } from "../lib/check.ts";
import { type Answered, Connection } from "../lib/connection.ts";
import type { Contender, Site } from "../lib/contender.ts";
import { Jar } from "../lib/jar.ts";
import type { Question } from "../lib/question.ts";
import { SessionData } from "../lib/session-data.ts";
import { inTurn, spread } from "../lib/statistics.ts";
import { digits } from "../lib/table.ts";

/** What is left of one session that a hundred requests write to at once, and how long that takes. All in this one process. */
const CONTENDERS = [
  "sojourn-memory",
  "sojourn-sqlite",
  "sojourn-file",
  "sojourn-redis",
  "sojourn-postgres",
  "sojourn-mysql",
  "sojourn-sealed",
  "express-session-memory",
  "express-session-redis",
  "express-session-postgres",
  "cookie-session",
];
const OURS = CONTENDERS.filter((file) => file.startsWith("sojourn-"));
const WRITERS = 100;
const LOGOUTS = 5;
const ROUNDS = 9;
/** Of the slow write that a logout overtakes. */
const SLOW_MS = 100;
/** Handlers of 0 to 20 ms. */
const delays: readonly number[] = Array.from({ length: WRITERS }, (_, i) => (i * 8) % 21);

class Stage {
  readonly about: Contender;
  readonly #site: Site;
  readonly #data: SessionData;
  readonly #connections: readonly Connection[];

  private constructor(about: Contender, site: Site, data: SessionData) {
    this.about = about;
    this.#site = site;
    this.#data = data;
    this.#connections = Array.from({ length: WRITERS }, () => new Connection(site.listener));
  }

  static async open(about: Contender): Promise<Stage> {
    const data = new SessionData(200);
    const stage = new Stage(about, await about.open(data), data);
    await check(about, stage.#connection(0), data);
    return stage;
  }

  visitor(): Promise<Jar> {
    return filled(this.about, this.#connection(0), this.#data);
  }

  /** On connections of their own; the browser keeps cookies in the order in which answers come. */
  async all(paths: readonly string[], jar: Jar): Promise<void> {
    const cookie = jar.header;
    await Promise.all(paths.map((path, i) => this.ask(path, jar, cookie, i)));
  }

  async ask(path: string, jar: Jar, cookie = jar.header, connection = 0): Promise<Answered> {
    const answer = await this.#connection(connection).ask(path, cookie);
    jar.take(answer.setCookies);
    return answer;
  }

  /** Of that many properties that were set, how many are there. */
  async kept(): Promise<number> {
    const jar = await this.visitor();
    await this.all(
      delays.map((ms, i) => `/late/put?name=p${i}&ms=${ms}`),
      jar,
    );
    const names: string[] = JSON.parse((await this.ask("/names", jar)).body);
    return names.filter((name) => /^p\d+$/.test(name)).length;
  }

  /** To what a counter was counted; `undefined` where the library has no such route. */
  async counted(route: string): Promise<number | undefined> {
    const jar = await this.visitor();
    const before = Number((await this.ask("/read", jar)).body);
    if ((await this.ask(`${route}?ms=0`, await this.visitor())).status === 404) return undefined;
    await this.all(
      delays.map((ms) => `${route}?ms=${ms}`),
      jar,
    );
    return Number((await this.ask("/read", jar)).body) - before;
  }

  /** Whether somebody who logged out while a write was under way is logged in again when it has ended. */
  async isAliveAgain(): Promise<boolean> {
    const jar = new Jar();
    await this.ask("/login", jar);
    const cookie = jar.header;
    const slow = this.ask(`/late/put?name=slow&ms=${SLOW_MS}`, jar, cookie, 1);
    // Answered on another connection: the slow one has its session by then.
    await this.ask("/who", jar, cookie);
    await this.ask("/logout", jar, cookie);
    await slow;
    const known = async (header: string) => (await this.#connection(0).ask("/who", header)).body === "alice";
    // What a server does not remember, a copy of its cookie always brings back: there only the browser counts.
    return (await known(jar.header)) || (this.about.stateless !== true && (await known(cookie)));
  }

  /** Milliseconds until the last of that many writers is answered. */
  async time(): Promise<number> {
    const jar = await this.visitor();
    const paths = delays.map((_, i) => `/put?name=p${i}`);
    const started = performance.now();
    await this.all(paths, jar);
    return performance.now() - started;
  }

  async close(): Promise<void> {
    await this.#site.close();
  }

  #connection(index: number): Connection {
    const connection = this.#connections[index];
    if (connection === undefined) throw new Error(`no connection ${index}`);
    return connection;
  }
}

interface Outcome {
  kept: number;
  counted: number;
  /** By what the library has for it. */
  incremented: number | undefined;
  aliveAgain: number;
  ms: number[];
}

async function outcomeOf(stage: Stage): Promise<Outcome> {
  const kept = await stage.kept();
  const counted = (await stage.counted("/late/write")) ?? Number.NaN;
  const incremented = await stage.counted("/increment");
  let aliveAgain = 0;
  for (let i = 0; i < LOGOUTS; i++) if (await stage.isAliveAgain()) aliveAgain++;
  return { kept, counted, incremented, aliveAgain, ms: [] };
}

export const question: Question = {
  title: "What a hundred parallel writers leave of one session, and how long they take",
  async ask({ quick, contenders = CONTENDERS, progress }) {
    const notes: string[] = [];
    const stages: { file: string; stage: Stage; outcome: Outcome }[] = [];
    try {
      for (const file of CONTENDERS.filter((name) => contenders.includes(name))) {
        const { contender }: { contender: Contender } = await import(`../contenders/${file}.ts`);
        const missing = await contender.missing?.();
        if (missing !== undefined) notes.push(`${contender.name}: not measured, ${missing}`);
        if (missing !== undefined) continue;
        progress(`Parallel writers: ${contender.name}`);
        const stage = await Stage.open(contender);
        stages.push({ file, stage, outcome: await outcomeOf(stage) });
      }
      for (let round = 0; round < (quick ? 1 : ROUNDS); round++)
        for (const { stage, outcome } of inTurn(stages, round)) outcome.ms.push(await stage.time());
    } finally {
      for (const { stage } of stages) await stage.close();
    }
    const ours = stages.filter(({ file, stage }) => OURS.includes(file) && stage.about.stateless !== true);
    return {
      tables: [
        {
          title: `What ${WRITERS} parallel requests leave of one session`,
          head: [
            "",
            "properties kept",
            "counter, assigned",
            "counter, update()",
            "logged out, alive again",
            "ms",
            "quartiles",
          ],
          rows: stages.map(({ stage, outcome: { kept, counted, incremented, aliveAgain, ms } }) => {
            const { median, low, high } = spread(ms);
            return [
              stage.about.name,
              `${kept} of ${WRITERS}`,
              String(counted),
              incremented === undefined ? "–" : String(incremented),
              `${aliveAgain} of ${LOGOUTS}`,
              digits(median),
              `${digits(low)}…${digits(high)}`,
            ];
          }),
          notes: [
            `kept: of ${WRITERS} properties, one from each request, whose handlers took 0 to 20 ms.`,
            `counter: after ${WRITERS} requests counted one up; assigned is session.views = views + 1 after a wait, update() is req.session.update().`,
            "alive again: after a logout during a slow write, when that has ended.",
            `ms: until ${WRITERS} requests without a wait, one property each, were all answered.`,
            "sealed: the session is in the browser alone, so the last answer wins there, as with every library of its kind.",
            ...notes,
          ],
        },
      ],
      verdicts: ours.flatMap(({ file, outcome: { kept, incremented = 0, aliveAgain } }): Verdict[] => [
        verdict(`${file}: properties kept`, kept / WRITERS, 1),
        verdict(`${file}: counted by update()`, incremented / WRITERS, 1),
        verdict(`${file}: alive again`, aliveAgain / LOGOUTS, 0),
      ]),
      plots: {},
      data: stages.map(({ file, outcome }) => ({ file, ...outcome })),
    };
  },
};

function verdict(what: string, share: number, wanted: number): Verdict {
  return { what, against: "", ratio: spread([share]), budget: wanted === 1 ? "all" : "none", isMet: share === wanted };
}
