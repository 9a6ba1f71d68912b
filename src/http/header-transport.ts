import type { IncomingMessage, ServerResponse } from "node:http";
import type { KeyRing } from "../crypto/key-ring.ts";
import { TokenCodec } from "../crypto/token.ts";
import type { TokenCarrier, Transport } from "./carrier.ts";
import { addVary, exposeHeader } from "./response-headers.ts";

/** Most servers and proxies accept lines of 8 KiB. Half of that is enough for any token. */
const LONGEST = 4_096;
/** RFC 6750 2.1: the scheme, spaces, and a b64token. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
/** The response header that brings a new token. */
const RESPONSE_HEADER = "X-Session-Token";

export interface HeaderTransportOptions {
  /** The request header in lower case; `authorization` holds a Bearer token. */
  header: string;
  ring: KeyRing | undefined;
}

/**
 * Carries the token in a request header, for clients without cookies. Browsers never add it
 * themselves, so other sites can't use it.
 */
export class HeaderTransport implements Transport {
  readonly carrier: TokenCarrier;

  constructor({ header, ring }: HeaderTransportOptions) {
    this.carrier = new HeaderCarrier(header, ring);
  }

  carrierFor(): TokenCarrier {
    return this.carrier;
  }
}

class HeaderCarrier implements TokenCarrier {
  readonly name: string;
  readonly codec: TokenCodec;
  readonly transport: string;
  readonly room = LONGEST;
  readonly deliverable = true;
  readonly path = "/";
  readonly #header: string;

  constructor(header: string, ring: KeyRing | undefined) {
    // A cookie's name has no colon, so tokens bound to this name fit no cookie.
    this.name = `${header}:`;
    this.codec = new TokenCodec(ring, this.name);
    this.transport = header === "authorization" ? "bearer" : header;
    this.#header = header;
  }

  read(req: IncomingMessage): string[] {
    const value = onlyHeader(req, this.#header);
    if (value === undefined || value.length > LONGEST) return [];
    const token = this.#header === "authorization" ? BEARER.exec(value)?.[1] : TOKEN.exec(value)?.[0];
    return token === undefined ? [] : [token];
  }

  send(res: ServerResponse, token: string): void {
    res.setHeader(RESPONSE_HEADER, token);
    if (res.req?.headers.origin !== undefined) exposeHeader(res, RESPONSE_HEADER);
    // Even if the application allows it: a cache that stores this response leaks the session.
    if (!/\bno-store\b/i.test(String(res.getHeader("cache-control") ?? ""))) res.setHeader("Cache-Control", "no-store");
  }

  /** Does nothing: the client keeps its token, and finds out when it opens nothing. */
  clear(): void {}

  vary(res: ServerResponse): void {
    addVary(res, this.#header === "authorization" ? "Authorization" : this.#header);
  }
}

/**
 * Returns the value of a header that came at most once. Node silently keeps the first of several
 * `Authorization` headers, so this checks `rawHeaders` too. A value in `headers` alone counts:
 * serverless adapters, mocks and earlier middleware set nothing else.
 */
function onlyHeader({ headers, rawHeaders = [] }: Partial<IncomingMessage>, name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== name) continue;
    if (found !== undefined) return undefined;
    found = rawHeaders[i + 1];
  }
  const [value, ...more]: unknown[] = [headers?.[name] ?? found].flat();
  return more.length > 0 || typeof value !== "string" ? undefined : value.trim();
}
