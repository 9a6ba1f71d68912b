import type { IncomingMessage, ServerResponse } from "node:http";
import "../http/express-request.ts";
import type { SignatureKey } from "../crypto/signature.ts";
import { TokenSource } from "../crypto/token.ts";
import { pathOf } from "../http/request-path.ts";
import { deprecated } from "./deprecated.ts";
import { Cookie, type CookieOptions } from "./express-session/cookie.ts";
import { type Environment, putGenerate } from "./express-session/environment.ts";
import { Exchange, type Next } from "./express-session/exchange.ts";
import { isReady, livesOf } from "./express-session/known-stores.ts";
import { MemoryStore } from "./express-session/memory.ts";
import type { SessionRequest } from "./express-session/request.ts";
import { Session, type SessionStoreLike } from "./express-session/session.ts";
import type { SessionData } from "./express-session/session-data.ts";
import { Store } from "./express-session/store.ts";
import { type ToExpressStoreOptions, toExpressStore } from "./to-express-store.ts";

/** Sojourn's drop-in for express-session: the same options, cookies, records and stores. `docs/MIGRATING.md` names what differs, and why. */

export interface SessionOptions {
  /** Signs the session's ID in the cookie. Of an array the first signs and all of them verify. */
  secret?: SignatureKey | readonly SignatureKey[] | undefined;
  /** Default: 192 random bits as 32 characters. */
  genid?: ((req: IncomingMessage) => string) | undefined;
  /** The cookie's name. Default `"connect.sid"`. */
  name?: string | undefined;
  /** The former name of `name`. */
  key?: string | undefined;
  /** Default: a new `MemoryStore`. Anything with `get`, `set` and `destroy` that inherits from `Store`. */
  store?: SessionStoreLike | undefined;
  /** The cookie's attributes, or a function of the request. Default `{ path: "/", httpOnly: true }`. */
  cookie?: CookieOptions | undefined | CookieFunction["of"];
  /** Send the cookie with every response, so that `maxAge` counts from the last one. Default `false`. */
  rolling?: boolean | undefined;
  /** Write unchanged sessions too. Default `true`, with a warning. */
  resave?: boolean | undefined;
  /** Whether `X-Forwarded-Proto` tells if a request is secure. Default: what Express says. */
  proxy?: boolean | undefined;
  /** Store sessions that nothing was put in. Default `true`, with a warning. */
  saveUninitialized?: boolean | undefined;
  /** What becomes of the record when `req.session` is set to `null`. Default `"keep"`. */
  unset?: "destroy" | "keep" | undefined;
  /**
   * Read a session again just before writing it, so that one which *another process* destroyed meanwhile is not written back.
   * Costs a `get` for every `set`. Within one process that never happens in any case. Default `false`.
   */
  recheck?: boolean | undefined;
}

declare global {
  namespace Express {
    interface SojournRequests {
      "express-session": { session: Session & Partial<session.SessionData> };
    }
    interface Request {
      sessionID: string;
      sessionStore: SessionStore;
    }
    type SessionStore = Store & SessionStoreLike;
  }
}

interface CookieFunction {
  of(req: IncomingMessage): CookieOptions;
}

/** A connect-style middleware. */
export type SessionMiddleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

const WARNING =
  "Warning: connect.session() MemoryStore is not\ndesigned for a production environment, as it will leak\nmemory, and will not scale past a single process.";

/**
 * Sessions as express-session keeps them.
 *
 * ```ts
 * import session from "sojourn/express-session";
 *
 * app.use(session({ secret: process.env.SESSION_SECRET, resave: false, saveUninitialized: false }));
 * ```
 *
 * @throws TypeError for `genid`, `unset`, `secret` or `cookie` that can't work
 */
function session(options?: SessionOptions): SessionMiddleware {
  const env = environmentOf(options ?? {});
  const { store, cookieOptions } = env;
  putGenerate(env);
  const ready = isReady(store);
  // biome-ignore lint/suspicious/noConsole: what operators know of express-session, where they know it from.
  if (process.env["NODE_ENV"] === "production" && store instanceof MemoryStore) console.warn(WARNING);

  return function session(request: IncomingMessage, res: ServerResponse, next: Next): void {
    const req: SessionRequest = request;
    // Another session middleware has the request, or the store is known to be away: the application goes on without.
    if (req.session || !ready()) return next();
    let path: string | undefined;
    try {
      path = cookieOptions(req).path;
    } catch (error) {
      return next(error);
    }
    if (!pathOf(req).startsWith(path || "/")) return next();
    const secrets = env.secrets ?? (req.secret ? [req.secret] : undefined);
    if (secrets === undefined) return next(new Error("secret option required for sessions"));
    new Exchange(env, req, res, next, secrets).begin();
  };
}

function environmentOf(options: SessionOptions): Environment {
  const { cookie = {}, unset, store = new MemoryStore() } = options;
  const tokens = new TokenSource();
  const { genid: generateId = () => tokens.secret() } = options;
  if (typeof generateId !== "function") throw new TypeError("genid option must be a function");
  const resave = options.resave ?? legacyDefault("resave");
  const saveUninitialized = options.saveUninitialized ?? legacyDefault("saveUninitialized");
  if (unset && unset !== "destroy" && unset !== "keep") {
    throw new TypeError('unset option must be "destroy" or "keep"');
  }
  return {
    store,
    name: options.name || options.key || "connect.sid",
    secrets: secretsOf(options),
    proxy: options.proxy,
    resave: Boolean(resave),
    rolling: Boolean(options.rolling),
    saveUninitialized: Boolean(saveUninitialized),
    unsetDestroys: unset === "destroy",
    recheck: Boolean(options.recheck),
    touches: typeof store.touch === "function",
    lives: livesOf(store),
    generateId,
    cookieOptions: typeof cookie === "function" ? cookie : () => cookie,
  };
}

function legacyDefault(option: string): boolean {
  deprecated("express-session", `undefined ${option} option; provide ${option} option`);
  return true;
}

function secretsOf({ secret }: SessionOptions): readonly SignatureKey[] | undefined {
  if (isList(secret)) {
    if (secret.length === 0) throw new TypeError("secret option array must contain one or more strings");
    return secret;
  }
  if (secret) return [secret];
  deprecated("express-session", "req.secret; provide secret option");
  return undefined;
}

function isList(secret: SessionOptions["secret"]): secret is readonly SignatureKey[] {
  return Array.isArray(secret);
}

/** Tells this drop-in from the original, which has no such property. */
const implementation = "sojourn";

Object.assign(session, { Store, Cookie, Session, MemoryStore, toExpressStore, implementation });

type TheOptions = SessionOptions;
type TheCookieOptions = CookieOptions;
type TheData = SessionData;
type TheSession = Session;
type TheCookie = Cookie;
type TheStore = Store;
type TheMemoryStore = MemoryStore;
type TheMiddleware = SessionMiddleware;
type TheStoreOptions = ToExpressStoreOptions;
type Classes = {
  Store: typeof Store;
  Cookie: typeof Cookie;
  Session: typeof Session;
  MemoryStore: typeof MemoryStore;
  toExpressStore: typeof toExpressStore;
};

// What `session.Store` and `session.SessionOptions` mean to those who have the function alone, as `require()` gives it.
declare namespace session {
  type SessionOptions = TheOptions;
  type CookieOptions = TheCookieOptions;
  // An interface, because an application that requires this module adds to this one, and one that imports it to the module's own.
  interface SessionData extends TheData {}
  type Session = TheSession;
  type Cookie = TheCookie;
  type Store = TheStore;
  type MemoryStore = TheMemoryStore;
  type SessionMiddleware = TheMiddleware;
  type ToExpressStoreOptions = TheStoreOptions;
  const Store: Classes["Store"];
  const Cookie: Classes["Cookie"];
  const Session: Classes["Session"];
  const MemoryStore: Classes["MemoryStore"];
  const toExpressStore: Classes["toExpressStore"];
  /** Tells this drop-in from the original, which has no such property. */
  const implementation: "sojourn";
}

// All of it, because only so can applications add to SessionData by declaring this module.
export type * from "./express-session/session-data.ts";
// `require()` of this source gets the function itself.
export {
  Cookie,
  type CookieOptions,
  implementation,
  MemoryStore,
  Session,
  Store,
  session,
  session as "module.exports",
  type ToExpressStoreOptions,
  toExpressStore,
};
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export default session;
