/** What a Set-Cookie of express-session may hold; `true` for `sameSite` is `"strict"`. */
export interface CookieAttributes {
  domain?: string | undefined;
  path?: string | undefined;
  expires?: Date | false | null | undefined;
  httpOnly?: boolean | undefined;
  secure?: boolean | "auto" | undefined;
  partitioned?: boolean | undefined;
  priority?: string | undefined;
  sameSite?: string | boolean | undefined;
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DOMAIN = /^\.?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
/** Printable ASCII without ";" and "<", as `cookie` 0.7 has it. */
const PATH = /^[ -:=-~]*$/;
const PRIORITY = new Map([
  ["low", "Low"],
  ["medium", "Medium"],
  ["high", "High"],
]);
const SAME_SITE = new Map([
  ["lax", "Lax"],
  ["strict", "Strict"],
  ["none", "None"],
]);

/**
 * A Set-Cookie value as the package `cookie` 0.7 writes it: the same order, the same spelling, the same errors, because
 * applications match their texts. The value is URI-encoded.
 * @throws TypeError for what can't be sent
 */
export function serializeCookie(name: string, value: string, attributes: CookieAttributes): string {
  if (!NAME.test(name)) throw new TypeError("argument name is invalid");
  const { domain, path, expires, httpOnly, secure, partitioned, priority, sameSite } = attributes;
  let text = `${name}=${encodeURIComponent(value)}`;
  if (domain) {
    if (!DOMAIN.test(domain)) throw new TypeError("option domain is invalid");
    text += `; Domain=${domain}`;
  }
  if (path) {
    if (!PATH.test(path)) throw new TypeError("option path is invalid");
    text += `; Path=${path}`;
  }
  if (expires) {
    if (!isDate(expires) || Number.isNaN(expires.valueOf())) throw new TypeError("option expires is invalid");
    text += `; Expires=${expires.toUTCString()}`;
  }
  if (httpOnly) text += "; HttpOnly";
  if (secure) text += "; Secure";
  if (partitioned) text += "; Partitioned";
  if (priority) text += `; Priority=${spelling(PRIORITY, priority, "priority")}`;
  if (sameSite) text += `; SameSite=${sameSite === true ? "Strict" : spelling(SAME_SITE, sameSite, "sameSite")}`;
  return text;
}

function spelling(spellings: ReadonlyMap<string, string>, value: string, option: string): string {
  const found = spellings.get(String(value).toLowerCase());
  if (found === undefined) throw new TypeError(`option ${option} is invalid`);
  return found;
}

/** Dates of another realm (a worker, a test runner's sandbox) too. */
function isDate(value: object): boolean {
  return Object.prototype.toString.call(value) === "[object Date]";
}
