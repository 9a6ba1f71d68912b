import type { IncomingMessage } from "node:http";

/**
 * Says which proxies to trust: `true` or 1 for the nearest, a number for several, or a function of
 * an address and its distance, 0 for the nearest.
 */
export type TrustProxy = boolean | number | ((address: string, hop: number) => boolean);

/** @internal Reads an Express application's settings. */
export interface ExpressSettings {
  get(setting: string): unknown;
}

/** A request that Express serves names its application. */
type Request = IncomingMessage & { app?: unknown };
type Trust = (address: string, hop: number) => unknown;

/**
 * @internal
 * Decides whether requests came over HTTPS: over TLS, or by a trusted proxy's `X-Forwarded-Proto`.
 * Without the option, Express's setting decides. A WebSocket's upgrade never passes Express, so the
 * application of the last page decides about it.
 */
export class ProxyTrust {
  readonly #option: Trust | undefined;
  /** The last page's application; `null` if pages came without one, `undefined` before any page. */
  #app: ExpressSettings | null | undefined = undefined;
  #doubt: keyof typeof REMEDIES = "no header";

  /** @throws TypeError for an option of another type */
  constructor(option: TrustProxy | undefined) {
    this.#option = option === undefined ? undefined : trustOf(option);
  }

  /** Remembers the application of a page's request. */
  learn(req: Request): void {
    const app = settingsOf(req.app);
    if (app !== undefined) this.#app = app;
    else if (this.#app === undefined) this.#app = null;
  }

  /** Whether neither an option nor a page has decided whom to trust. */
  get isUndecided(): boolean {
    return this.#option === undefined && this.#app === undefined;
  }

  /** Returns `"claimed"` if a header claims HTTPS and nothing decides whether to trust it. */
  judge(req: Request): boolean | "claimed" {
    if (isEncrypted(req)) return true;
    const forwarded = req.headers?.["x-forwarded-proto"];
    if (forwarded === undefined) {
      this.#doubt = "no header";
      return false;
    }
    const protocols = listOf(forwarded);
    const trust = this.#trustFor(req);
    const hops = trust === undefined ? 0 : trustedHops(trust, req, protocols.length);
    if (hops > 0) {
      // Each proxy appends its value, so a client can forge whatever precedes the trusted proxies'
      // values.
      if (isHttps(protocols.at(-hops))) return true;
      this.#doubt = "says http";
      return false;
    }
    const isClaimed = isHttps(protocols[0]);
    this.#doubt = isClaimed ? "not trusted" : "no header";
    return isClaimed && trust === undefined ? "claimed" : false;
  }

  /** Whether the nearest proxy is trusted. */
  trusts(req: Request): boolean {
    const trust = this.#trustFor(req);
    return trust !== undefined && trustedHops(trust, req, 1) > 0;
  }

  /** Returns what an application can do if the last request that looked insecure was secure. */
  get remedy(): string {
    return REMEDIES[this.#doubt];
  }

  #trustFor(req: Request): Trust | undefined {
    if (this.#option !== undefined) return this.#option;
    const app = settingsOf(req.app) ?? this.#app ?? undefined;
    const trust = app?.get("trust proxy fn");
    if (typeof trust !== "function") return app === undefined ? undefined : () => false;
    return (address, hop) => trust(address, hop);
  }
}

function trustOf(option: TrustProxy): Trust {
  if (typeof option === "function") return option;
  const hops = Number(option);
  if ((typeof option === "number" || typeof option === "boolean") && Number.isInteger(hops) && hops >= 0) {
    return (_address, hop) => hop < hops;
  }
  throw new TypeError("trustProxy must be true, false, a number of proxies, or a function of an address and a hop");
}

/** Counts the trusted proxies in a row, at most `most`. `X-Forwarded-For` may name them. */
function trustedHops(trust: Trust, { headers, socket }: IncomingMessage, most: number): number {
  const addresses = listOf(headers["x-forwarded-for"]).toReversed();
  const addressOf = (hop: number) => (hop === 0 ? socket?.remoteAddress : addresses[hop - 1]) ?? "";
  let hops = 0;
  while (hops < most && trust(addressOf(hops), hops) === true) hops += 1;
  return hops;
}

const REMEDIES = {
  "no header":
    'Behind a proxy that ends TLS, let the proxy send X-Forwarded-Proto, and trust it: app.set("trust proxy", 1), or trustProxy: true without Express. If it can\'t send that header, set cookie: { secure: "always" }. Without TLS, set cookie: { secure: "auto" }',
  "not trusted":
    'Its X-Forwarded-Proto says HTTPS, but that header is not trusted. If your proxy sent it, set app.set("trust proxy", 1), or trustProxy: true without Express. Without TLS, set cookie: { secure: "auto" }',
  "says http":
    'The X-Forwarded-Proto of your proxies says HTTP. Let the proxy that ends TLS send https, and let those behind it keep that value, or set the right number of proxies. Without TLS, set cookie: { secure: "auto" }',
};

/** Accepts `wss`, which some proxies send for a WebSocket over TLS. */
function isHttps(protocol: string | undefined): boolean {
  return protocol === "https" || protocol === "wss";
}

const NONE: readonly string[] = [];

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return NONE;
  return String(value)
    .split(",")
    .map((one) => one.trim().toLowerCase());
}

function isEncrypted(req: IncomingMessage): boolean {
  const socket: object | null | undefined = req.socket;
  return typeof socket === "object" && socket !== null && "encrypted" in socket && socket.encrypted === true;
}

function settingsOf(app: unknown): ExpressSettings | undefined {
  return hasSettings(app) ? app : undefined;
}

function hasSettings(app: unknown): app is ExpressSettings {
  return (typeof app === "function" || typeof app === "object") && typeof Object(app).get === "function";
}

/** Headers that a proxy would have added. */
const PROXIED = ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"];

/**
 * @internal
 * Returns whether a request came from this machine without a proxy in between. Browsers trust
 * `http://localhost` (Secure Contexts 3.1) and keep its Secure cookies, except Safari.
 */
export function isLocalhost({ headers, socket }: Partial<IncomingMessage>): boolean {
  const { host } = headers ?? {};
  if (host === undefined || !LOCAL_HOST.test(host) || !LOCAL_ADDRESS.test(socket?.remoteAddress ?? "")) return false;
  return PROXIED.every((name) => headers?.[name] === undefined);
}

const LOCAL_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;
const LOCAL_ADDRESS = /^(?:(?:::ffff:)?127\.|::1$)/;
