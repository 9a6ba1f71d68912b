import type { IncomingMessage, ServerResponse } from "node:http";
import { systemClock } from "../../contract/time.ts";
import type { Signer } from "../../crypto/signature.ts";
import { readCookies } from "../../http/cookies.ts";

/** Attributes of the cookie of `sojourn/cookie-session`. Inherited properties count. */
export interface CookieSettings {
  /** How long the cookie lives after a response, in milliseconds. Default: it ends with the browser. */
  maxAge?: number | null | undefined;
  /** When the cookie expires. Prefer `maxAge`. */
  expires?: Date | undefined;
  /** Default `"/"`. */
  path?: string | undefined;
  /** Sends the cookie to this domain and its subdomains. Default: only to the host that set it. */
  domain?: string | undefined;
  /** Which requests from other sites carry the cookie. `true` is `"strict"`. Default: not sent. */
  sameSite?: "strict" | "lax" | "none" | boolean | undefined;
  /** The order in which Chromium evicts cookies. Default: not sent. */
  priority?: "low" | "medium" | "high" | undefined;
  /** Keeps a separate cookie for each site that embeds this one (CHIPS). Default `false`. */
  partitioned?: boolean | undefined;
  /** Sends the cookie over HTTPS only. With `true` an insecure connection gets no cookie. Default: whether the connection is secure. */
  secure?: boolean | undefined;
  /** Former name of `secure`, for connections behind a proxy. */
  secureProxy?: boolean | undefined;
  /** Hides the cookie from the page's scripts. Default `true`. */
  httpOnly?: boolean | undefined;
  /** Signs the cookie, by a second cookie `<name>.sig`. Default `true`. */
  signed?: boolean | undefined;
  /** Replaces cookies of that name that the response already has. Default `true`. */
  overwrite?: boolean | undefined;
}

/** RFC 9110 field-content. */
const FIELD = /^[\t\x20-\x7e\x80-\xff]+$/;
const SAME_SITE = /^(?:lax|none|strict)$/i;
const PRIORITY = /^(?:low|medium|high)$/i;

/** Why a cookie can't be sent; as with the original, the response is sent without it. */
export class UnsendableCookie extends TypeError {}

/** Reads and writes signed cookies in the format of the package `cookies`: the value, and beside it `<name>.sig`. */
export class Jar {
  readonly #req: IncomingMessage & { protocol?: string };
  readonly #res: ServerResponse;
  readonly #signer: Signer | undefined;

  constructor(req: IncomingMessage, res: ServerResponse, signer: Signer | undefined) {
    this.#req = req;
    this.#res = res;
    this.#signer = signer;
  }

  /**
   * The first value under this name that carries a good signature. One made with an older key is renewed; where there are
   * signatures and none is good, they are cleared.
   */
  get(name: string, settings: CookieSettings): string | undefined {
    const header = this.#req.headers.cookie;
    if (settings.signed === false) return readCookies(header, name).map(unquoted)[0];
    const checked = checkedCookie(header, name, () => this.#requireSigner());
    if (checked === undefined) return undefined;
    if (checked.position === 0) return checked.value;
    if (checked.position > 0) {
      this.#renew(`${name}.sig`, this.#requireSigner().sign(`${name}=${checked.value}`), settings);
      return checked.value;
    }
    if (!this.#res.headersSent) this.#put(`${name}.sig`, "", { path: "/" });
    return undefined;
  }

  /** Puts a cookie, and its signature, among the response's headers. @throws UnsendableCookie */
  set(name: string, value: string, settings: CookieSettings): void {
    if (settings.secure && !this.#isSecure()) {
      throw new UnsendableCookie("Cannot send secure cookie over unencrypted connection");
    }
    const timed = { ...inherited(settings), ...(value === "" && { expires: new Date(0), maxAge: null }) };
    this.#put(name, value, timed);
    if (settings.signed !== false) this.#put(`${name}.sig`, this.#requireSigner().sign(`${name}=${value}`), timed);
  }

  #renew(name: string, signature: string, settings: CookieSettings): void {
    if (this.#res.headersSent || (settings.secure && !this.#isSecure())) return;
    this.#put(name, signature, { ...inherited(settings), overwrite: false });
  }

  #put(name: string, value: string, settings: CookieSettings): void {
    const line = this.#line(name, value, settings);
    const there = [this.#res.getHeader("Set-Cookie") ?? []].flat().map(String);
    const others = settings.overwrite ? there.filter((cookie) => !cookie.startsWith(`${name}=`)) : there;
    this.#res.setHeader("Set-Cookie", [...others, line]);
  }

  #line(name: string, value: string, settings: CookieSettings): string {
    if (!FIELD.test(name) || /[;=]/.test(name)) throw new UnsendableCookie("argument name is invalid");
    if (value !== "" && (!FIELD.test(value) || value.includes(";"))) {
      throw new UnsendableCookie("argument value is invalid");
    }
    const { domain, priority, sameSite, httpOnly = true, partitioned } = settings;
    const path = "path" in settings ? settings.path : "/";
    if (path && !FIELD.test(path)) throw new UnsendableCookie("option path is invalid");
    if (domain && !FIELD.test(domain)) throw new UnsendableCookie("option domain is invalid");
    if (priority && !PRIORITY.test(priority)) throw new UnsendableCookie("option priority is invalid");
    if (sameSite && sameSite !== true && !SAME_SITE.test(sameSite)) {
      throw new UnsendableCookie("option sameSite is invalid");
    }
    const expires = expiryOf(value === "" ? { expires: new Date(0) } : settings);
    let line = `${name}=${value}`;
    if (path) line += `; path=${path}`;
    if (expires) line += `; expires=${expires.toUTCString()}`;
    if (domain) line += `; domain=${domain}`;
    if (priority) line += `; priority=${priority.toLowerCase()}`;
    if (sameSite) line += `; samesite=${sameSite === true ? "strict" : sameSite.toLowerCase()}`;
    if (settings.secureProxy ?? settings.secure ?? this.#isSecure()) line += "; secure";
    if (httpOnly) line += "; httponly";
    if (partitioned) line += "; partitioned";
    return line;
  }

  #isSecure(): boolean {
    const socket: object | null | undefined = this.#req.socket;
    const isEncrypted =
      typeof socket === "object" && socket !== null && "encrypted" in socket && socket.encrypted === true;
    return this.#req.protocol === "https" || isEncrypted;
  }

  #requireSigner(): Signer {
    if (this.#signer === undefined) throw new Error(".keys required for signed cookies");
    return this.#signer;
  }
}

/**
 * The first value under a name that carries a good signature, and the position of the key that made it: -1 where there are
 * signatures and none is good. `undefined` for a request without value or signature.
 */
export function checkedCookie(
  header: string | undefined,
  name: string,
  signer: () => Signer,
): { value: string; position: number } | undefined {
  const values = readCookies(header, name).map(unquoted);
  const signatures = readCookies(header, `${name}.sig`).map(unquoted).filter(Boolean);
  if (values.length === 0 || signatures.length === 0) return undefined;
  for (const value of values) {
    for (const signature of signatures) {
      const position = signer().index(`${name}=${value}`, signature);
      if (position >= 0) return { value, position };
    }
  }
  return { value: "", position: -1 };
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1) : value;
}

/** A copy with what the settings inherit: a request's own settings inherit the application's. */
function inherited(settings: CookieSettings): CookieSettings {
  const copy: CookieSettings = {};
  for (const name in settings) Reflect.set(copy, name, Reflect.get(settings, name));
  return copy;
}

function expiryOf({ maxAge, expires }: CookieSettings): Date | undefined {
  if (typeof maxAge === "number" ? !Number.isFinite(maxAge) : maxAge) {
    throw new UnsendableCookie("option maxAge is invalid");
  }
  return maxAge ? new Date(systemClock.now() + maxAge) : expires;
}
