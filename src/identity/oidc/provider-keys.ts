import type { JWTVerifyGetKey } from "jose";
import { SojournError } from "../../contract/errors.ts";
import { type Clock, withDeadline } from "../../contract/time.ts";

/** Is the package `jose`. */
export type Jose = typeof import("jose");

/** A JSON Web Key Set (RFC 7517, 5), such as a provider publishes. */
export interface KeySet {
  keys: { kty: string; [parameter: string]: unknown }[];
}

const DISCOVERY = "/.well-known/openid-configuration";
const FETCH_MS = 5_000;
/** After a failure, so that forged tokens can't make this process ask the provider all the time. */
const PAUSE_MS = 10_000;

/** Finds a provider's keys: those that were given, or those that its discovery document names. */
export class ProviderKeys {
  readonly #jose: Jose;
  readonly #issuer: string;
  readonly #clock: Clock;
  #keys: JWTVerifyGetKey | undefined;
  #finding: Promise<JWTVerifyGetKey> | undefined;
  #failure: { error: unknown; until: number } | undefined = undefined;

  /** @param given the keys, or their address; without it, discovery finds the address */
  constructor(jose: Jose, issuer: string, given: KeySet | URL | undefined, clock: Clock) {
    this.#jose = jose;
    this.#issuer = issuer;
    this.#clock = clock;
    if (given instanceof URL) this.#keys = this.#remote(given);
    else if (given !== undefined) this.#keys = jose.createLocalJWKSet(given);
  }

  /** Returns the keys. jose fetches a remote set anew for an unknown key, twice a minute at most. */
  async get(): Promise<JWTVerifyGetKey> {
    if (this.#keys !== undefined) return this.#keys;
    if (this.#failure !== undefined && this.#clock.now() < this.#failure.until) throw this.#failure.error;
    this.#finding ??= this.#discover().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  async #discover(): Promise<JWTVerifyGetKey> {
    try {
      const stop = new AbortController();
      const late = () => {
        stop.abort();
        return new Error(`no answer within ${FETCH_MS} ms`);
      };
      const document = await withDeadline(this.#fetchDocument(stop.signal), FETCH_MS, this.#clock, late);
      this.#keys = this.#remote(jwksAddress(document, this.#issuer));
      return this.#keys;
    } catch (cause) {
      const error = unavailable(cause);
      this.#failure = { error, until: this.#clock.now() + PAUSE_MS };
      throw error;
    }
  }

  async #fetchDocument(signal: AbortSignal): Promise<unknown> {
    const address = this.#issuer.replace(/\/$/, "") + DISCOVERY;
    const response = await fetch(address, { redirect: "error", headers: { accept: "application/json" }, signal });
    if (!response.ok) throw new Error(`${address} answered with status ${response.status}`);
    return response.json();
  }

  #remote(address: URL): JWTVerifyGetKey {
    return this.#jose.createRemoteJWKSet(address, { timeoutDuration: FETCH_MS });
  }
}

/** @throws Error if the document is another issuer's (OpenID Connect Discovery 4.3), or names no keys */
function jwksAddress(document: unknown, issuer: string): URL {
  const { issuer: own, jwks_uri: address }: { issuer?: unknown; jwks_uri?: unknown } = Object(document);
  if (own !== issuer) throw new Error("the provider's discovery document is of another issuer");
  if (typeof address !== "string" || !isSafeAddress(address)) {
    throw new Error("the provider's discovery document names no jwks_uri over HTTPS");
  }
  return new URL(address);
}

/** Returns whether nobody in between can replace what an address answers. */
export function isSafeAddress(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname } = new URL(address);
  if (protocol === "https:") return true;
  return protocol === "http:" && /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

export function unavailable(cause: unknown): SojournError {
  return new SojournError("PROVIDER_UNAVAILABLE", "the identity provider's keys could not be fetched", cause);
}
