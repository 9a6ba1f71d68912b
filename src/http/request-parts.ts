import type { IncomingMessage, ServerResponse } from "node:http";
import type { SessionBackend } from "../session/backend.ts";
import type { Events } from "../session/events.ts";
import type { ErrorHandler } from "./failed-answer.ts";
import type { Accept } from "./legacy.ts";
import type { ProxyTrust } from "./secure.ts";

/** What all requests of one middleware share. */
export interface RequestParts {
  readonly backend: SessionBackend;
  readonly events: Events;
  /** Decides whether requests came over HTTPS, and which of a proxy's headers count. */
  readonly trust: ProxyTrust;
  /** The application's `store` option. */
  readonly store: object;
  readonly onStoreError: "error" | "anonymous";
  /** Finds another library's session, for a client without a Sojourn session. */
  readonly accept?: Accept | undefined;
  /** Says which requests are a use of their session; `undefined` for all. */
  readonly countsAsUse: ((req: IncomingMessage) => unknown) | undefined;
  /**
   * Responds to requests whose session could not be saved. Default: Express's or Connect's error
   * handler, else a bare response.
   */
  readonly onError?: ErrorHandler | undefined;
}

export type Next = (error?: unknown) => void;

/** A request on its way, which Express's router may serve. */
export interface Passing {
  readonly req: IncomingMessage & { next?: unknown };
  readonly res: ServerResponse;
  readonly isHeld: boolean;
  /** Whether it is a use of its session. */
  readonly counts: boolean;
  readonly next: Next;
}
