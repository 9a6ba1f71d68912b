import type { Contender } from "./contender.ts";

/** What the run and a contender's process tell each other. */
export type Call =
  | { method: "describe" }
  | { method: "prepare"; work: Work }
  | { method: "batch"; requests: number }
  | { method: "close" };
export type Reply = Described | Prepared | Batch | undefined | void;

export interface Described extends Pick<Contender, "name" | "kind"> {
  over: Contender["over"] | undefined;
  stateless: boolean;
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
