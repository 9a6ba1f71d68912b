import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { StoreName } from "./stores.ts";

export interface ApplicationOptions {
  processes: number;
  store: StoreName;
  place: string;
  /** A mistake to make, see `broken-stores.ts`. */
  breakage?: string | undefined;
}

interface Running {
  child: ChildProcess;
  port: number | undefined;
}

/** The processes of one application, which share nothing but a store. */
export class Application {
  readonly #options: ApplicationOptions;
  readonly #running: Running[] = [];
  /** Said by processes that ended though nobody killed them. */
  readonly crashes: string[] = [];

  private constructor(options: ApplicationOptions) {
    this.#options = options;
  }

  static async start(options: ApplicationOptions): Promise<Application> {
    const application = new Application(options);
    await Promise.all(Array.from({ length: options.processes }, (_, n) => application.start(n)));
    return application;
  }

  get ports(): (number | undefined)[] {
    return this.#running.map(({ port }) => port);
  }

  async start(n: number): Promise<void> {
    const { store, place, breakage } = this.#options;
    // The clocks of several machines are never quite the same.
    const skew = String((n - 1) * 500);
    const child = fork(
      join(import.meta.dirname, "site-process.ts"),
      [store, place, skew, ...(breakage === undefined ? [] : [breakage])],
      {
        execArgv: ["--conditions=sojourn-source", "--disable-warning=ExperimentalWarning"],
        env: { PATH: process.env.PATH, NODE_ENV: "test" },
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      },
    );
    const running: Running = { child, port: undefined };
    this.#running[n] = running;
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said = (said + chunk).slice(-4_000);
    });
    const ended = once(child, "exit").then(([code, signal]) => {
      running.port = undefined;
      if (signal === null) this.crashes.push(`a process ended with code ${code}:\n${said}`);
    });
    const serving = once(child, "message").then(([port]) => {
      running.port = Number(port);
    });
    await Promise.race([serving, ended]);
  }

  async kill(n: number): Promise<void> {
    const child = this.#running[n]?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  freeze(n: number): void {
    this.#running[n]?.child.kill("SIGSTOP");
  }

  thaw(n: number): void {
    this.#running[n]?.child.kill("SIGCONT");
  }

  setClock(n: number, skewMs: number): void {
    this.#running[n]?.child.send(skewMs);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map((_, n) => this.kill(n)));
  }
}
