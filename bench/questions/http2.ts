import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import type { Question } from "../lib/question.ts";
import { inTurn, pairwise, type Spread, spread } from "../lib/statistics.ts";
import { digits } from "../lib/table.ts";

const NAMES = ["sojourn", "sojourn/express-session", "bare"] as const;
type Name = (typeof NAMES)[number];
const KINDS = [
  { name: "untouched", path: "/none" },
  { name: "read", path: "/read" },
  { name: "write", path: "/write" },
];
/** Streams of one connection that are open at the same time. */
const STREAMS = 8;
const SESSIONS = 64;
const FULL = { rounds: 9, requests: 4_000, warmUp: 12_000 };
const QUICK = { rounds: 1, requests: 64, warmUp: 0 };

/** A server in a process of its own, and one connection to it. */
class Peer {
  readonly #child: ChildProcess;
  readonly #client: ClientHttp2Session;
  #cookies: string[] = [];
  #sent = 0;

  private constructor(child: ChildProcess, client: ClientHttp2Session) {
    this.#child = child;
    this.#client = client;
  }

  static async start(name: Name): Promise<Peer> {
    const env = { ...process.env, NODE_ENV: "production" };
    const child = fork(join(import.meta.dirname, "../lib/http2-process.ts"), [name], { env });
    const [port] = await once(child, "message");
    const client = connect(`http://127.0.0.1:${port}`);
    await once(client, "connect");
    const peer = new Peer(child, client);
    for (let i = 0; i < SESSIONS; i++) peer.#cookies.push(await peer.#ask("/write"));
    if (name !== "bare" && peer.#cookies.includes("")) throw new Error(`${name}: a new session has no cookie`);
    return peer;
  }

  /** Microseconds of the server's processor time a request. */
  async cost(path: string, requests: number): Promise<number> {
    const before = await this.#cpu();
    const next = async () => {
      while (this.#sent < last) await this.#ask(path, this.#cookies[this.#sent++ % SESSIONS]);
    };
    const last = this.#sent + requests;
    await Promise.all(Array.from({ length: STREAMS }, next));
    return ((await this.#cpu()) - before) / requests;
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    const exited = once(this.#child, "exit");
    this.#child.disconnect();
    await exited;
  }

  async #cpu(): Promise<number> {
    this.#child.send("cpu");
    const [cpu] = await once(this.#child, "message");
    return Number(cpu);
  }

  /** Returns the cookie that the response sets; "" for none. */
  #ask(path: string, cookie = ""): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const stream = this.#client.request({ ":path": path, ...(cookie !== "" && { cookie }) });
    let set = "";
    stream.on("response", (headers) => {
      if (headers[":status"] !== 200) reject(new Error(`${path}: status ${headers[":status"]}`));
      set = headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    });
    stream.on("error", reject);
    stream.on("end", () => resolve(set));
    stream.resume();
    return promise;
  }
}

export const question: Question = {
  title: "HTTP/2: processor time of a request over one connection, without Express",
  async ask({ quick, progress }) {
    const { rounds, requests, warmUp } = quick ? QUICK : FULL;
    const costs = new Map<string, number[]>();
    const of = (name: Name, kind: string) => costs.get(`${name} ${kind}`) ?? [];
    const peers: { name: Name; peer: Peer }[] = [];
    for (const name of NAMES) peers.push({ name, peer: await Peer.start(name) });
    try {
      for (const { name, path } of KINDS) {
        progress(`HTTP/2: ${name}`);
        if (warmUp > 0) for (const { peer } of peers) await peer.cost(path, warmUp);
        for (let round = 0; round < rounds; round++) {
          for (const one of inTurn(peers, round)) {
            costs.set(`${one.name} ${name}`, [...of(one.name, name), await one.peer.cost(path, requests)]);
          }
        }
      }
    } finally {
      await Promise.all(peers.map(({ peer }) => peer.stop()));
    }
    const added = (name: Name, kind: string): Spread =>
      spread(name === "bare" ? of(name, kind) : pairwise(of(name, kind), of("bare", kind), (own, bare) => own - bare));
    return {
      tables: [
        {
          title: "CPU that a session adds to a request over HTTP/2 (bare: its own), median and quartiles",
          head: ["microseconds of CPU", ...KINDS.map(({ name }) => name)],
          rows: NAMES.map((name) => [
            name,
            ...KINDS.map((kind) => {
              const { median, low, high } = added(name, kind.name);
              return `${digits(median)} (${digits(low)}…${digits(high)})`;
            }),
          ]),
          notes: [
            `${STREAMS} streams of one connection without TLS; node:http2's compatible requests and responses.`,
            "express-session itself fails here: res._implicitHeader is not a function.",
          ],
        },
      ],
      verdicts: [],
      plots: {},
      data: Object.fromEntries(costs),
    };
  },
};
