import type { IncomingMessage, ServerResponse } from "node:http";
import type { KeyRing } from "../crypto/key-ring.ts";
import { TokenCodec } from "../crypto/token.ts";
import type { TokenCarrier, Transport } from "./carrier.ts";
import { addVary, exposeHeader } from "./response-headers.ts";

/** Most servers and proxies take lines of 8 KiB; half of one is enough for any token. */
const LONGEST = 4_096;
/** RFC 6750 2.1: the scheme, spaces, and a b64token. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
/** Where a client finds a token that was issued to it. */
const ANSWER = "X-Session-Token";

export interface HeaderTransportOptions {
  /** The request header in lower case; `authorization` holds a Bearer token. */
  header: string;
  ring: KeyRing | undefined;
}

/** The token in a request header, for clients that keep no cookies. No browser adds it by itself, so other sites can't use it. */
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
    // No cookie can have a name with a colon: what tokens are bound to differs from every cookie's.
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
    res.setHeader(ANSWER, token);
    if (res.req?.headers.origin !== undefined) exposeHeader(res, ANSWER);
    // Whatever the application says: a cache that keeps this answer gives the session away.
    if (!/\bno-store\b/i.test(String(res.getHeader("cache-control") ?? ""))) res.setHeader("Cache-Control", "no-store");
  }

  /** A client that keeps its token itself finds out when it opens nothing any more. */
  clear(): void {}

  vary(res: ServerResponse): void {
    addVary(res, this.#header === "authorization" ? "Authorization" : this.#header);
  }
}

/**
 * The value of a header that came at most once. Node keeps the first of several `Authorization` headers and says nothing, so `rawHeaders` is
 * asked, too. What is in `headers` alone counts: adapters of serverless platforms and mocks put it nowhere else, nor does an earlier middleware.
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
