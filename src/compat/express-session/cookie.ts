import { types } from "node:util";
import { systemClock } from "../../contract/clock.ts";
import { deprecated } from "../deprecated.ts";
import { serializeCookie } from "./serialize.ts";

export interface CookieOptions {
  /** Milliseconds until the cookie expires, counted from the response. Default: it ends with the browser. */
  maxAge?: number | null | undefined;
  partitioned?: boolean | undefined;
  priority?: "low" | "medium" | "high" | undefined;
  signed?: boolean | undefined;
  expires?: Date | null | undefined;
  /** Default `true`. */
  httpOnly?: boolean | undefined;
  /** Default `"/"`. */
  path?: string | undefined;
  domain?: string | undefined;
  /** `"auto"`: as secure as the connection on which the session begins. */
  secure?: boolean | "auto" | undefined;
  encode?: ((val: string) => string) | undefined;
  /** `"auto"`: `"none"` on secure connections, else `"lax"`. */
  sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;
}

/** A session's cookie as applications and stores see it: `req.session.cookie`. Stores take the session's end from it. */
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
    this.maxAge = null;
    this.httpOnly = true;
    if (options) {
      if (typeof options !== "object") throw new TypeError("argument options must be a object");
      // Inherited options too. `expires` and `maxAge` are setters: of the two, the last one given wins.
      for (const name in options) if (name !== "data") Reflect.set(this, name, Reflect.get(options, name));
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

/** `undefined` too, where the application said so: its record has no `originalMaxAge` then. */
function keepMaxAge(cookie: Cookie): void {
  Reflect.set(cookie, "originalMaxAge", cookie.maxAge);
}

// `express-session/session/cookie` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export { Cookie as default, Cookie as "module.exports" };
