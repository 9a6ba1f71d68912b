import type { FaultProxy } from "../support/servers/proxy.ts";
import type { Application } from "./application.ts";

/** Something that goes wrong for a while. */
export interface Trouble {
  name: string;
  /** @returns how to end it */
  begin(random: () => number): Promise<() => unknown> | (() => unknown);
}

/** What can happen to the application's own processes. */
export function troubleOfProcesses(application: Application): Trouble[] {
  const one = (random: () => number) => Math.floor(random() * application.ports.length);
  return [
    {
      name: "a process is killed",
      async begin(random) {
        const n = one(random);
        await application.kill(n);
        return () => application.start(n);
      },
    },
    {
      name: "a process is stopped, and goes on",
      begin(random) {
        const n = one(random);
        application.freeze(n);
        return () => application.thaw(n);
      },
    },
    {
      name: "a process's clock is half a minute ahead or behind",
      begin(random) {
        const n = one(random);
        application.setClock(n, random() < 0.5 ? 30_000 : -30_000);
        return () => application.setClock(n, 0);
      },
    },
  ];
}

/** What can happen on the way to a server. Not among them: bits that turn over, which TLS notices and nothing else does. */
export function troubleOfNetwork(proxy: FaultProxy): Trouble[] {
  const pass = () => {
    proxy.fault = { kind: "pass" };
  };
  const set = (name: string, fault: (random: () => number) => FaultProxy["fault"]): Trouble => ({
    name: `the network: ${name}`,
    begin(random) {
      proxy.fault = fault(random);
      return pass;
    },
  });
  return [
    set("slow", (random) => ({ kind: "delay", ms: 50 + Math.floor(random() * 500) })),
    set("far too slow", () => ({ kind: "delay", ms: 3_000 })),
    set("requests are cut off", (random) => ({ kind: "stall", afterBytes: Math.floor(random() * 300) })),
    set("silent", () => ({ kind: "drop" })),
    set("answers are lost", () => ({ kind: "drop", from: "server" })),
    {
      name: "the network: answers are lost, then the connections",
      begin() {
        proxy.fault = { kind: "drop", from: "server" };
        return () => {
          pass();
          proxy.resetAll();
        };
      },
    },
    set("resets", () => ({ kind: "reset", share: 0.3, afterBytes: 0 })),
    set("half closed", () => ({ kind: "half-close" })),
    set("a trickle", () => ({ kind: "bandwidth", bytesPerSecond: 1_500 })),
  ];
}

/** What happened when, for whoever has to explain a violation. */
export interface Incident {
  name: string;
  /** Seconds after the start. */
  from: number;
  to: number;
}

/** One trouble after the other, each for up to some seconds, and some time without any. */
export class Nemesis {
  readonly incidents: Incident[] = [];
  /** What goes on at this moment. */
  current = "";
  readonly #troubles: readonly Trouble[];
  readonly #random: () => number;
  readonly #stopped = new AbortController();

  constructor(troubles: readonly Trouble[], random: () => number) {
    this.#troubles = troubles;
    this.#random = random;
  }

  /** Resolves once {@link stop} was called and all is well again. */
  async run(): Promise<void> {
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1_000;
    while (!this.#stopped.signal.aborted) {
      await this.#pause(500 + this.#random() * 2_000);
      const trouble = this.#troubles[Math.floor(this.#random() * this.#troubles.length)];
      if (trouble === undefined || this.#stopped.signal.aborted) return;
      const incident = { name: trouble.name, from: seconds(), to: Number.POSITIVE_INFINITY };
      this.incidents.push(incident);
      this.current = trouble.name;
      const end = await trouble.begin(this.#random);
      await this.#pause(200 + this.#random() * 2_300);
      await end();
      this.current = "";
      incident.to = seconds();
    }
  }

  stop(): void {
    this.#stopped.abort();
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#stopped;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
    });
  }
}
