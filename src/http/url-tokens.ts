import type { IncomingMessage, ServerResponse } from "node:http";
import { after } from "../core/awaitable.ts";
import type { SessionKeeper } from "../core/keeper.ts";
import type { LiveSession } from "../core/session.ts";
import type { Awaitable } from "../stores/store.ts";
import type { KeyRing } from "../tokens/key-ring.ts";
import { Sealer } from "../tokens/seal.ts";
import { TokenSource } from "../tokens/token.ts";

/** A request whose target other modules may have kept a copy of. */
type Addressed = IncomingMessage & { originalUrl?: string; query?: unknown };

/**
 * Links that sign in: a token of its own kind, not the session's. It works once and for minutes, is exchanged for a session by a
 * redirect, and never stays in an address: neither in the browser's, nor in a `Referer`, nor in a log that is written after this.
 */
export class UrlTokens {
  readonly #name: string;
  readonly #keeper: SessionKeeper;
  readonly #sealer: Sealer;
  readonly #ids = new TokenSource();

  constructor(name: string, ring: KeyRing, keeper: SessionKeeper) {
    this.#name = name;
    this.#keeper = keeper;
    this.#sealer = new Sealer(ring, { purpose: "url", name });
  }

  mint(userId: string, ms: number): string {
    const parts = [this.#ids.handle(), userId, this.#keeper.clock.now() + ms];
    return this.#sealer.seal(Buffer.from(JSON.stringify(parts), "utf8"));
  }

  /** Takes the token out of the request's address; `undefined` if there was none. Several are as good as a wrong one: `""`. */
  take(req: Addressed): string | undefined {
    const target = strip(req.url ?? "/", this.#name);
    if (target.tokens.length === 0) return undefined;
    req.url = target.url;
    if (req.originalUrl !== undefined) req.originalUrl = strip(req.originalUrl, this.#name).url;
    // Express 4 has parsed it already.
    if (typeof req.query === "object" && req.query !== null) Reflect.deleteProperty(req.query, this.#name);
    return target.tokens.length === 1 ? target.tokens[0] : "";
  }

  /** Exchanges the token, if it is one, and sends the client to the same address without it. */
  async exchange(req: Addressed, res: ServerResponse, session: () => LiveSession, text: string): Promise<void> {
    const userId = await this.#redeem(text);
    // Who is signed in stays so: a link must not make another one of them.
    if (userId !== undefined && session().userId === null) await session().login(userId);
    res.setHeader("Referrer-Policy", "no-referrer");
    res.setHeader("Cache-Control", "no-store");
    res.setHeader("Location", localTarget(req.originalUrl ?? req.url ?? "/"));
    res.statusCode = 303;
    res.end();
  }

  #redeem(text: string): Awaitable<string | undefined> {
    const body = this.#sealer.open(text)?.body;
    if (body === undefined) return undefined;
    // Ours: nobody else can seal for this purpose.
    const [id, userId, expiresAt]: unknown[] = JSON.parse(body.toString("utf8"));
    if (typeof id !== "string" || typeof userId !== "string" || typeof expiresAt !== "number") return undefined;
    if (this.#keeper.clock.now() >= expiresAt) return undefined;
    return after(this.#keeper.useOnce(id, expiresAt), (isFirst) => (isFirst ? userId : undefined));
  }
}

/** The address without any query parameter of this name, however that is spelt, and their values. */
function strip(url: string, name: string): { url: string; tokens: string[] } {
  const at = url.indexOf("?");
  if (at < 0) return { url, tokens: [] };
  const tokens: string[] = [];
  const others = url
    .slice(at + 1)
    .split("&")
    .filter((pair) => {
      const [key = "", ...value] = pair.split("=");
      // Brackets: parsers make lists of them.
      if (decoded(key).replace(/\[.*$/s, "").trim() !== name) return true;
      tokens.push(value.join("="));
      return false;
    });
  return { url: url.slice(0, at) + (others.length === 0 ? "" : `?${others.join("&")}`), tokens };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** A path of this server: what begins with two slashes, or names a scheme, would send the client elsewhere. */
function localTarget(url: string): string {
  const path = url.startsWith("/") ? url : `/${url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")}`;
  return path.replace(/^[/\\]+/, "/");
}
