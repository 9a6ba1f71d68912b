import type { SignatureKey } from "../../crypto/signature.ts";
import { Cookie, type CookieOptions } from "./cookie.ts";
import type { Lives } from "./lives.ts";
import { isSecureRequest, type SessionRequest } from "./request.ts";
import { Session, type SessionStoreLike } from "./session.ts";

/** What all requests of one middleware share: its options, completed. */
export interface Environment {
  readonly store: SessionStoreLike;
  readonly name: string;
  /** `undefined`: the one that cookie-parser left on the request. */
  readonly secrets: readonly SignatureKey[] | undefined;
  readonly proxy: boolean | undefined;
  readonly resave: boolean;
  readonly rolling: boolean;
  readonly saveUninitialized: boolean;
  /** Whether a session that was taken off the request is destroyed. */
  readonly unsetDestroys: boolean;
  readonly recheck: boolean;
  /** Whether the store can move a session's end without writing its data. */
  readonly touches: boolean;
  readonly lives: Lives;
  /** Gives a request an empty session. */
  readonly generate: (req: SessionRequest) => void;
  generateId(req: SessionRequest): string;
  cookieOptions(req: SessionRequest): CookieOptions;
}

/** On a request: how the middleware that it went through makes a session. A function shows no secrets to those who inspect a request. */
const GENERATE = Symbol("sojourn.generate");

interface Entered extends SessionRequest {
  [GENERATE]?: Environment["generate"];
}

export function enter(req: SessionRequest, env: Environment): void {
  const entered: Entered = req;
  entered[GENERATE] = env.generate;
  req.sessionStore = env.store;
}

/**
 * Puts `generate` on the store, for `Store.regenerate` and for applications. Two middlewares may share a store: each request gets
 * what its own middleware would give it, and only a request that went through neither gets the last one's.
 */
export function putGenerate(env: Environment): void {
  env.store.generate = (req: Entered) => (req[GENERATE] ?? env.generate)(req);
}

/** Gives a request an empty session under a new ID. */
export function newSession(env: Omit<Environment, "generate">, req: SessionRequest): void {
  const options = env.cookieOptions(req);
  req.sessionID = env.generateId(req);
  const session = new Session(req);
  session.cookie = new Cookie(options);
  req.session = session;
  if (options.secure === "auto") session.cookie.secure = isSecureRequest(req, env.proxy);
  if (options.sameSite === "auto") session.cookie.sameSite = isSecureRequest(req, env.proxy) ? "none" : "lax";
}
