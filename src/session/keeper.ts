import type { Clock } from "../contract/clock.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import type { TokenCodec } from "../crypto/token.ts";
import type { Links } from "./links.ts";
import type { RunningRequests } from "./running.ts";
import type { Replaced } from "./superseded.ts";
import type { Client, OpenedSession, StoredState, Visit } from "./visit.ts";

/** What a token belongs to: it works nowhere else. */
export interface TokenScope {
  /** Such as the cookie's name. */
  readonly name: string;
  readonly codec: TokenCodec;
  /** The transport, as a session remembers it; `undefined`: a cookie whose name its tokens cover, or the default one. */
  readonly via: string | undefined;
  /** How many characters of a token fit. */
  readonly room: number;
  /** The name that the request's tokens were made for, where that was another: they open, and are to be sent anew. */
  readonly former?: Pick<TokenScope, "name" | "codec"> | undefined;
}

export interface OpenOptions {
  /** Whether opening a session counts as a use of it. Default `true`. */
  counts?: boolean;
}

/** A session, and what its token still needs. */
export interface Opening {
  opened: OpenedSession;
  /** Whether another key than the first made the token. */
  outdated: boolean;
  /** Whether the token has to be sent anew, even if nobody reads the session. */
  renew: boolean;
}

/** What a request needs of whoever keeps the sessions: a store behind `SessionManager`, or the tokens themselves. */
export interface SessionKeeper {
  readonly clock: Clock;
  /** Whether opening a session never waits. */
  readonly opensAtOnce: boolean;
  /** Tries each text in turn; the first that opens a session wins. */
  openFirst(texts: readonly string[], scope: TokenScope, options?: OpenOptions): Awaitable<Opening | undefined>;
  /** Whether a token that opens nothing is of a session that was replaced a moment ago, by a login say: its client has, or will have, the new one. */
  wasReplaced(texts: readonly string[], scope: TokenScope): Replaced | false;
  /** Whether there is nothing to write down for this token unless its session is read. */
  isQuiet(text: string, scope: TokenScope): boolean;
  visit(client: Client, opened: OpenedSession | undefined, scope: TokenScope): Visit;
  /** Whether a session that was opened before has not ended. Does not count as a use. */
  isOpen(opened: OpenedSession): Awaitable<boolean>;
  /** Writes down a use of a session that was opened before; its record as it is then. @throws SojournError SESSION_GONE; HEADERS_SENT where only an answer could */
  touch(opened: OpenedSession): Awaitable<SessionRecord>;
  /** Where idle sessions end in a store: requests under way, which keep theirs from that. */
  readonly running?: RunningRequests | undefined;
  /** Writes down that a session is in use; nobody waits for it. */
  use?(session: StoredState): void;
  /** Sign-in links. @throws TypeError where there is no store that could promise that they work once */
  links(): Links;
  /** The token for the visit's session as it was stored last. */
  tokenOf(visit: Visit, scope: TokenScope): string;
}
