import { Worker } from "node:worker_threads";
import { valuesOf } from "./database.ts";

/** `incomplete`: a reader or another process's checkpoint is in the way. `failed`: the disk is full, or worse. */
export type CheckpointOutcome = "complete" | "incomplete" | "failed";

/**
 * What the thread does. As text, since a file would have to be found again by every bundler. It opens what is there and
 * creates nothing; and it must not be interrupted, so it ends by itself.
 */
const PROGRAM = `
const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
process.getBuiltinModule("node:fs").accessSync(workerData);
const database = new (process.getBuiltinModule("node:sqlite").DatabaseSync)(workerData);
database.prepare("SELECT count(*) FROM sqlite_master").get();
const checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
parentPort.on("message", (task) => {
  if (task === "end") {
    database.close();
    parentPort.close();
    return;
  }
  let result;
  try {
    result = checkpoint.get();
  } catch {}
  parentPort.postMessage(result);
});
`;

/**
 * A thread that checkpoints, with a connection of its own: copying and syncing ten thousand pages takes 100 ms, in which the event
 * loop would stand still. Started when first needed, 5 MB and some 60 ms that nobody waits for. It keeps the process alive while
 * it is at work and no longer.
 */
export class CheckpointThread {
  readonly #file: string;
  #worker: Worker | undefined;
  #answer: ((outcome: CheckpointOutcome) => void) | undefined;
  #hasEnded = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  /** Where threads are forbidden, or this one has broken down: then there will be none. */
  get isUnusable(): boolean {
    return this.#hasEnded;
  }

  /** Moves what is in the log into the main file, without keeping anybody from writing. One at a time. Never rejects. */
  checkpoint(): Promise<CheckpointOutcome> {
    const worker = this.#running();
    if (worker === undefined) return Promise.resolve("failed");
    worker.ref();
    worker.postMessage("checkpoint");
    return new Promise((resolve) => {
      this.#answer = (outcome) => {
        this.#answer = undefined;
        worker.unref();
        resolve(outcome);
      };
    });
  }

  /** Resolves when it has closed its connection. */
  async end(): Promise<void> {
    const wasRunning = this.#worker !== undefined && !this.#hasEnded;
    this.#hasEnded = true;
    if (!wasRunning) return;
    this.#worker?.ref();
    this.#worker?.postMessage("end");
    await this.#ended;
  }

  #running(): Worker | undefined {
    if (this.#hasEnded) return undefined;
    try {
      this.#worker ??= this.#start();
    } catch {
      // Node's permission model may forbid it.
      this.#hasEnded = true;
    }
    return this.#worker;
  }

  #start(): Worker {
    const worker = new Worker(PROGRAM, {
      eval: true,
      name: "sojourn-checkpoints",
      workerData: this.#file,
      // Nothing that the application has loaded before its own code; Node has said already that its SQLite is new.
      execArgv: ["--no-warnings"],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
    });
    worker.on("message", (result: unknown) => this.#answer?.(outcomeOf(result)));
    // An error ends the thread, and its end tells.
    worker.on("error", () => {});
    this.#ended = new Promise((resolve) => {
      worker.once("exit", () => {
        this.#hasEnded = true;
        this.#answer?.("failed");
        resolve();
      });
    });
    return worker;
  }
}

/** Of a row of `PRAGMA wal_checkpoint`. */
export function outcomeOf(result: unknown): CheckpointOutcome {
  if (result === undefined) return "failed";
  const [busy, log, checkpointed] = valuesOf(result);
  return Number(busy) === 0 && log === checkpointed ? "complete" : "incomplete";
}
