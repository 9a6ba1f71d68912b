import type { Awaitable, SessionRecord } from "../contract/store.ts";
import type { Clock } from "../contract/time.ts";
import type { TokenCodec } from "../crypto/token.ts";
import type { OpenedSession, RequestFacts, SessionContext } from "./context.ts";
import type { Links } from "./links.ts";
import type { RotatedToken } from "./rotated-handles.ts";
import type { RunningRequests } from "./running.ts";
import type { Stored } from "./store-access.ts";
import type { Validation, Verdict } from "./validation.ts";

/** The scope of a token, outside which it is invalid. */
export interface TokenScope {
  /** The name of the cookie or the header. */
  readonly name: string;
  readonly codec: TokenCodec;
  /**
   * The transport as a session's metadata records it; `undefined` for a cookie whose name the MAC
   * covers, and for the default.
   */
  readonly transport: string | undefined;
  /** How many characters of a token fit. */
  readonly room: number;
  /** The earlier scope of the request's tokens, if any. They open, and a new one replaces them. */
  readonly former?: Pick<TokenScope, "name" | "codec"> | undefined;
}

/** A token whose form and MAC are valid. Each backend adds its own facts. */
export interface CheckedToken {
  /** Whether an older key or an older name made it, so that it should be sent again. */
  readonly outdated: boolean;
}

/** A session, and what its token needs. */
export interface Opening {
  readonly opened: OpenedSession;
  readonly outdated: boolean;
  /** Whether the token must be sent again even if nothing reads the session. */
  readonly renew: boolean;
}

/** Is what the HTTP layer needs from a session backend, store-backed or cookie-backed. */
export interface SessionBackend {
  readonly clock: Clock;
  /** Whether opening a session never waits. */
  readonly isSynchronous: boolean;
  /** Keeps sessions alive during their requests; `undefined` where no store has an idle timeout. */
  readonly running: RunningRequests | undefined;
  /** Tells when an opened session must be validated; `undefined` for never. */
  readonly validation: Validation | undefined;
  /** Verifies the form and the MAC of a token. Never throws. */
  verify(text: string, scope: TokenScope): CheckedToken | undefined;
  /**
   * Returns whether the token's session must be opened, even if nothing reads it.
   * @param counts whether the request is a use of it
   */
  isOpeningDue(token: CheckedToken, counts: boolean): boolean;
  /** Opens a token's session; `undefined` for none. @param counts whether that is a use of it */
  open(token: CheckedToken, scope: TokenScope, counts: boolean): Awaitable<Opening | undefined>;
  /**
   * Asks the application whether an opened session is still valid, if that is due, and ends it if not.
   * @throws SojournError VALIDATION_FAILED; `STORE_…`
   */
  validate(opened: OpenedSession): Awaitable<Verdict>;
  /** Returns the token if its session is gone because another one replaced it a moment ago. */
  rotated(token: CheckedToken): RotatedToken | undefined;
  /** Returns the session of one request. */
  context(request: RequestFacts, opened: OpenedSession | undefined, scope: TokenScope): SessionContext;
  /** Returns whether a session that was opened before is still alive. That is not a use. */
  isOpen(opened: OpenedSession): Awaitable<boolean>;
  /**
   * Stores a use of a session, and returns its record.
   * @throws SojournError SESSION_GONE; HEADERS_SENT if only a response could store it
   */
  touch(opened: OpenedSession): Awaitable<SessionRecord>;
  /** Stores a use of a session in the background. */
  use(session: Stored & { readonly handle: string }): void;
  /** Returns the sign-in links. @throws TypeError if no store can ensure that a link works once */
  links(): Links;
  /** Returns the token of a context's session as last stored. */
  tokenOf(context: SessionContext, scope: TokenScope): string;
  /** Waits for the writes in progress, stops the sweep, and closes the stores. Idempotent. */
  close(): Promise<void>;
}
