import type { IncomingMessage } from "node:http";
import type { TokenCarrier, Transport } from "./carrier.ts";
import { CookieTransport, type CookieTransportOptions } from "./cookie-transport.ts";
import { HeaderTransport } from "./header-transport.ts";
import type { ProxyTrust } from "./secure.ts";

/** @internal */
export type { TokenCarrier, Transport } from "./carrier.ts";
/** @internal */
export { CookieTransport, type CookieTransportOptions } from "./cookie-transport.ts";

/**
 * Describes how tokens travel. {@link cookie}, {@link bearer}, {@link header} and {@link query}
 * make one.
 */
export interface TransportChoice {
  /** `"cookie"`, `"bearer"` or the header's name. `X-Session-Transport` may request it. */
  readonly transport: string;
  /** The request header in lower case; absent for the cookie. */
  readonly header?: string;
  /** @internal The settings of sign-in links. */
  readonly link?: LinkSettings;
}

/** @internal The settings of sign-in links. */
export interface LinkSettings {
  /** The query parameter. */
  readonly parameter: string;
  readonly bind: ((req: IncomingMessage) => string) | undefined;
}

/**
 * Sends tokens in a cookie, which browsers keep. It is the default.
 *
 * @example
 * import { bearer, cookie, session } from "sojourn";
 *
 * const sessions = session({ transport: [cookie(), bearer()] });
 */
export function cookie(): TransportChoice {
  return { transport: "cookie" };
}

/**
 * Sends tokens in `Authorization: Bearer …` (RFC 6750), for clients that keep no cookies. A new
 * token is in the response's `X-Session-Token`, once. Beside `cookie()`, a client without a token
 * requests one with `X-Session-Transport: bearer`.
 *
 * @example
 * import { bearer, session } from "sojourn";
 *
 * const sessions = session({ transport: bearer() });
 */
export function bearer(): TransportChoice {
  return { transport: "bearer", header: "authorization" };
}

/** RFC 9110 token. */
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Headers that have another meaning, or that browsers send themselves. */
const TAKEN = new Set(["authorization", "cookie", "host", "origin", "referer", "user-agent", "x-session-transport"]);

/**
 * Sends tokens in a header of this name, otherwise as {@link bearer}.
 *
 * @throws TypeError for a name that is no header's, or that has another meaning, such as
 * `"authorization"`
 * @example
 * import { header, session } from "sojourn";
 *
 * const sessions = session({ transport: header("x-session-token") });
 */
export function header(name: string): TransportChoice {
  const lower = typeof name === "string" ? name.toLowerCase() : "";
  if (!HEADER_NAME.test(lower) || TAKEN.has(lower)) {
    throw new TypeError('header(name): name must be a header of your application, such as "x-session-token"');
  }
  return { transport: lower, header: lower };
}

/** Options for {@link query}. */
export interface QueryOptions {
  /**
   * Must be `true`. Browsers keep addresses in their histories and send them to other sites,
   * proxies log them, and programs that check mail open them.
   */
  iUnderstandThatAddressesLeak: boolean;
  /** The query parameter. Default `"session"`. */
  name?: string | undefined;
  /**
   * Returns something of a request that identifies its client, such as the `User-Agent`. A link
   * then works only for the client whose request `urlToken` received as `for`. Suits links between
   * two programs on one machine, not mail. Default: none.
   */
  bind?: ((req: IncomingMessage) => string) | undefined;
}

/**
 * Accepts links that log a user in, beside another transport and with a `secret`.
 * `sessions.urlToken(userId)` makes a token that works once, within minutes. The request that
 * brings it is logged in, and redirected to the same address without the token.
 *
 * @throws TypeError without `iUnderstandThatAddressesLeak: true`
 * @example
 * import { cookie, query, session } from "sojourn";
 *
 * const sessions = session({
 *   transport: [cookie(), query({ iUnderstandThatAddressesLeak: true })],
 *   secret: process.env.SESSION_SECRET,
 * });
 */
export function query({ iUnderstandThatAddressesLeak, name = "session", bind }: QueryOptions): TransportChoice {
  if (iUnderstandThatAddressesLeak !== true) {
    throw new TypeError(
      "query() puts tokens into addresses, which leak: pass query({ iUnderstandThatAddressesLeak: true })",
    );
  }
  if (typeof name !== "string" || !/^[a-z][a-z0-9_-]{0,63}$/i.test(name)) {
    throw new TypeError("query({ name }): name must begin with a letter and hold only letters, digits, - and _");
  }
  if (bind !== undefined && typeof bind !== "function") {
    throw new TypeError("query({ bind }): bind must be a function of the request, and return a string");
  }
  return { transport: `query ${name}`, link: { parameter: name, bind } };
}

/** @internal Holds the transports of one application, in their order of preference. */
export class Transports {
  readonly all: readonly Transport[];
  /** The carriers of tokens that a program holds, and may bring in a message. */
  readonly held: readonly TokenCarrier[];
  /** The settings of sign-in links, if `query()` is a transport. */
  readonly link: LinkSettings | undefined;
  /** Decides whether requests came over HTTPS. */
  readonly trust: ProxyTrust;

  /** @throws TypeError for anything but one choice, or several different ones */
  constructor(
    choice: TransportChoice | readonly TransportChoice[],
    options: CookieTransportOptions & { trust: ProxyTrust },
  ) {
    this.trust = options.trust;
    const choices: readonly TransportChoice[] = Array.isArray(choice) ? choice : [choice];
    const names = new Set(choices.map((one) => one?.transport));
    if (
      choices.length === 0 ||
      names.size < choices.length ||
      choices.some((one) => typeof one?.transport !== "string")
    ) {
      throw new TypeError("transport must be cookie(), bearer() or header(name), or a list of different ones");
    }
    const held: TokenCarrier[] = [];
    const [link, ...more] = choices.flatMap((one) => one.link ?? []);
    const carrying = choices.filter((one) => one.link === undefined);
    if (carrying.length === 0 || more.length > 0) {
      throw new TypeError("query() may appear once, and needs another transport beside it, such as cookie()");
    }
    this.link = link;
    this.all = carrying.map(({ header }) => {
      if (header === undefined) return new CookieTransport(options);
      const transport = new HeaderTransport({ header, ring: options.ring });
      held.push(transport.carrier);
      return transport;
    });
    this.held = held;
  }
}
