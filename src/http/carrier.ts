import type { IncomingMessage, ServerResponse } from "node:http";
import type { TokenScope } from "../session/backend.ts";

/** How tokens travel between an application and its clients. */
export interface Transport {
  /**
   * The way to and from the client of this request.
   * @param isPage whether there is a response that could bring a token, as there is none for an upgrade. Default `true`
   */
  carrierFor(req: IncomingMessage, isPage?: boolean): TokenCarrier;
}

/** One request's way for its token, there and back. */
export interface TokenCarrier extends TokenScope {
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
  /** Says that the response depends on this carrier. */
  vary(res: ServerResponse): void;
}
