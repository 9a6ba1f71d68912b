import type { IncomingMessage, ServerResponse } from "node:http";
import type { Awaitable } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { Sealer } from "../crypto/seal.ts";
import { TokenSource } from "../crypto/token.ts";
import type { SessionBackend } from "../session/backend.ts";
import type { Links } from "../session/links.ts";
import type { Session } from "../session/session-interface.ts";
import type { LinkSettings } from "./transports.ts";

/** A request of whose target other modules may have a copy. */
type Addressed = IncomingMessage & { originalUrl?: string; query?: unknown };

/**
 * Makes and redeems tokens of sign-in links, which are not session tokens. A token works once, for
 * minutes, and a redirect exchanges it for a session. It never stays in an address: not in the
 * browser's, not in a `Referer`, and not in a log written after this.
 */
export class UrlTokens {
  readonly #name: string;
  readonly #bind: LinkSettings["bind"];
  readonly #clock: Clock;
  readonly #links: Links;
  readonly #sealer: Sealer;
  readonly #ids = new TokenSource();

  constructor({ parameter: name, bind }: LinkSettings, ring: KeyRing, backend: SessionBackend) {
    this.#name = name;
    this.#bind = bind;
    this.#clock = backend.clock;
    this.#links = backend.links();
    this.#sealer = new Sealer(ring, { purpose: "url", name });
  }

  /**
   * Makes a token.
   * @param client a request of the client that the link is for
   * @throws TypeError if only one of `client` and `bind` was given
   */
  mint(userId: string, ms: number, client?: IncomingMessage): string {
    if (this.#bind !== undefined && client === undefined) {
      throw new TypeError("query({ bind }) binds each link to one client: pass urlToken(userId, { for: req })");
    }
    if (this.#bind === undefined && client !== undefined) {
      throw new TypeError("urlToken(userId, { for }) needs query({ bind }), which returns what identifies the client");
    }
    const parts = [this.#ids.handle(), userId, this.#clock.now() + ms, this.#links.madeAt(userId)];
    return this.#sealer.seal(Buffer.from(JSON.stringify(parts), "utf8"), this.#bindings(client));
  }

  /**
   * Removes the token from the request's address. Returns `undefined` if there was none, and `""`,
   * which is invalid, for several.
   */
  take(req: Addressed): string | undefined {
    const address = req.url ?? "/";
    const target = strip(address, this.#name);
    if (target.tokens.length === 0) return undefined;
    req.url = target.url;
    if (req.originalUrl !== undefined) req.originalUrl = strip(req.originalUrl, this.#name).url;
    forget(req, this.#name, target.tokens);
    forgetHeaders(req, address, this.#name, target.tokens);
    return target.tokens.length === 1 ? target.tokens[0] : "";
  }

  /** Returns whether a known key has sealed this for this client. */
  opens(text: string, req: IncomingMessage): boolean {
    return this.#sealer.open(text, this.#bindings(req)) !== undefined;
  }

  /** Exchanges a valid token for a login, and redirects to the same address without it. */
  async exchange(req: Addressed, res: ServerResponse, session: () => Session, text: string): Promise<void> {
    const userId = await this.#redeem(text, req);
    // A link must not replace a signed-in user by another one.
    if (userId !== undefined && session().userId === null) await session().login(userId);
    res.setHeader("Referrer-Policy", "no-referrer");
    res.setHeader("Cache-Control", "no-store");
    res.setHeader("Location", localTarget(req.originalUrl ?? req.url ?? "/"));
    res.statusCode = 303;
    res.end();
  }

  #bindings(client: IncomingMessage | undefined): string[] {
    return this.#bind === undefined || client === undefined ? [] : [this.#bind(client)];
  }

  #redeem(text: string, req: IncomingMessage): Awaitable<string | undefined> {
    const body = this.#sealer.open(text, this.#bindings(req))?.body;
    if (body === undefined) return undefined;
    // Only this application can seal for this purpose, so the body is trusted JSON.
    const [id, userId, expiresAt, madeAt]: unknown[] = JSON.parse(body.toString("utf8"));
    if (typeof id !== "string" || typeof userId !== "string") return undefined;
    if (typeof expiresAt !== "number" || typeof madeAt !== "number" || this.#clock.now() >= expiresAt) return undefined;
    return after(this.#links.use({ id, userId, madeAt, expiresAt }), (isFirst) => (isFirst ? userId : undefined));
  }
}

/** Shorter texts are no tokens, and may be part of something else. */
const SHORTEST = 100;

/** Removes the tokens from parsed copies: Express 4's `req.query`, and those of parseurl. */
function forget(req: Addressed, name: string, tokens: readonly string[]): void {
  const { query } = req;
  const texts = textsOf(tokens);
  if (typeof query === "object" && query !== null) {
    for (const [key, value] of Object.entries(query)) {
      const all = `${key} ${JSON.stringify(value)}`;
      if (isNamed(key, name) || texts.some((text) => all.includes(text))) Reflect.deleteProperty(query, key);
    }
  }
  for (const copy of ["_parsedUrl", "_parsedOriginalUrl"]) {
    if (Object.hasOwn(req, copy)) Reflect.set(req, copy, undefined);
  }
}

/**
 * Removes the tokens from headers that hold the address: HTTP/2's `:path`, and headers of proxies
 * such as `X-Original-URL`. Other parameters stay.
 */
function forgetHeaders(
  { headers, rawHeaders }: IncomingMessage,
  address: string,
  name: string,
  tokens: readonly string[],
): void {
  const texts = textsOf(tokens);
  const without = (value: string): string =>
    value === address || texts.some((text) => value.includes(text)) ? strip(value, name).url : value;
  for (const [key, value] of Object.entries(headers ?? {})) {
    if (typeof value === "string" && value !== without(value)) headers[key] = without(value);
  }
  for (const [position, text] of (rawHeaders ?? []).entries()) {
    if (text !== without(text)) rawHeaders[position] = without(text);
  }
}

/** Returns the texts to search a token by. */
function textsOf(tokens: readonly string[]): string[] {
  return tokens.flatMap((token) => [token, decoded(token)]).filter((text) => text.length >= SHORTEST);
}

/**
 * Matches what begins a parameter or ends its value, for any parser, and also in an address that is
 * encoded inside another.
 */
const BORDER = /([?&;#]|%(?:25)*(?:3f|26|3b|23))/i;
const EQUALS = /=|%(?:25)*3d/i;
const QUESTION = /\?|3f$/i;
const AMPERSAND = /&|26$/;

/**
 * Removes every parameter of this name, in any spelling and place, and returns the values. Programs
 * disagree on where a query begins and what separates its parameters (`?a=1?session=…`,
 * `;session=…`), so this removes what any of them would find, and nothing else.
 */
function strip(url: string, name: string): { url: string; tokens: string[] } {
  // The path, then alternately a border and the text after it.
  const pieces = url.split(BORDER);
  const tokens: string[] = [];
  let rest = pieces[0] ?? "";
  let question = "";
  for (let i = 1; i < pieces.length; i += 2) {
    const [border = "", piece = ""] = [pieces[i], pieces[i + 1]];
    const equals = EQUALS.exec(piece);
    const key = equals === null ? piece : piece.slice(0, equals.index);
    if (isNamed(decoded(key), name)) {
      tokens.push(equals === null ? "" : piece.slice(equals.index + equals[0].length));
      // The next parameter becomes the first.
      if (QUESTION.test(border) && !rest.includes(border)) question = border;
      continue;
    }
    rest += (question !== "" && AMPERSAND.test(border) ? question : border) + piece;
    question = "";
  }
  return { url: tokens.length === 0 ? url : rest, tokens };
}

/** Ignores brackets, which some parsers turn into lists. */
function isNamed(key: string, name: string): boolean {
  return key.replace(/\[.*$/s, "").trim() === name;
}

/** The deepest nesting of addresses that is decoded. */
const NESTED = 4;

function decoded(text: string): string {
  let plain = text.replaceAll("+", " ");
  try {
    for (let times = 0; times < NESTED && plain.includes("%"); times += 1) plain = decodeURIComponent(plain);
  } catch {
    // The rest is malformed.
  }
  return plain;
}

/** Returns a path on this server: two slashes or a scheme would redirect the client elsewhere. */
function localTarget(url: string): string {
  const path = url.startsWith("/") ? url : `/${url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")}`;
  return path.replace(/^[/\\]+/, "/");
}
