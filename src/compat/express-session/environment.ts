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
  generateId(req: SessionRequest): string;
  cookieOptions(req: SessionRequest): CookieOptions;
}

/** Which middleware a request went through. */
const environments = new WeakMap<object, Environment>();

export function enter(req: SessionRequest, env: Environment): void {
  environments.set(req, env);
  req.sessionStore = env.store;
}

/**
 * Puts `generate` on the store, for `Store.regenerate` and for applications. Two middlewares may share a store: each request gets
 * what its own middleware would give it, and only a request that went through neither gets the last one's.
 */
export function putGenerate(env: Environment): void {
  env.store.generate = (req: SessionRequest) => newSession(environments.get(req) ?? env, req);
}

/** Gives a request an empty session under a new ID. */
function newSession(env: Environment, req: SessionRequest): void {
  const options = env.cookieOptions(req);
  req.sessionID = env.generateId(req);
  const session = new Session(req);
  session.cookie = new Cookie(options);
  req.session = session;
  const isSecure = isSecureRequest(req, env.proxy);
  if (options.secure === "auto") session.cookie.secure = isSecure;
  if (options.sameSite === "auto") session.cookie.sameSite = isSecure ? "none" : "lax";
}
