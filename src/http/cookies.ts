/** Reading one cookie, writing one Set-Cookie, and refusing attributes that no browser would accept (RFC 6265bis). */

/** Attributes of the session's cookie. `idleTimeout`, `absoluteTimeout`, `remember` and `persist` set its lifetime. */
export interface CookieAttributes {
  /** Hides the cookie from the page's scripts. Default `true`. */
  httpOnly?: boolean | undefined;
  /** Which requests from other sites carry the cookie: `"lax"` (default) only navigation, `"strict"` none, `"none"` all. */
  sameSite?: "lax" | "strict" | "none" | undefined;
  /**
   * Sends the cookie over HTTPS only. `"auto"` (default) does so on secure requests. `"always"` is `true`, and also counts every request as
   * secure: for an application behind a proxy that ends TLS and adds no header.
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
 * Options for the session's cookie: its attributes, without the combinations that browsers drop. `sameSite: "none"` and `partitioned` need a
 * secure cookie. A name that begins with `__Host-` forbids a domain and another path than `"/"`; `__Secure-` needs a secure cookie.
 *
 * If `secure` is a variable, the compiler can't see that it fits `sameSite: "none"`. Choose between two whole objects then.
 *
 * @typeParam Name - the cookie's name, where the compiler knows it
 * @example
 * import { type CookieOptions, session } from "sojourn";
 *
 * const cookie: CookieOptions = process.env.EMBEDDED ? { sameSite: "none", secure: true } : { sameSite: "lax" };
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

/** Options that were checked and completed. */
export interface CookieSettings {
  secure: boolean | "auto" | "always";
  path: string;
  /** Names for a request that is secure and for one that isn't. */
  secureName: string;
  plainName: string;
  /** The secure cookie as it was before the application gave it a domain or another path, which its name did not allow. */
  former: { readonly name: string; readonly attributes: string } | undefined;
  /** The attributes but for lifetime and Secure, as they travel. */
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
/** The names of a cookie that the application gave none. */
const [HOST_NAME, PLAIN_NAME] = ["__Host-sid", "sid"];
const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" };
const PRIORITY = { low: "Low", medium: "Medium", high: "High" };

/**
 * Checks everything at construction, so that nothing is left to fail in a response.
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
    throw new TypeError('cookie.path must begin with "/" and hold printable ASCII without ";"');
  }
  if (domain !== undefined && (typeof domain !== "string" || !DOMAIN.test(domain))) {
    throw new TypeError("cookie.domain must be a host name such as example.com");
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

/** The prefixes of RFC 6265bis: a browser drops a cookie whose name promises what its attributes don't keep. */
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
      `cookie.${key} is no option: the server ends sessions, by idleTimeout and absoluteTimeout; for a cookie that outlives the browser use login(userId, { remember: "30d" }) or req.session.persist("30d")`,
    );
  }
  return new TypeError(`cookie.${key} is no option; there are ${[...KNOWN].join(", ")}`);
}

/** More than any browser sends of one name by honest means. */
const CANDIDATES = 8;

/**
 * The values under exactly this name in a Cookie header, in the order sent, at most eight. Tolerates anything in time linear in the
 * header's length. A nameless cookie (`=name=value`) or a padded name (`name =value`) never matches (CVE-2022-31629).
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

/** Space or tab, and nothing else that a language calls white space. `NaN`, beyond the text's ends, is neither. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Browsers keep no cookie longer than 400 days (RFC 6265bis 5.5). */
const LONGEST_SECONDS = 400 * 24 * 60 * 60;

/** A Set-Cookie value. Without `expires` the cookie ends with the browser; both lifetime attributes come from one reading of the clock. */
export function setCookie(
  name: string,
  value: string,
  settings: CookieSettings,
  { secure, now, expires }: { secure: boolean; now: number; expires?: number | undefined },
): string {
  let text = `${name}=${value}${settings.attributes}`;
  if (expires !== undefined) {
    const seconds = Math.min(Math.max(0, Math.ceil((expires - now) / 1000)), LONGEST_SECONDS);
    text += `; Max-Age=${seconds}; Expires=${new Date(now + seconds * 1000).toUTCString()}`;
  }
  if (secure) text += "; Secure";
  if (settings.partitioned && secure) text += "; Partitioned";
  return text;
}

/** A Set-Cookie value that deletes the cookie: the same attributes, no value, a lifetime that is over. */
export function deleteCookie(name: string, settings: CookieSettings, { secure }: { secure: boolean }): string {
  let text = `${name}=${settings.attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`;
  if (secure) text += "; Secure";
  if (settings.partitioned && secure) text += "; Partitioned";
  return text;
}

/** The name in a Set-Cookie line, as browsers read it. */
export function cookieName(line: string): string {
  return /^[^=;]*/.exec(line)?.[0].trim() ?? "";
}

/** RFC 6265 5.1.4: whether a cookie with this path goes with a request for that one. `/app` covers `/app/x`, not `/application`. */
export function pathMatches(requestPath: string, cookiePath: string): boolean {
  if (cookiePath === "/" || requestPath === cookiePath) return true;
  if (!requestPath.startsWith(cookiePath)) return false;
  return cookiePath.endsWith("/") || requestPath.charCodeAt(cookiePath.length) === 0x2f;
}
