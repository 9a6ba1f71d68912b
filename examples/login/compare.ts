/** The plain cookie that stands beside the session on /compare. It holds the cart itself, for anyone to read. */
export const PLAIN_COOKIE = "demo_cart";

/** One `name=value` of a Cookie header, ready to be shown: what opens the session is left out. */
export interface CookiePart {
  name: string;
  /** Of `name=value`, which travels with every request to this site, pictures included. */
  bytes: number;
  /** The plain cookie's text as sent; of the session's token only the handle, or a seal's version and key ID. They open nothing. */
  shown: string;
  /** How many characters of the token are kept from the page: secret and MAC. */
  hidden: number;
}

/** The session's cookie and the plain one, as this request carried them. Other sites on this host are nobody's business. */
export function readCookies(header = ""): { session?: CookiePart; plain?: CookiePart } {
  const parts: { session?: CookiePart; plain?: CookiePart } = {};
  for (const pair of header.split(/; */)) {
    const [name = "", value = ""] = splitAt(pair, pair.indexOf("="));
    const bytes = Buffer.byteLength(pair);
    if (name === PLAIN_COOKIE) parts.plain = { name, bytes, shown: value, hidden: 0 };
    if (name === "sid" || name === "__Host-sid") {
      const shown = value.includes(".") ? (value.split(".", 1)[0] ?? "") : value.slice(0, 6);
      parts.session = { name, bytes, shown, hidden: value.length - shown.length };
    }
  }
  return parts;
}

function splitAt(pair: string, at: number): [string, string] {
  return at < 0 ? [pair, ""] : [pair.slice(0, at).trim(), pair.slice(at + 1)];
}

/** What the server would have to believe if the plain cookie were all it had: whatever the browser says. */
export function believeCookie(part: CookiePart | undefined): string | undefined {
  if (!part) return undefined;
  try {
    return JSON.stringify(JSON.parse(decodeURIComponent(part.shown)));
  } catch {
    return undefined;
  }
}

/** This server by the other name of this machine, which makes it another site to browsers; none where it is elsewhere. */
export function neighbourOf(host = ""): string | undefined {
  const [, name, port = ""] = /^(localhost|127\.0\.0\.1)(:\d+)?$/.exec(host) ?? [];
  return name && `${name === "localhost" ? "127.0.0.1" : "localhost"}${port}`;
}
