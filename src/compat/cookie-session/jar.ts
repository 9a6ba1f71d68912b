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
    if (!this.#res.headersSent) {
      this.#put([pairOf(`${name}.sig`, "")], attributesOf({ path: "/" }, true, this.#isSecure()), false);
    }
    return undefined;
  }

  /** Puts a cookie, and its signature, among the response's headers. An empty value clears it. @throws UnsendableCookie */
  set(name: string, value: string, settings: CookieSettings): void {
    const isSecure = this.#isSecure();
    if (settings.secure && !isSecure) {
      throw new UnsendableCookie("Cannot send secure cookie over unencrypted connection");
    }
    const pairs = [pairOf(name, value)];
    if (settings.signed !== false) pairs.push(pairOf(`${name}.sig`, this.#requireSigner().sign(`${name}=${value}`)));
    this.#put(pairs, attributesOf(settings, value === "", isSecure), settings.overwrite === true);
  }

  #renew(name: string, signature: string, settings: CookieSettings): void {
    const isSecure = this.#isSecure();
    if (this.#res.headersSent || (settings.secure && !isSecure)) return;
    this.#put([pairOf(name, signature)], attributesOf(settings, false, isSecure), false);
  }

  #put(pairs: readonly string[], attributes: string, overwrite: boolean): void {
    const lines = pairs.map((pair) => pair + attributes);
    const before = this.#res.getHeader("Set-Cookie");
    if (before !== undefined) {
      const names = overwrite ? pairs.map((pair) => pair.slice(0, pair.indexOf("=") + 1)) : [];
      const others = [before].flat().map(String);
      lines.unshift(...others.filter((line) => !names.some((name) => line.startsWith(name))));
    }
    this.#res.setHeader("Set-Cookie", lines);
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

/** @throws UnsendableCookie */
function pairOf(name: string, value: string): string {
  if (!FIELD.test(name) || /[;=]/.test(name)) throw new UnsendableCookie("argument name is invalid");
  if (value !== "" && (!FIELD.test(value) || value.includes(";"))) {
    throw new UnsendableCookie("argument value is invalid");
  }
  return `${name}=${value}`;
}

/** @throws UnsendableCookie */
function attributesOf(settings: CookieSettings, isCleared: boolean, isSecure: boolean): string {
  const { domain, priority, sameSite, httpOnly = true, partitioned } = settings;
  const path = "path" in settings ? settings.path : "/";
  if (path && !FIELD.test(path)) throw new UnsendableCookie("option path is invalid");
  if (domain && !FIELD.test(domain)) throw new UnsendableCookie("option domain is invalid");
  if (priority && !PRIORITY.test(priority)) throw new UnsendableCookie("option priority is invalid");
  if (sameSite && sameSite !== true && !SAME_SITE.test(sameSite)) {
    throw new UnsendableCookie("option sameSite is invalid");
  }
  const expires = isCleared ? new Date(0) : expiryOf(settings);
  let text = path ? `; path=${path}` : "";
  if (expires) text += `; expires=${expires.toUTCString()}`;
  if (domain) text += `; domain=${domain}`;
  if (priority) text += `; priority=${priority.toLowerCase()}`;
  if (sameSite) text += `; samesite=${sameSite === true ? "strict" : sameSite.toLowerCase()}`;
  if (settings.secureProxy ?? settings.secure ?? isSecure) text += "; secure";
  if (httpOnly) text += "; httponly";
  if (partitioned) text += "; partitioned";
  return text;
}

function expiryOf({ maxAge, expires }: CookieSettings): Date | undefined {
  if (typeof maxAge === "number" ? !Number.isFinite(maxAge) : maxAge) {
    throw new UnsendableCookie("option maxAge is invalid");
  }
  return maxAge ? new Date(systemClock.now() + maxAge) : expires;
}
