import type { IncomingMessage, ServerResponse } from "node:http";
import type { TokenScope } from "../session/keeper.ts";

/** How tokens travel between an application and its clients. */
export interface Transport {
  /**
   * The way to and from the client of this request.
   * @param isPage whether there is a response that could bring a token, as there is none for an upgrade. Default `true`
   */
  channelFor(req: IncomingMessage, isPage?: boolean): Channel;
}

/** One request's way for its token, there and back. */
export interface Channel extends TokenScope {
  /** Whether a token sent back would arrive. */
  readonly deliverable: boolean;
  /** Whether its request came over HTTPS; absent where that makes no difference. */
  readonly isSecure?: boolean;
  /** Requests outside of this path have no session. */
  readonly path: string;
  /** The texts that may be the token, not yet checked. */
  read(req: IncomingMessage): string[];
  /** Sends a token; without `expires` (epoch milliseconds) the client should forget it when it ends. */
  send(res: ServerResponse, token: string, lifetime: { now: number; expires: number | undefined }): void;
  /** Has the client forget its token. */
  clear(res: ServerResponse): void;
  /** Says that the response depends on this channel. */
  vary(res: ServerResponse): void;
}

/** Adds a request header to those that the response depends on. */
export function addVary(res: ServerResponse, name: string): void {
  const names = addName(res, "Vary", name);
  // Whatever depends on everything depends on this, too.
  if (names !== undefined && !names.includes("*")) res.setHeader("Vary", names.join(", "));
}

/** Lets a page of another origin read a response header. A `*` is no header of all where a request has credentials, so the name stands beside it. */
export function exposeHeader(res: ServerResponse, name: string): void {
  const names = addName(res, "Access-Control-Expose-Headers", name);
  if (names !== undefined) res.setHeader("Access-Control-Expose-Headers", names.join(", "));
}

/** The names that a header lists, and this one; `undefined` if it is among them already. */
function addName(res: ServerResponse, header: string, name: string): string[] | undefined {
  const there = res.getHeader(header);
  if (there === undefined) return [name];
  const names = String(there)
    .split(",")
    .flatMap((one) => one.trim() || []);
  const isThere = names.some((one) => one.toLowerCase() === name.toLowerCase());
  return isThere ? undefined : [...names, name];
}
