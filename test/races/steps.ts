import type { Awaitable } from "../../src/index.ts";
import { caller } from "../support/express-site.ts";

/**
 * Interleaves requests on purpose. Every call to the store stops twice: before it is made, and after it was made but before its
 * caller is told. A schedule says in which order they go on; `explore` tries all schedules that can make a difference.
 */

/** Something that waits to go on. */
interface Step {
  /** Whose: steps of a lower rank are tried first. */
  readonly rank: number;
  /**
   * `store`: the store does its work. `process`: this process goes on. `clock`: the time moves. `start`: a request comes in, which
   * does nothing but ask the store for its session.
   */
  readonly touches: "store" | "process" | "clock" | "start";
  /** Of a load: it changes nothing in the store, and loads of one session wait for each other. */
  readonly loads?: boolean;
  readonly label: string;
  /** Resolves when everything that this set in motion has come to rest. */
  go(): Promise<void>;
}

/** One answer of the store. */
export interface Call {
  by: string;
  method: string;
  handle: string | undefined;
  result: unknown;
}

/** All requests of one run, and their steps. */
export class Run {
  /** The store's answers, in the order in which it did the work. */
  readonly calls: Call[] = [];
  /** Labels of the steps taken. */
  readonly taken: string[] = [];
  /** How many choices there were at each step where there was more than one, and which was made. */
  readonly choices: { of: number; taken: number }[] = [];
  /** Whether anybody waits for the answer to a call: if not, it is given at once. */
  isAwaited = (_by: string, _method: string): boolean => true;
  readonly #choose: (options: number, position: number) => number;
  /** How often a request that could go on may still be left standing for the other one. */
  #preemptions: number;
  #waiting: Step[] = [];
  readonly #aside = new Set<Promise<unknown>>();
  #unfinished = 0;
  #last: { step: Step; others: ReadonlySet<Step> } | undefined = undefined;

  /** `choose` picks one of so many steps that could be next; `position` counts its choices. */
  constructor(choose: (options: number, position: number) => number, preemptions = Number.POSITIVE_INFINITY) {
    this.#choose = choose;
    this.#preemptions = preemptions;
  }

  /** Adds a step that can be taken at any moment. */
  add(step: Step): void {
    this.#waiting.push(step);
  }

  /** A request (or other work) that the run has to see the end of. `begin` resolves when the server has got it. */
  start<T>(label: string, rank: number, begin: () => { begun: Promise<unknown>; done: Promise<T> }): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#unfinished += 1;
    const end = (): void => {
      this.#unfinished -= 1;
    };
    promise.then(end, end);
    this.add({
      rank,
      touches: "start",
      label: `${label} starts`,
      go: async () => {
        const { begun, done } = begin();
        done.then(resolve, reject);
        await begun;
        await rest();
      },
    });
    return promise;
  }

  /** A store's call that stops nowhere. However long it takes, the run waits for it before it lets time pass. */
  aside<T>(work: () => Awaitable<T>): Awaitable<T> {
    const result = work();
    if (result instanceof Promise) {
      const isOver = () => this.#aside.delete(settled);
      const settled: Promise<unknown> = result.then(isOver, isOver);
      this.#aside.add(settled);
    }
    return result;
  }

  /** Stops a store's call before and after. */
  async call<T>(method: string, handle: string | undefined, work: () => Awaitable<T>): Promise<T> {
    const by = caller.getStore() ?? "";
    const rank = by.charCodeAt(0);
    const label = `${by} ${method}`;
    const loads = method === "load";
    const worked = Promise.withResolvers<void>();
    await new Promise<void>((go) => {
      const step: Step = {
        rank,
        touches: "store",
        loads,
        label: `${label}…`,
        go: () => {
          go();
          return worked.promise;
        },
      };
      this.add(step);
    });
    const outcome = await settled(work);
    if ("value" in outcome) this.calls.push({ by, method, handle, result: outcome.value });
    if (!this.isAwaited(by, method)) {
      worked.resolve();
      if ("value" in outcome) return outcome.value;
      throw outcome.error;
    }
    await new Promise<void>((go) => {
      const step: Step = {
        rank,
        touches: "process",
        label: `…${label}`,
        go: () => {
          go();
          return rest();
        },
      };
      this.add(step);
      worked.resolve();
    });
    if ("value" in outcome) return outcome.value;
    throw outcome.error;
  }

  /** Takes steps until every request has ended and nothing waits. `nudge` is called when all that is left waits for time to pass. */
  async toTheEnd(nudge: () => void): Promise<void> {
    let nudges = 0;
    while (this.#unfinished > 0 || this.#waiting.length > 0) {
      if (this.#aside.size > 0) {
        // What follows it may be a step, too.
        await Promise.all(this.#aside);
        await rest();
        continue;
      }
      if (this.#waiting.length > 0) {
        nudges = 0;
        await this.#step();
        continue;
      }
      // Answers are on their way to the clients, or a retry pauses.
      if (nudges > 500) throw new Error(`nothing moves any more after: ${this.taken.join(", ")}`);
      await rest();
      if (nudges % 10 === 9) nudge();
      nudges += 1;
    }
  }

  async #step(): Promise<void> {
    const enabled = this.#waiting.toSorted((a, b) => a.rank - b.rank || (a.label < b.label ? -1 : 1));
    // Two neighbouring steps that don't touch the same thing come to the same in either order: only the sorted one is tried.
    const last = this.#last;
    const needed = enabled.filter(
      (step) =>
        last === undefined || !last.others.has(step) || !commute(last.step, step) || step.rank >= last.step.rank,
    );
    const staying = needed.filter((step) => step.rank === last?.step.rank);
    const allowed = this.#preemptions === 0 && staying.length > 0 ? staying : needed;
    const options = allowed.length === 0 ? enabled.slice(0, 1) : allowed;
    let chosen = 0;
    if (options.length > 1) {
      chosen = this.#choose(options.length, this.choices.length);
      this.choices.push({ of: options.length, taken: chosen });
    }
    const step = options[chosen];
    if (step === undefined) throw new Error("the run differs from the one that its schedule was made for");
    if (last !== undefined && step.rank !== last.step.rank && staying.length > 0) this.#preemptions -= 1;
    this.#waiting = this.#waiting.filter((other) => other !== step);
    this.#last = { step, others: new Set(this.#waiting) };
    this.taken.push(step.label);
    await step.go();
  }
}

function commute(a: Step, b: Step): boolean {
  if (a.rank === b.rank || a.touches === "clock" || b.touches === "clock") return false;
  if (a.touches === "store" || b.touches === "store")
    return a.touches !== b.touches || (a.loads === true && b.loads === true);
  return a.touches !== b.touches && a.loads !== true && b.loads !== true;
}

/**
 * Calls `attempt` with one schedule after the other until there is no other left, and says how many there were. `preemptions` bounds
 * how often a schedule leaves one request standing for the other: nearly all races need two.
 */
export async function explore(
  attempt: (run: Run) => Promise<void>,
  { preemptions = Number.POSITIVE_INFINITY }: { preemptions?: number | undefined } = {},
): Promise<number> {
  let prefix: number[] = [];
  for (let runs = 1; ; runs += 1) {
    const schedule = prefix;
    const run = new Run((_options, position) => schedule[position] ?? 0, preemptions);
    await told(run, attempt);
    const turn = run.choices.findLastIndex(({ of, taken }) => taken + 1 < of);
    if (turn < 0) return runs;
    prefix = run.choices.slice(0, turn + 1).map(({ taken }, position) => (position === turn ? taken + 1 : taken));
  }
}

/** Calls `attempt`; what goes wrong is told with the order in which it did. */
export async function told(run: Run, attempt: (run: Run) => Promise<void>): Promise<void> {
  try {
    await attempt(run);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${reason}, in the order: ${run.taken.join(", ")}`, { cause: error });
  }
}

/** Lets promises, and answers that are on their way through the event loop, come to rest. */
export async function rest(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function settled<T>(work: () => Awaitable<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}
