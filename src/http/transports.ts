import type { IncomingMessage, ServerResponse } from "node:http";
import type { KeyRing } from "../tokens/key-ring.ts";
import { TokenCodec } from "../tokens/token.ts";
import {
  type CookieOptions,
  type CookieSettings,
  cookieSettings,
  deleteCookie,
  readCookies,
  setCookie,
} from "./cookies.ts";
import { isSecure } from "./secure.ts";

/** How tokens travel between an application and its clients. */
export interface Transport {
  /** The way to and from the client of this request. */
  channelFor(req: IncomingMessage): Channel;
}

/** One request's way for its token, there and back. */
export interface Channel {
  readonly codec: TokenCodec;
  /** Whether a token sent back would arrive. */
  readonly deliverable: boolean;
  /** Requests outside of this path have no session. */
  readonly path: string;
  /** The texts that may be the token, not yet checked. */
  read(req: IncomingMessage): string[];
  /** Sends a token; without `expires` (epoch milliseconds) the client should forget it when it ends. */
  send(res: ServerResponse, token: string, lifetime: { now: number; expires: number | undefined }): void;
  /** Has the client forget its token. */
  clear(res: ServerResponse): void;
  /** Says that the response depends on this channel. */
  vary(res: ServerResponse): void;
}

export interface CookieTransportOptions {
  cookie?: CookieOptions | ((req: IncomingMessage) => CookieOptions) | undefined;
  name?: string | undefined;
  trustProxy?: boolean | undefined;
  ring: KeyRing | undefined;
}

/** The token in a cookie. */
export class CookieTransport implements Transport {
  readonly #options: CookieTransportOptions;
  readonly #codecs = new Map<string, TokenCodec>();
  readonly #secure: CookieChannel | undefined;
  readonly #plain: CookieChannel | undefined;

  /** @throws TypeError for attributes or a name that no browser would accept */
  constructor(options: CookieTransportOptions) {
    this.#options = options;
    const { cookie = {}, name } = options;
    if (typeof cookie === "function") {
      if (name !== undefined) cookieSettings({}, name);
      return;
    }
    const settings = cookieSettings(cookie, name);
    this.#secure = this.#channel(settings, true);
    this.#plain = this.#channel(settings, false);
  }

  channelFor(req: IncomingMessage): Channel {
    const secure = isSecure(req, this.#options.trustProxy);
    const fixed = secure ? this.#secure : this.#plain;
    if (fixed !== undefined) return fixed;
    const { cookie, name } = this.#options;
    return this.#channel(cookieSettings(typeof cookie === "function" ? cookie(req) : {}, name), secure);
  }

  #channel(settings: CookieSettings, secureRequest: boolean): CookieChannel {
    const secure = settings.secure === true || (settings.secure === "auto" && secureRequest);
    const name = secure ? settings.secureName : settings.plainName;
    let codec = this.#codecs.get(name);
    if (codec === undefined) {
      codec = new TokenCodec(this.#options.ring, name);
      this.#codecs.set(name, codec);
    }
    return new CookieChannel(name, codec, settings, { secure, secureRequest });
  }
}

/** Names that promise `Secure`: a browser drops such a cookie without it. */
const SECURE_PREFIX = /^__(?:host|secure|http|host-http)-/i;

class CookieChannel implements Channel {
  readonly codec: TokenCodec;
  readonly deliverable: boolean;
  readonly path: string;
  readonly #name: string;
  readonly #settings: CookieSettings;
  readonly #secure: boolean;

  constructor(
    name: string,
    codec: TokenCodec,
    settings: CookieSettings,
    { secure, secureRequest }: { secure: boolean; secureRequest: boolean },
  ) {
    this.codec = codec;
    this.path = settings.path;
    this.#name = name;
    this.#settings = settings;
    this.#secure = secure;
    const needsSecure = settings.sameSiteNone || settings.partitioned || SECURE_PREFIX.test(name);
    this.deliverable = secure ? secureRequest : !needsSecure;
  }

  read(req: IncomingMessage): string[] {
    return readCookies(req.headers.cookie, this.#name);
  }

  send(res: ServerResponse, token: string, { now, expires }: { now: number; expires: number | undefined }): void {
    this.#append(res, setCookie(this.#name, token, this.#settings, { secure: this.#secure, now, expires }));
  }

  clear(res: ServerResponse): void {
    this.#append(res, deleteCookie(this.#name, this.#settings, { secure: this.#secure }));
  }

  vary(res: ServerResponse): void {
    const vary = [res.getHeader("vary") ?? []].flat().join(", ");
    if (vary === "") res.setHeader("Vary", "Cookie");
    else if (!/(?:^|,)\s*(?:\*|cookie)\s*(?:,|$)/i.test(vary)) res.setHeader("Vary", `${vary}, Cookie`);
  }

  /** Other modules' cookies stay as they are; of this name there is never more than one (RFC 6265 4.1.1). */
  #append(res: ServerResponse, line: string): void {
    const there = [res.getHeader("set-cookie") ?? []].flat().map(String);
    const others = there.filter((cookie) => !cookie.startsWith(`${this.#name}=`));
    res.setHeader("Set-Cookie", [...others, line]);
  }
}
