import type { Awaitable, SessionRecord } from "../contract/store.ts";
import type { Clock } from "../contract/time.ts";
import type { TokenCodec } from "../crypto/token.ts";
import type { OpenedSession, RequestFacts, SessionContext } from "./context.ts";
import type { Links } from "./links.ts";
import type { RotatedToken } from "./rotated-handles.ts";
import type { RunningRequests } from "./running.ts";
import type { Stored } from "./store-access.ts";

/** What a token belongs to. It works nowhere else. */
export interface TokenScope {
  /** Such as the cookie's name. */
  readonly name: string;
  readonly codec: TokenCodec;
  /** The transport as a session remembers it; `undefined` for a cookie whose name the MAC covers, or the default one. */
  readonly transport: string | undefined;
  /** How many characters of a token fit. */
  readonly room: number;
  /** The name that the request's tokens were made for, if that was another one. They open, and a new token replaces them. */
  readonly former?: Pick<TokenScope, "name" | "codec"> | undefined;
}

/** A token whose form and MAC are right. Each backend adds what it knows of it. */
export interface CheckedToken {
  /** Whether it is to be sent again, because it was made by an older key or under an older name. */
  readonly outdated: boolean;
}

/** A session, and what its token still needs. */
export interface Opening {
  readonly opened: OpenedSession;
  readonly outdated: boolean;
  /** Whether the token has to be sent again, even if nothing reads the session. */
  readonly renew: boolean;
}

/** What the HTTP layer needs from a session backend, store-backed (`StoredSessions`) or cookie-backed (`SealedSessions`). */
export interface SessionBackend {
  readonly clock: Clock;
  /** Whether opening a session never waits. */
  readonly isSynchronous: boolean;
  /** The requests in progress, which keep their sessions from ending idle; `undefined` where sessions have no idle timeout in a store. */
  readonly running: RunningRequests | undefined;
  /** Checks the form and the MAC of a token. Never throws. */
  verify(text: string, scope: TokenScope): CheckedToken | undefined;
  /** Whether the last use of the token's session may have to be stored, even if nothing reads the session. */
  isTouchDue(token: CheckedToken): boolean;
  /** Opens a token's session; `undefined` if there is none. @param counts whether that counts as a use of it */
  open(token: CheckedToken, scope: TokenScope, counts: boolean): Awaitable<Opening | undefined>;
  /** Returns whether a token that opens nothing is of a session that was replaced a moment ago. */
  rotated(token: CheckedToken): RotatedToken | undefined;
  /** Returns the session of one request. */
  context(request: RequestFacts, opened: OpenedSession | undefined, scope: TokenScope): SessionContext;
  /** Whether a session that was opened before has not ended. Does not count as a use. */
  isOpen(opened: OpenedSession): Awaitable<boolean>;
  /** Stores a use of a session, and returns its record. @throws SojournError SESSION_GONE; HEADERS_SENT if only a response could */
  touch(opened: OpenedSession): Awaitable<SessionRecord>;
  /** Stores a use of a session in the background. */
  use(session: Stored & { readonly handle: string }): void;
  /** @throws TypeError where no store could promise that sign-in links work once */
  links(): Links;
  /** Returns the token of a context's session as it was stored last. */
  tokenOf(context: SessionContext, scope: TokenScope): string;
  /** Waits for the writes in progress, stops the sweep, and closes the stores. Idempotent. */
  close(): Promise<void>;
}
