import { systemClock } from "../../src/contract/time.ts";
import type { IndexedStore } from "../../src/index.ts";
import { decodePayload } from "../../src/session/content.ts";
import { generator } from "../support/random.ts";
import { Application } from "./application.ts";
import { check } from "./checker.ts";
import { Clients } from "./clients.ts";
import { grounds } from "./grounds.ts";
import { type History, type Live, lineOf, type Violation } from "./history.ts";
import { type Incident, Nemesis, troubleOfProcesses } from "./nemesis.ts";
import { openStore, type StoreName } from "./stores.ts";

export interface SoakOptions {
  store: StoreName;
  seconds: number;
  seed: number;
  /** When a request may be sent. */
  turn: () => Promise<void>;
  breakage?: string | undefined;
  progress(line: string): void;
}

export interface Report {
  history: History;
  incidents: readonly Incident[];
  violations: readonly Violation[];
  /** What else went wrong. */
  problems: readonly string[];
}

const PROCESSES = 3;
const CLIENTS = 20;
/** How long after the last fault everyone has to be served again. */
const RECOVERY_MS = 20_000;
const PROGRESS_MS = 10_000;

/** Three processes, twenty clients, one store, and whatever can happen to them. */
export async function soak({ store: name, seconds, seed, turn, breakage, progress }: SoakOptions): Promise<Report> {
  const ground = await grounds[name]();
  const application = await Application.start({ processes: PROCESSES, store: name, place: ground.place, breakage });
  const clients = new Clients({
    clients: CLIENTS,
    ports: () => application.ports,
    turn,
    seed,
  });
  const nemesis = new Nemesis([...ground.troubles, ...troubleOfProcesses(application)], generator(seed + 1));
  const problems: string[] = [];
  try {
    // What is to be disturbed has to be there.
    const store = openStore(name, ground.direct, systemClock);
    await store.load("nobody");

    const started = performance.now();
    const telling = setInterval(() => {
      const done = clients.operations.length;
      const at = Math.round((performance.now() - started) / 1_000);
      const now = nemesis.current === "" ? "" : `; now: ${nemesis.current}`;
      progress(`${at} s, ${done} operations, ${nemesis.incidents.length} faults${now}`);
    }, PROGRESS_MS);
    const running = clients.run();
    const troubling = nemesis.run();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    nemesis.stop();
    await troubling;
    clients.stop();
    await running;
    clearInterval(telling);

    problems.push(...application.crashes);
    // Everything is well again, so everyone must be served again.
    const silent = await clients.look(RECOVERY_MS);
    if (silent.length > 0) problems.push(`not served:\n    ${silent.map(lineOf).join("\n    ")}`);
    const census = await censusOf(store);
    await store.close();
    const history = { operations: clients.operations, census };
    problems.push(...shortOf(history));
    return { history, incidents: nemesis.incidents, violations: check(history), problems };
  } finally {
    clients.close();
    await application.stop();
    await ground.stop();
  }
}

/** Everything that the store holds of lives that began here. */
export async function censusOf(store: IndexedStore): Promise<Live[]> {
  const census: Live[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ limit: 500, ...(cursor !== undefined && { cursor }) });
    for (const { handle, userId, payload } of page.sessions) {
      const life = decodePayload(payload)?.encoded.get("life");
      if (userId !== null && life !== undefined) census.push({ client: userId, life: JSON.parse(life), handle });
    }
    ({ cursor } = page);
  } while (cursor !== undefined);
  return census;
}

/** A run in which nothing was done proves nothing. */
function shortOf({ operations }: History): string[] {
  const done = operations.filter(({ outcome }) => outcome === "done");
  const problems = ["login", "append", "count", "rotate", "logout", "revoke", "read"]
    .filter((kind) => !done.some((operation) => operation.kind === kind))
    .map((kind) => `no ${kind} was ever acknowledged`);
  if (done.length < operations.length / 3)
    problems.push(`of ${operations.length} operations only ${done.length} were done`);
  return problems;
}
