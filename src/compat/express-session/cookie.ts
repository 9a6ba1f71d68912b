import { types } from "node:util";
import { systemClock } from "../../contract/time.ts";
import { assertIndexable } from "../callbacks.ts";
import { deprecated } from "../deprecated.ts";
import { serializeCookie } from "./serialize.ts";

/** Options for the cookie of `sojourn/express-session`. */
export interface CookieOptions {
  /** How long the cookie lives after a response, in milliseconds. Default: it ends with the browser. */
  maxAge?: number | null | undefined;
  /** Keeps a separate cookie for each site that embeds this one (CHIPS). Default `false`. */
  partitioned?: boolean | undefined;
  /** The order in which Chromium evicts cookies. Default: not sent. */
  priority?: "low" | "medium" | "high" | undefined;
  /** Has no effect, as in the original: the cookie is always signed. */
  signed?: boolean | undefined;
  /** When the cookie expires. Prefer `maxAge`. Default: it ends with the browser. */
  expires?: Date | null | undefined;
  /** Hides the cookie from the page's scripts. Default `true`. */
  httpOnly?: boolean | undefined;
  /** Default `"/"`. Requests outside this path have no session. */
  path?: string | undefined;
  /** Sends the cookie to this domain and its subdomains. Default: only to the host that set it. */
  domain?: string | undefined;
  /** Sends the cookie over HTTPS only. `"auto"`: if the session begins on HTTPS. Default `false`. */
  secure?: boolean | "auto" | undefined;
  /** Has no effect, as in the original. */
  encode?: ((val: string) => string) | undefined;
  /** Which requests from other sites carry the cookie. `"auto"`: `"none"` on HTTPS, else `"lax"`. Default: not sent. */
  sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;
}

/**
 * Describes a session's cookie as applications and stores see it, `req.session.cookie`. Stores take the session's end from it.
 *
 * @example
 * import { Cookie } from "sojourn/express-session";
 *
 * const cookie = new Cookie({ maxAge: 60_000, sameSite: "lax" });
 * console.log(cookie.expires, cookie.path);
 */
export class Cookie {
  path?: string | undefined;
  /** Where `expires` is kept. Own and enumerable, because stores look for it. */
  _expires?: Date | null | undefined;
  originalMaxAge!: number | null;
  httpOnly?: boolean | undefined;
  declare partitioned?: boolean | undefined;
  declare priority?: "low" | "medium" | "high" | undefined;
  declare signed?: boolean | undefined;
  declare secure?: boolean | "auto" | undefined;
  declare domain?: string | undefined;
  declare sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;

  /** @throws TypeError for options that are no object, or a `maxAge` that is no number */
  constructor(options?: CookieOptions | null) {
    this.path = "/";
    this._expires = null;
    this.originalMaxAge = null;
    this.httpOnly = true;
    if (options) {
      if (typeof options !== "object") throw new TypeError("argument options must be a object");
      copyOptions(this, options);
    }
    if (this.originalMaxAge == null) keepMaxAge(this);
  }

  get expires(): Date | null | undefined {
    return this._expires;
  }
  set expires(date: Date | null | undefined) {
    this._expires = date;
    keepMaxAge(this);
  }

  /** Milliseconds that are left. */
  get maxAge(): number | null | undefined {
    const { expires } = this;
    return types.isDate(expires) ? expires.valueOf() - systemClock.now() : expires;
  }
  set maxAge(ms: number | Date | null | undefined) {
    if (ms && typeof ms !== "number" && !types.isDate(ms)) throw new TypeError("maxAge must be a number or Date");
    if (types.isDate(ms)) deprecated("express-session", "maxAge as Date; pass number of milliseconds instead");
    this.expires = typeof ms === "number" ? new Date(systemClock.now() + ms) : ms;
  }

  /** What stores keep of it, in the order in which they keep it. */
  get data() {
    return {
      originalMaxAge: this.originalMaxAge,
      partitioned: this.partitioned,
      priority: this.priority,
      expires: this._expires,
      secure: this.secure,
      httpOnly: this.httpOnly,
      domain: this.domain,
      path: this.path,
      sameSite: this.sameSite,
    };
  }

  /** A Set-Cookie value. @throws TypeError for attributes that can't be sent */
  serialize(name: string, value: string): string {
    return serializeCookie(name, value, this.data);
  }

  toJSON(): Cookie["data"] {
    return this.data;
  }
}

/** Inherited options too. `expires` and `maxAge` are setters: of the two, the last one given wins. */
function copyOptions(cookie: Cookie, options: object): void {
  assertIndexable(cookie);
  assertIndexable(options);
  for (const name in options) if (name !== "data") cookie[name] = options[name];
}

/** `undefined` too, if the application set that: the record has no `originalMaxAge` then. */
function keepMaxAge(cookie: Cookie): void {
  const fields: object = cookie;
  assertIndexable(fields);
  fields["originalMaxAge"] = cookie.maxAge;
}

// `express-session/session/cookie` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export { Cookie as default, Cookie as "module.exports" };
