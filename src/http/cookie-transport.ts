import type { IncomingMessage, ServerResponse } from "node:http";
import type { KeyRing } from "../tokens/key-ring.ts";
import { TokenCodec } from "../tokens/token.ts";
import { addVary, type Channel, type Transport } from "./channel.ts";
import { chunkNames, cookieRoom, joinChunks, toCookies } from "./cookie-chunks.ts";
import {
  type CookieOptions,
  type CookieSettings,
  cookieSettings,
  deleteCookie,
  readCookies,
  setCookie,
} from "./cookies.ts";
import { isSecure } from "./secure.ts";

export interface CookieTransportOptions {
  cookie?: CookieOptions | ((req: IncomingMessage) => CookieOptions) | undefined;
  name?: string | undefined;
  trustProxy?: boolean | undefined;
  ring: KeyRing | undefined;
  /** How many cookies a token may take. Default 1. */
  chunks?: number | undefined;
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
    return new CookieChannel(name, codec, settings, { secure, secureRequest, chunks: this.#options.chunks ?? 1 });
  }
}

/** Names that promise `Secure`: a browser drops such a cookie without it. */
const SECURE_PREFIX = /^__(?:host|secure|http|host-http)-/i;

class CookieChannel implements Channel {
  readonly name: string;
  readonly codec: TokenCodec;
  readonly via: undefined;
  readonly room: number;
  readonly deliverable: boolean;
  readonly path: string;
  readonly #settings: CookieSettings;
  readonly #secure: boolean;
  readonly #chunks: number;

  constructor(
    name: string,
    codec: TokenCodec,
    settings: CookieSettings,
    { secure, secureRequest, chunks }: { secure: boolean; secureRequest: boolean; chunks: number },
  ) {
    this.codec = codec;
    this.path = settings.path;
    this.name = name;
    this.room = cookieRoom(name, chunks);
    this.#settings = settings;
    this.#secure = secure;
    this.#chunks = chunks;
    const needsSecure = settings.sameSiteNone || settings.partitioned || SECURE_PREFIX.test(name);
    this.deliverable = secure ? secureRequest : !needsSecure;
  }

  read(req: IncomingMessage): string[] {
    const { cookie } = req.headers;
    const texts = readCookies(cookie, this.name);
    const joined = this.#chunks === 1 ? undefined : joinChunks(cookie, this.name);
    return joined === undefined ? texts : [...texts, joined];
  }

  send(res: ServerResponse, token: string, { now, expires }: { now: number; expires: number | undefined }): void {
    const cookies = this.#chunks === 1 ? [{ name: this.name, value: token }] : toCookies(this.name, token);
    if (this.#chunks > 1) this.#removeStale(res, new Set(cookies.map(({ name }) => name)));
    for (const { name, value } of cookies) {
      this.#append(res, name, setCookie(name, value, this.#settings, { secure: this.#secure, now, expires }));
    }
  }

  clear(res: ServerResponse): void {
    this.#remove(res, this.name);
    if (this.#chunks > 1) this.#removeStale(res, new Set([this.name]));
  }

  vary(res: ServerResponse): void {
    addVary(res, "Cookie");
  }

  /** What the client still has of an earlier token that took more cookies, or fewer. */
  #removeStale(res: ServerResponse, kept: ReadonlySet<string>): void {
    // Without the request's header, as of a response that stands alone, whatever could be there.
    const sent: string | undefined = res.req?.headers.cookie;
    for (const name of [this.name, ...chunkNames(this.name)]) {
      if (kept.has(name)) continue;
      if (res.req === undefined || readCookies(sent, name).length > 0) this.#remove(res, name);
    }
  }

  #remove(res: ServerResponse, name: string): void {
    this.#append(res, name, deleteCookie(name, this.#settings, { secure: this.#secure }));
  }

  /** Other modules' cookies stay as they are; of this name there is never more than one (RFC 6265 4.1.1). */
  #append(res: ServerResponse, name: string, line: string): void {
    const there = res.getHeader("set-cookie");
    const others = there === undefined ? [] : [there].flat().map(String);
    res.setHeader("Set-Cookie", [...others.filter((cookie) => !cookie.startsWith(`${name}=`)), line]);
  }
}
