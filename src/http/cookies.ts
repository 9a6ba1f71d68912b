import { LONGEST_COOKIE_MS } from "../session/timeouts.ts";

/** Reads and writes cookies, and rejects attributes that no browser accepts (RFC 6265bis). */

/**
 * Attributes of the session's cookie. `idleTimeout`, `absoluteTimeout`, `remember` and `persist`
 * set its lifetime.
 */
export interface CookieAttributes {
  /** Hides the cookie from the page's scripts. Default `true`. */
  httpOnly?: boolean | undefined;
  /**
   * Which requests from other sites carry the cookie: `"lax"` (default) only navigation, `"strict"`
   * none, `"none"` all.
   */
  sameSite?: "lax" | "strict" | "none" | undefined;
  /**
   * Sends the cookie over HTTPS only. `"auto"` (default) does so on secure requests. `"always"` is
   * `true`, and also counts every request as secure: for an application behind a proxy that ends
   * TLS and adds no header.
   */
  secure?: boolean | "auto" | "always" | undefined;
  /** Default `"/"`. Requests outside this path have no session. */
  path?: string | undefined;
  /** Sends the cookie to this domain and its subdomains. Default: only to the host that set it. */
  domain?: string | undefined;
  /** Keeps a separate cookie for each site that embeds this one (CHIPS). Default `false`. */
  partitioned?: boolean | undefined;
  /** The order in which Chromium evicts cookies. Default: not sent. */
  priority?: "low" | "medium" | "high" | undefined;
}

/**
 * Options for the session's cookie: its attributes, without the combinations that browsers drop.
 * `sameSite: "none"` and `partitioned` need a secure cookie. A name that begins with `__Host-`
 * forbids a domain and another path than `"/"`; `__Secure-` needs a secure cookie.
 *
 * If `secure` is a variable, the compiler can't see that it fits `sameSite: "none"`. Choose between
 * two whole objects then.
 *
 * @typeParam Name - the cookie's name, where the compiler knows it
 * @example
 * import { type CookieOptions, session } from "sojourn";
 *
 * const cookie: CookieOptions = process.env.EMBEDDED
 *   ? { sameSite: "none", secure: true }
 *   : { sameSite: "lax" };
 * const sessions = session({ cookie });
 */
export type CookieOptions<Name extends string = string> = CookieAttributes &
  (
    | { secure?: true | "auto" | "always" | undefined }
    | { secure: false; sameSite?: "lax" | "strict" | undefined; partitioned?: false | undefined }
  ) &
  (Lowercase<Name> extends `__${"host" | "http" | "secure"}-${string}`
    ? { secure?: true | "auto" | "always" | undefined }
    : unknown) &
  (Lowercase<Name> extends `__${"host-http" | "http"}-${string}` ? { httpOnly?: true | undefined } : unknown) &
  (Lowercase<Name> extends `__host-${string}` ? { path?: "/" | undefined; domain?: undefined } : unknown);

/** @internal The cookie's options after checks, with defaults. */
export interface CookieSettings {
  secure: boolean | "auto" | "always";
  path: string;
  /** The cookie's names on secure and on insecure requests. */
  secureName: string;
  plainName: string;
  /** The default secure cookie, which clients may still have after a change of domain or path. */
  former: { readonly name: string; readonly attributes: string } | undefined;
  /** All attributes but the lifetime and Secure, in the form of a header. */
  attributes: string;
  sameSiteNone: boolean;
  partitioned: boolean;
}

const KNOWN = new Set(["httpOnly", "sameSite", "secure", "path", "domain", "partitioned", "priority"]);
/** RFC 9110 token. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Printable ASCII without ";" (RFC 6265 av-octet); browsers ignore attributes over 1024 bytes. */
const PATH = /^\/[ -:<-~]{0,1023}$/;
const DOMAIN = /^(?=.{1,253}$)\.?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
/** The default names. */
const [HOST_NAME, PLAIN_NAME] = ["__Host-sid", "sid"];
const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" };
const PRIORITY = { low: "Low", medium: "Medium", high: "High" };

/**
 * @internal Checks everything at construction, so that no response fails later.
 * @throws TypeError naming the option and the remedy
 */
export function cookieSettings(options: CookieAttributes, name?: string): CookieSettings {
  if (typeof options !== "object" || options === null) throw new TypeError("cookie must be an object or a function");
  for (const key of Object.keys(options)) if (!KNOWN.has(key)) throw unknownOption(key);
  const {
    httpOnly = true,
    sameSite = "lax",
    secure = "auto",
    path = "/",
    domain,
    partitioned = false,
    priority,
  } = options;
  if (typeof httpOnly !== "boolean") throw new TypeError("cookie.httpOnly must be true or false");
  if (!Object.hasOwn(SAME_SITE, sameSite)) throw new TypeError('cookie.sameSite must be "lax", "strict" or "none"');
  if (secure !== "auto" && secure !== "always" && typeof secure !== "boolean")
    throw new TypeError('cookie.secure must be true, false, "auto" or "always"');
  if (typeof path !== "string" || !PATH.test(path)) {
    throw new TypeError('cookie.path must begin with "/" and hold only printable ASCII without ";"');
  }
  if (domain !== undefined && (typeof domain !== "string" || !DOMAIN.test(domain))) {
    throw new TypeError("cookie.domain must be a host name, such as example.com");
  }
  if (typeof partitioned !== "boolean") throw new TypeError("cookie.partitioned must be true or false");
  if (priority !== undefined && !Object.hasOwn(PRIORITY, priority)) {
    throw new TypeError('cookie.priority must be "low", "medium" or "high"');
  }
  if (secure === false && sameSite === "none") {
    throw new TypeError('cookie.sameSite "none" needs cookie.secure: browsers drop such a cookie otherwise');
  }
  if (secure === false && partitioned) {
    throw new TypeError("cookie.partitioned needs cookie.secure: browsers drop such a cookie otherwise");
  }
  if (name !== undefined) checkName(name, { httpOnly, secure, path, domain });
  const scope = `; Path=${path}${domain === undefined ? "" : `; Domain=${domain}`}`;
  let rest = httpOnly ? "; HttpOnly" : "";
  rest += `; SameSite=${SAME_SITE[sameSite]}`;
  if (priority !== undefined) rest += `; Priority=${PRIORITY[priority]}`;
  const isHostOnly = path === "/" && domain === undefined;
  const hasFormer = name === undefined && secure !== false && !isHostOnly;
  return {
    secure,
    path,
    secureName: name ?? (isHostOnly && secure !== false ? HOST_NAME : PLAIN_NAME),
    plainName: name ?? PLAIN_NAME,
    former: hasFormer ? { name: HOST_NAME, attributes: `; Path=/${rest}` } : undefined,
    attributes: scope + rest,
    sameSiteNone: sameSite === "none",
    partitioned,
  };
}

/** Enforces RFC 6265bis's prefixes: browsers drop a cookie whose attributes break its promise. */
function checkName(
  name: string,
  cookie: { httpOnly: boolean; secure: boolean | "auto" | "always"; path: string; domain: string | undefined },
): void {
  if (typeof name !== "string" || name.length > 256 || !NAME.test(name)) {
    throw new TypeError("name must be a cookie name: letters, digits and !#$%&'*+-.^_`|~");
  }
  const lower = name.toLowerCase();
  const [, prefix] = /^(__host-http-|__host-|__http-|__secure-)/.exec(lower) ?? [];
  if (prefix === undefined) return;
  if (cookie.secure === false)
    throw new TypeError(`name: a ${name} cookie must be Secure; remove cookie.secure: false`);
  if (prefix.includes("http") && !cookie.httpOnly) throw new TypeError(`name: a ${name} cookie must be HttpOnly`);
  if (!prefix.startsWith("__host-")) return;
  if (cookie.path !== "/") throw new TypeError(`name: a ${name} cookie must have the path "/"`);
  if (cookie.domain !== undefined) throw new TypeError(`name: a ${name} cookie must have no domain`);
}

function unknownOption(key: string): TypeError {
  if (key === "maxAge" || key === "expires") {
    return new TypeError(
      `cookie.${key} is not an option: idleTimeout and absoluteTimeout end sessions on the server; for a cookie that outlives the browser, use login(userId, { remember: "30d" }) or req.session.persist("30d")`,
    );
  }
  return new TypeError(`cookie.${key} is not an option; the options are ${[...KNOWN].join(", ")}`);
}

/** More cookies of one name than an honest browser sends. */
const CANDIDATES = 8;

/**
 * @internal
 * Returns the values under exactly this name in a Cookie header, in the order sent, at most eight.
 * Tolerates any text, in time linear in its length. Ignores a nameless cookie (`=name=value`) and a
 * padded name (`name =value`) (CVE-2022-31629).
 */
export function readCookies(header: string | undefined, name: string): string[] {
  const values: string[] = [];
  if (header === undefined) return values;
  const sought = `${name}=`;
  for (let at = header.indexOf(sought); at >= 0; at = header.indexOf(sought, at + sought.length)) {
    let before = at - 1;
    while (isBlank(header.charCodeAt(before))) before -= 1;
    if (before >= 0 && header.charCodeAt(before) !== 0x3b) continue;
    const semicolon = header.indexOf(";", at);
    let end = semicolon < 0 ? header.length : semicolon;
    while (isBlank(header.charCodeAt(end - 1))) end -= 1;
    values.push(header.slice(at + sought.length, end));
    if (values.length === CANDIDATES || semicolon < 0) break;
  }
  return values;
}

/** Recognises space and tab, and no other white space. `NaN`, beyond the ends, is neither. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * @internal
 * Returns a Set-Cookie value. Without `expires` the cookie ends with the browser. Both lifetime
 * attributes use one reading of the clock.
 */
export function setCookie(
  name: string,
  value: string,
  settings: CookieSettings,
  { secure, now, expires }: { secure: boolean; now: number; expires?: number | undefined },
): string {
  let text = `${name}=${value}${settings.attributes}`;
  if (expires !== undefined) {
    const seconds = Math.ceil(Math.min(Math.max(0, expires - now), LONGEST_COOKIE_MS) / 1000);
    text += `; Max-Age=${seconds}; Expires=${new Date(now + seconds * 1000).toUTCString()}`;
  }
  return secured(text, settings, secure);
}

/** @internal Returns a Set-Cookie value that deletes the cookie of the same name and attributes. */
export function deleteCookie(name: string, settings: CookieSettings, { secure }: { secure: boolean }): string {
  return secured(`${name}=${settings.attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`, settings, secure);
}

function secured(text: string, { partitioned }: CookieSettings, secure: boolean): string {
  if (!secure) return text;
  return `${text}; Secure${partitioned ? "; Partitioned" : ""}`;
}

/** @internal Returns the name in a Set-Cookie line, as browsers read it. */
export function cookieName(line: string): string {
  return /^[^=;]*/.exec(line)?.[0].trim() ?? "";
}

/**
 * @internal
 * Returns whether a request's path receives a cookie of this path (RFC 6265 5.1.4). `/app` covers
 * `/app/x`, not `/application`.
 */
export function pathMatches(requestPath: string, cookiePath: string): boolean {
  if (cookiePath === "/" || requestPath === cookiePath) return true;
  if (!requestPath.startsWith(cookiePath)) return false;
  return cookiePath.endsWith("/") || requestPath.charCodeAt(cookiePath.length) === 0x2f;
}
