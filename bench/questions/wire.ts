import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import type { Verdict } from "../lib/budget.ts";
import type { Contender, Site } from "../lib/contender.ts";
import { type HttpAnswer, HttpClient } from "../lib/http-client.ts";
import { Jar } from "../lib/jar.ts";
import type { Question } from "../lib/question.ts";
import { SessionData } from "../lib/session-data.ts";
import { keylessSite, sojournSite } from "../lib/sojourn-site.ts";
import { pairwise, type Spread, spread } from "../lib/statistics.ts";

/**
 * What sessions add to the bytes of a request and of its answer, behind a proxy that speaks HTTPS. Over real sockets, by their own count;
 * what bare Express sends for the same path is taken off.
 */
const data = new SessionData(200);
const visitors = (quick: boolean) => (quick ? 5 : 200);
/** Another module's. */
const OTHER_COOKIE = "consent=1";
const KINDS = ["anonymous", "untouched", "read", "write", "login", "login, with a session before", "logout"] as const;
type Kind = (typeof KINDS)[number];
const PATHS: Record<Kind, string> = {
  anonymous: "/none",
  untouched: "/none",
  read: "/read",
  write: "/write",
  login: "/login",
  "login, with a session before": "/login",
  logout: "/logout",
};

const trusting = { trustProxy: true };
const MAC = "sojourn, with a key";
const NO_MAC = "sojourn, without a key";
const PEER = "express-session";

async function sites(): Promise<Record<string, Site>> {
  const open = async (file: string) => {
    const { contender }: { contender: Contender } = await import(`../contenders/${file}.ts`);
    return await contender.open(data);
  };
  return {
    [NO_MAC]: keylessSite(data, { ...trusting, store: new MemoryStore() }),
    [MAC]: sojournSite(data, { ...trusting, store: new MemoryStore() }),
    "sojourn, sealed": sojournSite(data, { ...trusting, store: new SealedStore() }),
    [PEER]: await open("express-session-memory"),
    "cookie-session": await open("cookie-session"),
    "iron-session": await open("iron-session"),
    bare: await open("bare-express"),
  };
}

interface Counted {
  /** Bytes of the cookie's name and value, visitor by visitor. */
  cookies: number[];
  up: Record<Kind, number>;
  down: Record<Kind, number>;
}

/** Every kind of request, sent by so many visitors. */
async function count(site: Site, visitors: number): Promise<Counted> {
  const client = await HttpClient.open(site.listener, 1, { "X-Forwarded-Proto": "https" });
  const sums = () => Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  const counted: Counted = { cookies: [], up: sums(), down: sums() };
  const send = async (path: string, jar: Jar): Promise<HttpAnswer> => {
    const answer = await client.ask(path, jar.header);
    if (answer.status !== 200) throw new Error(`${path}: status ${answer.status}`);
    jar.take(answer.headers["set-cookie"] ?? []);
    return answer;
  };
  try {
    for (let i = 0; i < visitors; i++) {
      const jar = new Jar();
      await send("/fill", jar);
      counted.cookies.push(jar.header.length - OTHER_COOKIE.length - "; ".length);
      const asked = async (kind: Kind, as: Jar) => {
        const { up, down, body } = await send(PATHS[kind], as);
        counted.up[kind] += up / visitors;
        counted.down[kind] += (down - Buffer.byteLength(body)) / visitors;
      };
      await asked("anonymous", new Jar());
      for (const kind of ["untouched", "read", "write", "login, with a session before", "logout"] as const)
        await asked(kind, jar);
      await asked("login", new Jar());
    }
    return counted;
  } finally {
    client.close();
    await site.close();
  }
}

/** One budget: on the way up, where every request pays. */
function judge(counted: Record<string, Counted>, ours: string, atMost: number): Verdict[] {
  const [own, peer] = [counted[ours], counted[PEER]];
  if (own === undefined || peer === undefined) return [];
  const ratio: Spread = spread(pairwise(own.cookies, peer.cookies, (a, b) => a / b));
  const mean = average(own.cookies) / average(peer.cookies);
  const budget = `at most ${atMost} on average`;
  return [{ what: `${ours}: cookie`, against: PEER, ratio: { ...ratio, median: mean }, budget, isMet: mean <= atMost }];
}

export const question: Question = {
  title: "Bytes that sessions add to a request and its answer",
  async ask({ quick, progress }) {
    progress("Bytes on the wire");
    const counted: Record<string, Counted> = {};
    for (const [name, site] of Object.entries(await sites())) counted[name] = await count(site, visitors(quick));
    const { bare, ...contenders } = counted;
    const added = (direction: "up" | "down", { [direction]: own }: Counted, kind: Kind) =>
      bytes(own[kind] - (bare?.[direction][kind] ?? Number.NaN));
    return {
      tables: [
        {
          title: "Bytes that sessions add: up / down",
          head: ["bytes", "cookie", ...KINDS],
          rows: Object.entries(contenders).map(([name, own]) => [
            name,
            bytes(average(own.cookies)),
            ...KINDS.map((kind) => `${added("up", own, kind)} / ${added("down", own, kind)}`),
          ]),
          notes: [
            "cookie: its name, the sign = and its value; of a session of 200 B. On average: some values are escaped.",
            "Up, a cookie costs two bytes more, for what separates it from the next. Down: Set-Cookie, and what keeps caches from storing it.",
            "sojourn's cookie is named __Host-sid over HTTPS, as here, and sid elsewhere, 7 bytes less; express-session's connect.sid everywhere.",
          ],
        },
      ],
      verdicts: [...judge(counted, NO_MAC, 0.7), ...judge(counted, MAC, 1)],
      plots: {},
      data: counted,
    };
  },
};

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function bytes(value: number): string {
  return String(Number(value.toFixed(1)));
}
