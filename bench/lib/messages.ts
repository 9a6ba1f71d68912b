import type { Contender } from "./contender.ts";

/** What the run and a contender's process tell each other. */
export type Call =
  | { method: "describe" }
  | { method: "prepare"; work: Work }
  | { method: "batch"; requests: number }
  | { method: "close" }
  | { method: "serve"; settings: ServeSettings }
  | { method: "cpu" }
  | { method: "cookies" }
  | { method: "stopServing"; writes: number };
export type Reply = number | string[] | Described | Prepared | Batch | Served | undefined | void;

export interface Described extends Pick<Contender, "name" | "kind"> {
  over: Contender["over"] | undefined;
  stateless: boolean;
  server: Contender["server"] | undefined;
  note: string | undefined;
  missing: string | undefined;
}

/** How many clients there can be. */
export const MOST_AT_ONCE = 8;

/** One kind of request. */
export interface Work {
  /** The route. */
  path: string;
  /** Whether the client has a session. */
  cookie: boolean;
  /** How much it holds. */
  bytes: number;
  /** How many small properties it has besides. */
  properties?: number;
  /** How many clients send at the same time. */
  atOnce: number;
  warmUpMs: number;
  /** How much CPU a batch should take. */
  batchMs: number;
}

/** How many requests make a batch, or why there can be none. */
export type Prepared = { requests: number; tooLarge?: never } | { tooLarge: string; requests?: never };

export interface Batch {
  requests: number;
  /** User and system time of the process with all its threads: collecting garbage and compiling too. */
  cpuMicroseconds: number;
}

export interface ServeSettings {
  /** How much each session holds. */
  bytes: number;
  sessions: number;
  /** In process, before it listens: compiling goes on for some 30,000 requests. */
  warmUp: readonly { path: string; cookie: boolean; ms: number }[];
}

/** Where an application listens. */
export interface Served {
  port: number;
}
