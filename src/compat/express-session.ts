import type { IncomingMessage, ServerResponse } from "node:http";
import "../http/express-request.ts";
import type {
  Awaitable,
  Clock,
  ReplaceResult,
  SessionRecord,
  SessionStore,
  StoreCapabilities,
  StoredSession,
  UpdateResult,
} from "../contract/types.ts";
import type { SignatureKey } from "../crypto/signature.ts";
import { TokenSource } from "../crypto/token.ts";
import { pathOf } from "../http/request-path.ts";
import type { Duration } from "../session/timeouts.ts";
import type { Done } from "./callbacks.ts";
import { deprecated } from "./deprecated.ts";
import { Cookie, type CookieOptions } from "./express-session/cookie.ts";
import { type Environment, newSession, putGenerate } from "./express-session/environment.ts";
import { isReady, livesOf } from "./express-session/known-stores.ts";
import { MemoryStore, type SessionsInMemory } from "./express-session/memory.ts";
import type { SessionRequest } from "./express-session/request.ts";
import { type Next, startSession } from "./express-session/request-session.ts";
import { Session, type SessionOwner, type SessionStoreLike } from "./express-session/session.ts";
import type { SessionData as TheData } from "./express-session/session-data.ts";
import { type BaseStore, Store } from "./express-session/store.ts";
import {
  type StoreOfAnyData,
  type ToExpressStore,
  type ToExpressStoreOptions,
  toExpressStore,
} from "./to-express-store.ts";

/** Options for `session` of `sojourn/express-session`: those of express-session, and `recheck`. */
export interface SessionOptions {
  /** Signs the session's ID in the cookie. Of a list, the first signs and all verify. */
  secret?: SignatureKey | readonly SignatureKey[] | undefined;
  /** Returns the ID of a new session. Default: 192 random bits as 32 characters. */
  genid?: ((req: IncomingMessage) => string) | undefined;
  /** The cookie's name. Default `"connect.sid"`. */
  name?: string | undefined;
  /** The former name of `name`. */
  key?: string | undefined;
  /** Where sessions live: an object with `get`, `set` and `destroy` that inherits from `Store`. Default: a new `MemoryStore`. */
  store?: SessionStoreLike | undefined;
  /** The cookie's attributes, or a function that returns them for a request. Default `{ path: "/", httpOnly: true }`. */
  cookie?: CookieOptions | undefined | { of(req: IncomingMessage): CookieOptions }["of"];
  /** Sends the cookie with every response, so that `maxAge` counts from the last one. Default `false`. */
  rolling?: boolean | undefined;
  /** Saves unchanged sessions too. Default `true`, with a warning. */
  resave?: boolean | undefined;
  /** Whether `X-Forwarded-Proto` decides that a request is secure. Default: Express decides. */
  proxy?: boolean | undefined;
  /** Stores new sessions that were not changed. Default `true`, with a warning. */
  saveUninitialized?: boolean | undefined;
  /** What happens to the record when you set `req.session` to `null` or delete it. Default `"keep"`. */
  unset?: "destroy" | "keep" | undefined;
  /**
   * Reads a session again just before saving it, so that a session that another process destroyed meanwhile stays destroyed. Costs a `get` for
   * every `set`. Within one process a destroyed session always stays so. Default `false`.
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

/** Is the middleware, for Express, Connect, or any `(req, res, next)`. */
export type SessionMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

const WARNING =
  "Warning: connect.session() MemoryStore is not\ndesigned for a production environment, as it will leak\nmemory, and will not scale past a single process.";

/**
 * Creates the middleware of the drop-in for express-session: the same options, cookies, records and stores. `docs/migrate/express-session.md` lists the differences.
 *
 * @throws TypeError for `genid`, `unset`, `secret` or `cookie` that can't work
 * @example
 * import express from "express";
 * import session from "sojourn/express-session";
 *
 * const app = express();
 * app.use(session({ secret: process.env.SESSION_SECRET, resave: false, saveUninitialized: false }));
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
    if (!isWithin(req, path || "/")) return next();
    const secrets = env.secrets ?? (req.secret ? [req.secret] : undefined);
    if (secrets === undefined) return next(new Error("secret option required for sessions"));
    startSession(env, req, res, next, secrets);
  };
}

/** A plain prefix counts, as in the original. */
function isWithin(req: SessionRequest, path: string): boolean {
  const url = req.originalUrl ?? req.url;
  return (path === "/" && url?.startsWith("/")) || pathOf(req).startsWith(path);
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
  const env: Omit<Environment, "generate"> = {
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
  return { ...env, generate: (req) => newSession(env, req) };
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

/** Distinguishes this drop-in from the original, which has no such property. */
const implementation = "sojourn";

Object.assign(session, { Store, Cookie, Session, MemoryStore, toExpressStore, implementation });

// What `session.Store` and `session.SessionOptions` mean to those who have the function alone, as `require()` gives it.
declare namespace session {
  export {
    type Awaitable,
    type BaseStore,
    type Clock,
    Cookie,
    type CookieOptions,
    type Done,
    type Duration,
    implementation,
    MemoryStore,
    type ReplaceResult,
    Session,
    type SessionMiddleware,
    type SessionOptions,
    type SessionOwner,
    type SessionRecord,
    type SessionStore,
    type SessionStoreLike,
    type SessionsInMemory,
    type SignatureKey,
    Store,
    type StoreCapabilities,
    type StoredSession,
    type StoreOfAnyData,
    type ToExpressStore,
    type ToExpressStoreOptions,
    toExpressStore,
    type UpdateResult,
  };

  /** Declares the data of all sessions, and so the type of `req.session`. */
  // An interface, because an application that requires this module adds to this one, and one that imports it to the module's own.
  export interface SessionData extends TheData {}
}

export type * from "../contract/types.ts";
// All of it, because only so can applications add to SessionData by declaring this module.
export type * from "./express-session/session-data.ts";
// `require()` of this source gets the function itself.
export {
  type BaseStore,
  Cookie,
  type CookieOptions,
  type Done,
  type Duration,
  implementation,
  MemoryStore,
  Session,
  type SessionOwner,
  type SessionStoreLike,
  type SessionsInMemory,
  type SignatureKey,
  Store,
  type StoreOfAnyData,
  session,
  session as "module.exports",
  type ToExpressStore,
  type ToExpressStoreOptions,
  toExpressStore,
};
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export default session;
