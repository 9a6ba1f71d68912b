/** A Set-Cookie line as a browser reads it (RFC 6265bis 5.6): for tests, and independent of what wrote it. */
export interface ParsedSetCookie {
  name: string;
  value: string;
  /** Lower-case names; `true` for one without a value. */
  attributes: Map<string, string | true>;
}

export function parseSetCookie(line: string): ParsedSetCookie {
  const [pair = "", ...rest] = line.split(";");
  const equals = pair.indexOf("=");
  const attributes = new Map<string, string | true>();
  for (const part of rest) {
    const at = part.indexOf("=");
    const name = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    attributes.set(name, at < 0 ? true : part.slice(at + 1).trim());
  }
  return { name: pair.slice(0, equals).trim(), value: pair.slice(equals + 1).trim(), attributes };
}

/**
 * Whether a browser would keep the cookie (RFC 6265bis 5.7, CHIPS): the rules that this library's options can break.
 * @returns why not, or `undefined`
 */
export function whyBrowsersDrop(line: string, channel: "http" | "https"): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\0-\x1f\x7f]/.test(line)) return "control character";
  const { name, value, attributes } = parseSetCookie(line);
  if (name.length + value.length > 4096) return "name and value over 4096 bytes";
  for (const attribute of attributes.values()) {
    if (attribute !== true && attribute.length > 1024) return "attribute over 1024 bytes";
  }
  const secure = attributes.has("secure");
  if (secure && channel === "http") return "Secure over an insecure channel";
  if (attributes.get("samesite") === "None" && !secure) return "SameSite=None without Secure";
  if (attributes.has("partitioned") && !secure) return "Partitioned without Secure";
  const lower = name.toLowerCase();
  if (/^__(?:secure|host|http|host-http)-/.test(lower) && !secure) return "prefix without Secure";
  if (/^__(?:host-)?http-/.test(lower) && !attributes.has("httponly")) return "prefix without HttpOnly";
  if (lower.startsWith("__host-")) {
    if (attributes.get("path") !== "/") return "__Host- with another path";
    if (attributes.has("domain")) return "__Host- with a domain";
  }
  return undefined;
}
