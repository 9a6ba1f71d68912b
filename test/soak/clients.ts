import { performance } from "node:perf_hooks";
import { handleOf } from "../support/client.ts";
import { generator } from "../support/random.ts";
import { Browser, NotSent } from "./browser.ts";
import type { Kind, Operation, Outcome, Seen } from "./history.ts";

export interface Plan {
  clients: number;
  /** Where the application listens at this moment; one that doesn't has none. */
  ports(): (number | undefined)[];
  /** When the next request may be sent. */
  turn(): Promise<void>;
  /** Of what each of them does; it depends on nobody else. */
  seed: number;
  /** How often each of them does something, if not until all are stopped. */
  acts?: number;
  patienceMs?: number;
}

/** What is sent, beside a method and a path. */
interface Request {
  kind: Kind;
  life: string;
  token: string | undefined;
  value?: string;
  query?: Record<string, string>;
}

const DATA = ["read", "append", "count", "append", "count"] as const;

/** Users who each have a browser, and do what users do. Whatever they are told goes into one history. */
export class Clients {
  readonly operations: Operation[] = [];
  readonly #plan: Plan;
  readonly #browser: Browser;
  readonly #users: User[];
  readonly #started = performance.now();
  #order = 0;
  #made = 0;
  #isOver = false;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#browser = new Browser(plan.patienceMs ?? 5_000);
    this.#users = Array.from({ length: plan.clients }, (_, n) => ({
      name: `user${n + 1}`,
      random: generator(plan.seed + n * 1_000_003),
      lives: 0,
      past: [],
    }));
  }

  /** Resolves once everyone has done enough, or {@link stop} was called, and every answer is there. */
  async run(): Promise<void> {
    await Promise.all(
      this.#users.map(async (user) => {
        const { acts = Number.POSITIVE_INFINITY } = this.#plan;
        for (let act = 0; act < acts && !this.#isOver; act++) await this.#act(user);
      }),
    );
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Everyone looks at what is there, with every token of late, and asks again where there is no answer. */
  async look(patienceMs: number): Promise<Operation[]> {
    const end = performance.now() + patienceMs;
    const silent: Operation[] = [];
    for (const user of this.#users) {
      const { current } = user;
      for (const life of [...user.past.slice(-10), ...(current === undefined ? [] : [current])]) {
        let answer: Operation;
        do answer = (await this.#do(user, { kind: "read", ...life })).operation;
        while (answer.outcome !== "done" && answer.outcome !== "absent" && performance.now() < end);
        if (answer.outcome !== "done" && answer.outcome !== "absent") silent.push(answer);
      }
    }
    return silent;
  }

  close(): void {
    this.#browser.close();
  }

  async #act(user: User): Promise<void> {
    const { random, current } = user;
    if (current === undefined) {
      const life = `${user.name}.${++user.lives}`;
      const { issued } = await this.#do(user, { kind: "login", life, token: undefined, query: { life } });
      if (issued !== undefined) user.current = { life, token: issued };
      return;
    }
    const requests: Request[] = [];
    const parallel = random() < 0.5 ? 1 : 2 + Math.floor(random() * 3);
    for (let n = 0; n < parallel; n++) {
      const kind = pick(DATA, random);
      const value = kind === "append" ? { value: `v${++this.#made}` } : {};
      const query = { way: random() < 0.5 ? "property" : "list" };
      requests.push({ kind, ...current, ...value, query });
    }
    const old = random() < 0.1 ? user.past.at(-1 - Math.floor(random() * 5)) : undefined;
    if (old !== undefined) requests.push({ kind: pick(["read", "append"], random), ...old, value: `v${++this.#made}` });
    const control = random();
    if (control < 0.06) requests.push({ kind: "rotate", ...current, query: { way: random() < 0.3 ? "login" : "new" } });
    else if (control < 0.09) requests.push({ kind: "logout", ...current });
    else if (control < 0.105) requests.push({ kind: "revoke", life: current.life, token: undefined });

    const answers = await Promise.all(requests.map((request) => this.#do(user, request)));
    this.#conclude(user, current, answers);
    // As a person would: an outage is no time to click faster.
    if (answers.every(({ operation: { outcome } }) => outcome === "unknown" || outcome === "refused")) await rest();
  }

  /** Which token the browser has after all of these answers. */
  #conclude(user: User, current: Life, answers: readonly Done[]): void {
    const rotated = answers.find(({ operation, issued }) => operation.kind === "rotate" && issued !== undefined);
    const isGone = answers.some(
      ({ operation: { kind, outcome, handle } }) =>
        (outcome === "absent" && handle === handleOf(current.token)) || (kind === "logout" && outcome !== "refused"),
    );
    if (rotated?.issued !== undefined) user.current = { life: current.life, token: rotated.issued };
    else if (isGone) delete user.current;
    if (user.current?.token !== current.token) user.past.push(current);
  }

  async #do(user: User, { kind, life, token, value, query = {} }: Request): Promise<Done> {
    await this.#plan.turn();
    const ports = this.#plan.ports();
    const at = Math.floor(user.random() * ports.length);
    const parameters = new URLSearchParams({ user: user.name, ...query, ...(value !== undefined && { value }) });
    const operation: Operation = {
      id: this.operations.length,
      client: user.name,
      kind,
      life,
      ...(token !== undefined && { handle: handleOf(token) }),
      ...(value !== undefined && { value }),
      began: this.#order++,
      ended: Number.POSITIVE_INFINITY,
      outcome: "unknown",
    };
    this.operations.push(operation);
    const sentAt = performance.now() - this.#started;
    const port = ports[at];
    let answered: string;
    let issued: string | undefined;
    try {
      if (port === undefined) throw new NotSent("not running");
      const method = kind === "read" ? "GET" : "POST";
      const answer = await this.#browser.send(port, method, `/${kind}?${parameters}`, token);
      operation.outcome = outcomeOf(answer.status, answer.body["code"]);
      if (operation.outcome === "done" && isSeen(answer.body)) operation.seen = answer.body;
      if ((kind === "login" || kind === "rotate") && operation.outcome === "done" && answer.token !== undefined) {
        issued = answer.token;
        operation.issued = handleOf(answer.token);
      }
      answered = [answer.status, answer.body["code"], answer.body["reason"]]
        .filter((part) => part !== undefined)
        .join(" ");
    } catch (error) {
      if (error instanceof NotSent) operation.outcome = "refused";
      answered = error instanceof Error ? error.message : String(error);
    }
    operation.ended = this.#order++;
    operation.note = `${(sentAt / 1_000).toFixed(3)} s, process ${at + 1}: ${answered}`;
    return { operation, issued };
  }
}

interface Done {
  operation: Operation;
  /** The token itself. */
  issued: string | undefined;
}

interface Life {
  life: string;
  token: string;
}

interface User {
  name: string;
  random: () => number;
  lives: number;
  current?: Life;
  past: Life[];
}

function rest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 300));
}

function outcomeOf(status: number, code: unknown): Outcome {
  if (status === 200) return "done";
  if (status === 401 || code === "SESSION_GONE") return "absent";
  return code === "CONFLICT" ? "refused" : "unknown";
}

function isSeen(body: object): body is Seen {
  return "values" in body && Array.isArray(body.values) && "counter" in body;
}

function pick<T>(from: readonly [T, ...T[]], random: () => number): T {
  return from[Math.floor(random() * from.length)] ?? from[0];
}
