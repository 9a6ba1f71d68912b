import type { IncomingMessage, ServerResponse } from "node:http";
import type { KeyRing } from "../crypto/key-ring.ts";
import { TokenCodec } from "../crypto/token.ts";
import { cookieTransport } from "../session/content.ts";
import type { TokenCarrier, Transport } from "./carrier.ts";
import { chunkNames, cookieRoom, joinChunks, toCookies } from "./cookie-chunks.ts";
import {
  type CookieOptions,
  type CookieSettings,
  cookieName,
  cookieSettings,
  deleteCookie,
  readCookies,
  setCookie,
} from "./cookies.ts";
import { addVary } from "./response-headers.ts";
import { isLocalhost, ProxyTrust } from "./secure.ts";
import { warnOnce } from "./warn.ts";

export interface CookieTransportOptions {
  cookie?: CookieOptions | ((req: IncomingMessage) => CookieOptions) | undefined;
  name?: string | undefined;
  /** Default: Express's setting. */
  trust?: ProxyTrust | undefined;
  ring: KeyRing | undefined;
  /** How many cookies a token may take. Default 1. */
  chunks?: number | undefined;
}

/** Carries the token in a cookie. */
export class CookieTransport implements Transport {
  readonly #options: CookieTransportOptions;
  readonly #trust: ProxyTrust;
  readonly #codecs = new Map<string, TokenCodec>();
  readonly #fixed: Readonly<Record<"secure" | "plain" | "moving", CookieCarrier>> | undefined;
  readonly #settings: CookieSettings | undefined;

  /** @throws TypeError for attributes or a name that no browser accepts */
  constructor(options: CookieTransportOptions) {
    const { cookie = {}, name, trust = new ProxyTrust(undefined) } = options;
    this.#options = options;
    this.#trust = trust;
    if (typeof cookie === "function") {
      if (name !== undefined) cookieSettings({}, name);
      return;
    }
    const settings = cookieSettings(cookie, name);
    this.#settings = settings;
    this.#fixed = {
      secure: this.#carrier(settings, "secure"),
      plain: this.#carrier(settings, "plain"),
      moving: this.#carrier(settings, "moving"),
    };
  }

  carrierFor(req: IncomingMessage, isPage = true): TokenCarrier {
    const settings = this.#settings ?? this.#settingsFor(req);
    const kind = !this.#isSecure(req, settings, isPage) ? "plain" : hasMoved(req, settings) ? "moving" : "secure";
    return this.#fixed?.[kind] ?? this.#carrier(settings, kind);
  }

  #settingsFor(req: IncomingMessage): CookieSettings {
    const { cookie, name } = this.#options;
    return cookieSettings(typeof cookie === "function" ? cookie(req) : {}, name);
  }

  #isSecure(req: IncomingMessage, settings: CookieSettings, isPage: boolean): boolean {
    if (settings.secure === "always") return true;
    const judgement = this.#trust.judge(req);
    if (judgement !== "claimed") return judgement || (needsSecure(settings) && isLocalhost(req));
    // A browser stores a cookie of such a name only over HTTPS, and sends it only there.
    const { secureName, plainName } = settings;
    const { cookie } = req.headers;
    if (SECURE_PREFIX.test(secureName) && readCookies(cookie, secureName).length > 0) return true;
    // Before the first page the name of the page's cookie is unknown. The insecure name is never
    // read then, because an attacker could have planted it.
    if (isPage || !this.#trust.isUndecided) return false;
    if (secureName !== plainName && readCookies(cookie, plainName).length > 0) warnOfUndecided(plainName);
    return true;
  }

  #carrier(settings: CookieSettings, kind: "secure" | "plain" | "moving"): CookieCarrier {
    const secureRequest = kind !== "plain";
    const secure = settings.secure === true || (settings.secure !== false && secureRequest);
    const name = secure ? settings.secureName : settings.plainName;
    const former = kind === "moving" ? settings.former : undefined;
    return new CookieCarrier({
      name,
      codec: this.#codecOf(name),
      settings,
      secure,
      secureRequest,
      chunks: this.#options.chunks ?? 1,
      // A MAC covers the name. Without a MAC the session remembers the name, unless it is the
      // default.
      transport: this.#options.ring === undefined && !DEFAULT_NAMES.has(name) ? cookieTransport(name) : undefined,
      former: former === undefined ? undefined : { ...former, codec: this.#codecOf(former.name) },
    });
  }

  #codecOf(name: string): TokenCodec {
    let codec = this.#codecs.get(name);
    if (codec === undefined) {
      codec = new TokenCodec(this.#options.ring, name);
      this.#codecs.set(name, codec);
    }
    return codec;
  }
}

/** Returns whether a client has only the cookie from before a change of the domain or path. */
function hasMoved({ headers: { cookie } }: IncomingMessage, { former, secureName }: CookieSettings): boolean {
  return former !== undefined && isPresent(cookie, former.name) && !isPresent(cookie, secureName);
}

/** Returns whether a Cookie header has a token under this name, in one cookie or in parts. */
function isPresent(header: string | undefined, name: string): boolean {
  return readCookies(header, name).length > 0 || readCookies(header, `${name}.0`).length > 0;
}

/** Returns whether a browser drops the cookie unless it is Secure. */
function needsSecure({ secure, sameSiteNone, partitioned, plainName }: CookieSettings): boolean {
  return secure === true || sameSiteNone || partitioned || SECURE_PREFIX.test(plainName);
}

/** Matches what `res.clearCookie` sends, which is harmless: it is common beside a logout. */
const DELETES = /;\s*(?:max-age=(?:0|-\d+)(?:;|$)|expires=[^;]*\b1970\b)/i;

function warnOfForeign(name: string): void {
  warnOnce(
    `the application set a cookie named ${name}, which is the session's cookie: rename yours, or the session's by session({ name })`,
  );
}

function warnOfUndecided(name: string): void {
  warnOnce(
    `an upgrade with X-Forwarded-Proto: https came before the first page, so it is unknown whether to trust that header; the cookie ${name} was not read, because the session's cookie has another name over HTTPS. Set session({ trustProxy: 1 }), or trustProxy: app.get("trust proxy fn")`,
  );
}

/** Names that promise `Secure`: a browser drops such a cookie without it. */
const SECURE_PREFIX = /^__(?:host|secure|http|host-http)-/i;

/** The default cookie names. */
const DEFAULT_NAMES = new Set(["sid", "__Host-sid"]);

interface CookieCarrierOptions {
  transport: string | undefined;
  name: string;
  codec: TokenCodec;
  settings: CookieSettings;
  /** Whether the cookie is Secure, and whether the request came over HTTPS. */
  secure: boolean;
  secureRequest: boolean;
  chunks: number;
  /** The default cookie of before, if the request's token is in it. */
  former: ({ codec: TokenCodec } & NonNullable<CookieSettings["former"]>) | undefined;
}

class CookieCarrier implements TokenCarrier {
  readonly name: string;
  readonly codec: TokenCodec;
  readonly transport: string | undefined;
  readonly room: number;
  readonly deliverable: boolean;
  readonly isSecure: boolean;
  readonly path: string;
  readonly former: CookieCarrierOptions["former"];
  readonly #settings: CookieSettings;
  readonly #secure: boolean;
  readonly #chunks: number;

  constructor({ name, codec, settings, secure, secureRequest, chunks, transport, former }: CookieCarrierOptions) {
    this.codec = codec;
    this.transport = transport;
    this.path = settings.path;
    this.name = name;
    this.room = cookieRoom(name, chunks);
    this.former = former;
    this.isSecure = secureRequest;
    this.#settings = settings;
    this.#secure = secure;
    this.#chunks = chunks;
    this.deliverable = secure ? secureRequest : !needsSecure(settings);
  }

  read(req: IncomingMessage): string[] {
    const { cookie } = req.headers;
    const name = this.former?.name ?? this.name;
    const texts = readCookies(cookie, name);
    return this.#chunks === 1 ? texts : [...texts, ...joinChunks(cookie, name)];
  }

  send(res: ServerResponse, token: string, { now, expires }: { now: number; expires: number | undefined }): void {
    const cookies = this.#chunks === 1 ? [{ name: this.name, value: token }] : toCookies(this.name, token);
    if (this.#chunks > 1) this.#removeStale(res, new Set(cookies.map(({ name }) => name)));
    for (const { name, value } of cookies) {
      this.#append(res, name, setCookie(name, value, this.#settings, { secure: this.#secure, now, expires }));
    }
    this.#removeFormer(res);
  }

  clear(res: ServerResponse): void {
    this.#remove(res, this.name);
    if (this.#chunks > 1) this.#removeStale(res, new Set([this.name]));
    this.#removeFormer(res);
  }

  vary(res: ServerResponse): void {
    addVary(res, "Cookie");
    const there = res.getHeader("set-cookie");
    if (there === undefined) return;
    // It leaves unless the session has a cookie to send, and replaces the session in the browser.
    const lines = [there].flat().map(String);
    if (lines.some((line) => cookieName(line) === this.name && !DELETES.test(line))) warnOfForeign(this.name);
  }

  /** Deletes the client's cookies of an earlier token that used more cookies, or fewer. */
  #removeStale(res: ServerResponse, kept: ReadonlySet<string>): void {
    // A response without a request can't tell what the client has: delete every name.
    const sent: string | undefined = res.req?.headers.cookie;
    for (const name of [this.name, ...chunkNames(this.name)]) {
      if (kept.has(name)) continue;
      if (res.req === undefined || readCookies(sent, name).length > 0) this.#remove(res, name);
    }
  }

  #removeFormer(res: ServerResponse): void {
    const { former } = this;
    if (former === undefined) return;
    const sent: string | undefined = res.req?.headers.cookie;
    for (const name of [former.name, ...chunkNames(former.name)]) {
      if (readCookies(sent, name).length === 0) continue;
      const settings = { ...this.#settings, attributes: former.attributes };
      this.#append(res, name, deleteCookie(name, settings, { secure: true }));
    }
  }

  #remove(res: ServerResponse, name: string): void {
    this.#append(res, name, deleteCookie(name, this.#settings, { secure: this.#secure }));
  }

  /** Replaces the cookie of this name and keeps others: each name is sent once (RFC 6265 4.1.1). */
  #append(res: ServerResponse, name: string, line: string): void {
    const there = [res.getHeader("set-cookie") ?? []].flat().map(String);
    const others = there.filter((cookie) => cookieName(cookie) !== name);
    res.setHeader("Set-Cookie", [...others, line]);
  }
}
