import type { IncomingMessage, ServerResponse } from "node:http";
import type { TokenScope } from "../core/keeper.ts";

/** How tokens travel between an application and its clients. */
export interface Transport {
  /** The way to and from the client of this request. */
  channelFor(req: IncomingMessage): Channel;
}

/** One request's way for its token, there and back. */
export interface Channel extends TokenScope {
  /** Whether a token sent back would arrive. */
  readonly deliverable: boolean;
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
  const there = res.getHeader("vary");
  if (there === undefined || there === "") {
    res.setHeader("Vary", name);
    return;
  }
  const vary = [there].flat().join(", ");
  const names = vary.split(",").map((one) => one.trim().toLowerCase());
  if (!names.includes("*") && !names.includes(name.toLowerCase())) res.setHeader("Vary", `${vary}, ${name}`);
}
