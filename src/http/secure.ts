import type { IncomingMessage } from "node:http";

/** Says which proxies to trust: `true` or 1 the nearest, a number that many, or a function of an address and its distance, 0 for the nearest. */
export type TrustProxy = boolean | number | ((address: string, hop: number) => boolean);

/** What decides in an Express application. */
export interface ExpressSettings {
  get(setting: string): unknown;
}

/** A request that Express serves has its application. */
type Request = IncomingMessage & { app?: unknown };
type Trust = (address: string, hop: number) => unknown;

/**
 * Decides whether requests came over HTTPS: over TLS itself, or as a trusted proxy's `X-Forwarded-Proto` says. Where no option says whom to
 * trust, Express's setting does. A WebSocket's upgrade never passes Express: for that one, the application decides that served the pages.
 */
export class ProxyTrust {
  readonly #option: Trust | undefined;
  /** The application that served the last page; `null`: pages came, but through none; `undefined`: no page came so far. */
  #app: ExpressSettings | null | undefined = undefined;
  #doubt: keyof typeof REMEDIES = "no header";

  /** @throws TypeError for anything that is no way to trust */
  constructor(option: TrustProxy | undefined) {
    this.#option = option === undefined ? undefined : trustOf(option);
  }

  /** Takes notice of the application that a page's request came through. */
  learn(req: Request): void {
    const app = settingsOf(req.app);
    if (app !== undefined) this.#app = app;
    else if (this.#app === undefined) this.#app = null;
  }

  /** Whether nothing has told yet whom to trust. */
  get isUndecided(): boolean {
    return this.#option === undefined && this.#app === undefined;
  }

  /** `"claimed"`: a header says that it came over HTTPS, and there is neither an option nor an application that would decide about the header. */
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
      // Each proxy adds its value behind those that came: what stands before the trusted ones' is the client's invention.
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

  /** What an application can do, if the last request that looked insecure should not have. */
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

/** How many proxies are trusted, one behind the other, at most `most`. They are known by X-Forwarded-For, where that was sent. */
function trustedHops(trust: Trust, { headers, socket }: IncomingMessage, most: number): number {
  const addresses = listOf(headers["x-forwarded-for"]).toReversed();
  const addressOf = (hop: number) => (hop === 0 ? socket?.remoteAddress : addresses[hop - 1]) ?? "";
  let hops = 0;
  while (hops < most && trust(addressOf(hops), hops) === true) hops += 1;
  return hops;
}

const REMEDIES = {
  "no header":
    'Behind a proxy that ends TLS, have that send X-Forwarded-Proto, and trust it: app.set("trust proxy", 1), or trustProxy: true without Express; if it can\'t send one, cookie: { secure: "always" }. Without TLS: cookie: { secure: "auto" }',
  "not trusted":
    'Its X-Forwarded-Proto says HTTPS, and is not trusted. If your proxy sent it: app.set("trust proxy", 1), or trustProxy: true without Express. Without TLS: cookie: { secure: "auto" }',
  "says http":
    'The X-Forwarded-Proto that your proxies sent says HTTP. Have the one that ends TLS say https, and those behind it leave that as it is, or set the right number of proxies. Without TLS: cookie: { secure: "auto" }',
};

/** Proxies say `wss` of a WebSocket over TLS, too. */
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

/** Headers that a proxy in front would have added. */
const PROXIED = ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"];

/**
 * Whether a request came to this machine from itself, without a proxy in between. Browsers treat `http://localhost` as trustworthy (Secure
 * Contexts 3.1) and keep Secure cookies from there, all but Safari.
 */
export function isLocalhost({ headers, socket }: Partial<IncomingMessage>): boolean {
  const { host } = headers ?? {};
  if (host === undefined || !LOCAL_HOST.test(host) || !LOCAL_ADDRESS.test(socket?.remoteAddress ?? "")) return false;
  return PROXIED.every((name) => headers?.[name] === undefined);
}

const LOCAL_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;
const LOCAL_ADDRESS = /^(?:(?:::ffff:)?127\.|::1$)/;
