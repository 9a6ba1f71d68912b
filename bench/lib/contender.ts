import type { RequestListener } from "node:http";
import type { Clock } from "../../src/contract/time.ts";
import type { SessionData } from "./session-data.ts";

export type Awaitable<T> = T | Promise<T>;

/** What a file in `contenders/` exports as `contender`. */
export interface Contender {
  /** As tables and plots show it. */
  name: string;
  /** `bare`: no sessions at all. `limit`: a sketch that does only what can't be avoided. */
  kind: "ours" | "peer" | "limit" | "bare";
  /** The contender without sessions that its cost is added to, by its file's name. A bare one has none. */
  over?: "bare-express" | "bare-fastify";
  /** The session is the cookie: a server remembers nothing. */
  stateless?: true;
  /** It keeps its sessions in a server, which it starts for itself. */
  server?: "Redis" | "PostgreSQL" | "MariaDB";
  /** What a reader of the table has to know. */
  note?: string;
  /** Why it can't run on this machine, such as a server that isn't there. A failure of any other kind fails the run. */
  missing?(): Awaitable<string | undefined>;
  /** A fresh application, with the routes of {@link Uses}; `fill` puts `data` into a session. Its sessions go by the clock, where it can be told. */
  open(data: SessionData, clock?: Clock): Awaitable<Site>;
}

/** An application that is open. */
export interface Site {
  listener: RequestListener;
  /** How many commands its store has sent to its server since the first call, by the server's own account. */
  commands?: () => Promise<number>;
  close(): Awaitable<unknown>;
}

/**
 * What every application does with sessions, in its library's own words: one route each, of the same name. What they return is the text of the
 * answer. `/none` answers too, and leaves the session alone.
 */
export interface Uses<Req, Res> {
  /** One small property: `views`. */
  read(req: Req, res: Res): unknown;
  /** Counts `views` up by one; what it is then. */
  write(req: Req, res: Res): unknown;
  /** All of the data: what {@link SessionData.weigh} finds in it. */
  whole(req: Req, res: Res): unknown;
  /** All of the data into a new session. */
  fill(req: Req, res: Res): unknown;
  /** Logs "alice" in, with a new session as the application's documentation has it. */
  login(req: Req, res: Res): unknown;
  /** Logs in, and puts a small property into the new session. */
  enter(req: Req, res: Res): unknown;
  logout(req: Req, res: Res): unknown;
  /** Who is logged in. */
  who(req: Req, res: Res): unknown;
  /** Counts `views` up by one whatever others do meanwhile, where the library can do that. */
  increment?: (req: Req) => unknown;
}

/** The routes, in the order in which they are declared. */
export const ROUTES = ["read", "write", "whole", "fill", "login", "enter", "logout", "who"] as const;

export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}
