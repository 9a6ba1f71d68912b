import type { IncomingMessage, ServerResponse } from "node:http";
import { undeliverableError } from "../contract/errors.ts";
import "../http/express-request.ts";
import { keygripSigner, type SignatureKey, type Signer } from "../crypto/signature.ts";
import { failAfterNext, routerOf } from "../http/failed-answer.ts";
import { onHandshake } from "../http/held-response/handshake.ts";
import type { HoldHooks } from "../http/held-response/hooks.ts";
import { holdResponse, isResponse } from "../http/held-response.ts";
import type { Done } from "./callbacks.ts";
import { type CookieSettings, Jar, UnsendableCookie } from "./cookie-session/jar.ts";
import { Sealing } from "./cookie-session/sealing.ts";
import { CookieSession, deserialize, type Holder, serialize } from "./cookie-session/session.ts";

/** Options for `cookieSession` of `sojourn/cookie-session`: those of cookie-session, and `encrypt`. */
export interface CookieSessionOptions extends CookieSettings {
  /** The cookie's name. Default `"session"`; the signature's is `<name>.sig`. */
  name?: string | undefined;
  /** The keys that sign the cookie: the first signs, all verify. Or a `Keygrip`. */
  keys?: readonly SignatureKey[] | Signer | undefined;
  /** One key, instead of `keys`. */
  secret?: SignatureKey | undefined;
  /**
   * Encrypts the session instead of signing it. Keys must be strings or Buffers of 32 random bytes. Sessions that were only signed are not
   * read any more. Default `false`.
   */
  encrypt?: boolean | undefined;
}

/** Describes a request behind the middleware. */
export interface CookieSessionRequest extends IncomingMessage {
  /** The session, or `null` to end it. */
  session?: CookieSession | null;
  /** The settings of this request's cookie. They inherit the application's: a `maxAge` that you set here holds for this response only. */
  sessionOptions: CookieSettings;
}

type TheOptions = CookieSessionOptions;
type TheRequest = CookieSessionRequest;

declare global {
  namespace Express {
    interface SojournRequests {
      "cookie-session": { session: CookieSession | null | undefined };
    }
    interface Request {
      sessionOptions: CookieSettings;
    }
  }
  namespace CookieSessionInterfaces {
    type CookieSessionOptions = TheOptions;
    type CookieSessionObject = CookieSession;
    type CookieSessionRequest = TheRequest;
  }
}

type Next = (error?: unknown) => void;

/**
 * Creates the middleware of the drop-in for cookie-session: the same options and cookies. Anyone who has the cookie can read its data, unless you set
 * `encrypt`. `docs/migrate/cookie-session.md` lists the differences.
 *
 * @throws Error for missing keys
 * @throws TypeError for keys that can't encrypt
 * @example
 * import express from "express";
 * import cookieSession from "sojourn/cookie-session";
 *
 * const app = express();
 * app.use(cookieSession({ keys: [process.env.SESSION_KEY ?? "k"], maxAge: 24 * 60 * 60 * 1000 }));
 */
function cookieSession(
  options: CookieSessionOptions = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  const name = options.name || "session";
  const keys = options.keys ?? (options.secret ? [options.secret] : undefined);
  // On the object that was given, as applications change it later.
  options.overwrite ??= true;
  options.httpOnly ??= true;
  // A seal is as good as a signature.
  if (options.encrypt) options.signed = false;
  options.signed ??= true;
  if (!keys && (options.signed || options.encrypt)) throw new Error(".keys required.");
  const sealing = keys && options.encrypt ? new Sealing(name, keys, warnOnce) : undefined;
  let signer: Signer | undefined;

  return function cookieSession(req, res, next) {
    if (keys && !sealing) signer ??= "sign" in keys ? keys : keygripSigner(keys);
    const settings: CookieSettings = Object.create(options);
    const given: Entered = Object.assign(req, { sessionOptions: settings });
    const current = new RequestSession(name, given, res, next, new Jar(req, res, signer), sealing);
    given[REQUEST_SESSION] = current;
    Object.defineProperty(req, "session", ACCESSOR);
    if (isResponse(res)) holdResponse(res, current);
    else onHandshake(res, () => current.shakeHands());
    next();
  };
}

/** The key of a request's session on the request, for the accessor that all requests share. An accessor of its own for each request would be slow. */
const REQUEST_SESSION = Symbol("sojourn.requestSession");

interface Entered extends CookieSessionRequest {
  [REQUEST_SESSION]?: RequestSession;
}

const ACCESSOR: PropertyDescriptor & ThisType<Entered> = {
  configurable: true,
  enumerable: true,
  get() {
    return this[REQUEST_SESSION]?.session;
  },
  set(value: unknown) {
    this[REQUEST_SESSION]?.replace(value);
  },
};

/** A browser keeps no cookie that is longer, name and attributes included (RFC 6265bis 5.6). */
const LONGEST = 4096;

/** The session of one request, and the cookie that its response gets. */
class RequestSession implements HoldHooks, Holder {
  readonly #name: string;
  readonly #req: CookieSessionRequest;
  readonly #res: ServerResponse;
  readonly #next: Next;
  readonly #router: unknown;
  readonly #jar: Jar;
  readonly #sealing: Sealing | undefined;
  /** `undefined`: not read yet. `null`: removed. */
  #session: CookieSession | null | undefined = undefined;
  /** The client has a cookie that `regenerate` put out of use. */
  #replaces = false;
  /** An older key sealed the cookie: it is sealed again with the newest. */
  #isOutdated = false;
  #isBroken = false;
  #value: string | undefined = undefined;

  constructor(
    name: string,
    req: CookieSessionRequest,
    res: ServerResponse,
    next: Next,
    jar: Jar,
    sealing: Sealing | undefined,
  ) {
    this.#name = name;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#router = routerOf(req);
    this.#jar = jar;
    this.#sealing = sealing;
  }

  get session(): CookieSession | null {
    if (this.#session === undefined) this.reload();
    return this.#session ?? null;
  }

  replace(value: unknown): void {
    if (value !== undefined && value !== null && typeof value !== "object") {
      throw new Error("req.session can only be set as null or an object.");
    }
    this.#session = value === undefined || value === null ? null : this.#create(value);
  }

  save(session: CookieSession): void {
    serialize(session);
    if (this.#res.headersSent) throw undeliverableError();
  }

  reload(): void {
    const value = this.#sealing ? this.#unsealed(this.#sealing) : this.#jar.get(this.#name, this.#req.sessionOptions);
    this.#session = (value ? this.#read(value) : undefined) ?? this.#create();
  }

  regenerate(): void {
    this.#replaces ||= this.session?.isNew === false;
    this.#session = this.#create();
  }

  destroy(): void {
    this.#session = null;
  }

  beforeHeaders(): void {
    this.#value = this.#isBroken ? undefined : this.#valueToSend();
  }

  writeHeaders(): void {
    if (this.#value === undefined) return;
    const value = this.#sealing && this.#value !== "" ? this.#sealing.seal(this.#value) : this.#value;
    try {
      this.#jar.set(this.#name, value, this.#req.sessionOptions);
    } catch (error) {
      if (!(error instanceof UnsendableCookie)) throw error;
      warnOnce(`the cookie ${JSON.stringify(this.#name)} was not sent: ${error.message}`);
      return;
    }
    if (value.length > LONGEST) {
      warnOnce(
        `the cookie ${JSON.stringify(this.#name)} is longer than ${LONGEST} bytes: browsers drop it, and the session with it. Keep less in it, or keep sessions in a store`,
      );
    }
  }

  shakeHands(): void {
    this.beforeHeaders();
    this.writeHeaders();
  }

  beforeEnd(): void {}

  failed(error: unknown): void {
    this.#isBroken = true;
    failAfterNext(error, { req: this.#req, res: this.#res, next: this.#next, router: this.#router });
  }

  /** `""` clears the cookie; `undefined` leaves it alone. What JSON can't hold throws here, before anything has left. */
  #valueToSend(): string | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    if (session === null) return "";
    if (session.isNew && !session.isPopulated) return this.#replaces ? "" : undefined;
    const value = serialize(session);
    return value !== session._ctx.value || this.#isOutdated ? value : undefined;
  }

  #unsealed(sealing: Sealing): string | undefined {
    const opened = sealing.open(this.#req.headers.cookie);
    this.#isOutdated = opened?.outdated === true;
    return opened?.value;
  }

  #create(data?: object): CookieSession {
    return new CookieSession({ holder: this, value: undefined }, data);
  }

  #read(value: string): CookieSession | undefined {
    try {
      return new CookieSession({ holder: this, value }, deserialize(value));
    } catch {
      return undefined;
    }
  }
}

/** Distinguishes this drop-in from the original, which has no such property. */
const implementation = "sojourn";

Object.assign(cookieSession, { implementation });

// What `cookieSession.CookieSessionOptions` means to those who have the function alone, as `require()` gives it.
declare namespace cookieSession {
  export {
    type CookieSession,
    type CookieSessionOptions,
    type CookieSessionRequest,
    type CookieSettings,
    type Done,
    implementation,
    type SignatureKey,
    type Signer,
  };
}

const warned = new Set<string>();

function warnOnce(message: string): void {
  if (warned.has(message)) return;
  warned.add(message);
  process.emitWarning(message, { code: "SOJOURN_COMPAT" });
}

export type { CookieSession, CookieSettings, Done, SignatureKey, Signer };
// `require()` of this source gets the function itself.
export { cookieSession, cookieSession as "module.exports", implementation };
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export default cookieSession;
