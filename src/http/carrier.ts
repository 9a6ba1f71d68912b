import type { IncomingMessage, ServerResponse } from "node:http";
import type { TokenScope } from "../session/backend.ts";

/** Carries tokens between an application and its clients. */
export interface Transport {
  /**
   * Returns the carrier of one request's token.
   * @param isPage whether a response could bring a token; an upgrade's can't. Default `true`
   */
  carrierFor(req: IncomingMessage, isPage?: boolean): TokenCarrier;
}

/** Carries one request's token, in both directions. */
export interface TokenCarrier extends TokenScope {
  /** Whether a token that a response sends would arrive. */
  readonly deliverable: boolean;
  /** Whether the request came over HTTPS; absent where that makes no difference. */
  readonly isSecure?: boolean;
  /** Requests outside of this path have no session. */
  readonly path: string;
  /** Returns the texts that may be the token, unverified. */
  read(req: IncomingMessage): string[];
  /**
   * Sends a token. Without `expires` (epoch milliseconds) the client should forget the token when
   * the browser ends.
   */
  send(res: ServerResponse, token: string, lifetime: { now: number; expires: number | undefined }): void;
  /** Deletes the client's token. */
  clear(res: ServerResponse): void;
  /** Marks the response as dependent on this carrier, for caches. */
  vary(res: ServerResponse): void;
}
