import type { JWTPayload, JWTVerifyGetKey } from "jose";
import type { LogoutRefusal } from "../../session/events.ts";
import { type Jose, unavailable } from "./provider-keys.ts";

/** What a valid logout token says: which login ended, or whose logins. Times are epoch milliseconds. */
export interface LogoutClaims {
  id: string;
  expiresAt: number;
  /** The provider's session. */
  sid: string | undefined;
  /** The user, by the provider's name. */
  sub: string | undefined;
}

/** What a logout token must fit. */
export interface Expected {
  issuer: string;
  clientId: string;
  algorithms: readonly string[];
  toleranceMs: number;
  now: number;
}

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
/** `JWT` says nothing; some providers send it. Any other type names a token of another kind. */
const TYPES = new Set(["logout+jwt", "jwt"]);
/** The longest name that the link of a login has, in bytes. */
const LONGEST_NAME = 255;

const BY_CODE: Readonly<Record<string, LogoutRefusal>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: "algorithm",
  ERR_JOSE_NOT_SUPPORTED: "malformed",
  ERR_JWS_INVALID: "malformed",
  ERR_JWT_INVALID: "malformed",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "signature",
  ERR_JWKS_NO_MATCHING_KEY: "signature",
  ERR_JWT_EXPIRED: "expired",
};
const BY_CLAIM: Readonly<Record<string, LogoutRefusal>> = { iss: "issuer", aud: "audience", nbf: "not-yet-valid" };

/**
 * Validates a logout token (Back-Channel Logout 1.0, 2.6). Returns why it is refused, or what it
 * says. Fetches keys only for a token that would be valid if it were signed.
 * @throws SojournError PROVIDER_UNAVAILABLE if the keys can't be fetched
 */
export async function readLogoutToken(
  token: string,
  jose: Jose,
  keys: () => Promise<JWTVerifyGetKey>,
  expected: Expected,
): Promise<LogoutClaims | LogoutRefusal> {
  const unsigned = refusalUnsigned(token, jose, expected);
  if (unsigned !== undefined) return unsigned;
  const payload = await verified(token, jose, await keys(), expected);
  return typeof payload === "string" ? payload : claimsOf(payload, expected);
}

/** Judges what a token claims to be. */
function refusalUnsigned(token: string, jose: Jose, expected: Expected): LogoutRefusal | undefined {
  try {
    const { alg, typ } = jose.decodeProtectedHeader(token);
    const payload = jose.decodeJwt(token);
    if (
      typ !== undefined &&
      !TYPES.has(
        String(typ)
          .toLowerCase()
          .replace(/^application\//, ""),
      )
    )
      return "type";
    if (alg === undefined || !expected.algorithms.includes(alg)) return "algorithm";
    if (payload.iss !== expected.issuer) return "issuer";
    const claims = claimsOf(payload, expected);
    return typeof claims === "string" ? claims : undefined;
  } catch {
    return "malformed";
  }
}

/** Verifies the signature, and the claims that all JSON Web Tokens have. */
async function verified(
  token: string,
  jose: Jose,
  keys: JWTVerifyGetKey,
  { issuer, clientId, algorithms, toleranceMs, now }: Expected,
): Promise<JWTPayload | LogoutRefusal> {
  const options = {
    issuer,
    audience: clientId,
    algorithms: [...algorithms],
    requiredClaims: ["iat", "exp", "jti"],
    clockTolerance: toleranceMs / 1_000,
    currentDate: new Date(now),
  };
  try {
    return (await jose.jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!(error instanceof jose.errors.JWKSMultipleMatchingKeys)) return refusalOf(error, jose);
    // The token names no key, and several of the provider's fit its algorithm.
    for await (const key of error) {
      try {
        return (await jose.jwtVerify(token, key, options)).payload;
      } catch (failed) {
        const refusal = refusalOf(failed, jose);
        if (refusal !== "signature") return refusal;
      }
    }
    return "signature";
  }
}

/** @throws SojournError PROVIDER_UNAVAILABLE for an error that says nothing of the token */
function refusalOf(error: unknown, jose: Jose): LogoutRefusal {
  if (error instanceof jose.errors.JWTClaimValidationFailed) return BY_CLAIM[error.claim] ?? "claims";
  const refusal = error instanceof jose.errors.JOSEError ? BY_CODE[error.code] : undefined;
  if (refusal === undefined) throw unavailable(error);
  return refusal;
}

function claimsOf(payload: JWTPayload, { toleranceMs, now }: Expected): LogoutClaims | LogoutRefusal {
  const { iat, exp, jti, sub, sid, events } = payload;
  if (typeof iat !== "number" || typeof exp !== "number" || !isName(jti)) return "claims";
  if (iat * 1_000 > now + toleranceMs) return "issued-in-future";
  if ("nonce" in payload) return "nonce";
  if (!isObject(events) || !Object.hasOwn(events, EVENT) || !isObject(Reflect.get(events, EVENT))) return "events";
  if (sid === undefined && sub === undefined) return "claims";
  if (!(sid === undefined || isName(sid)) || !(sub === undefined || isName(sub))) return "claims";
  return { id: jti, expiresAt: exp * 1_000, sid, sub };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a text names something. Its length is that of any name of the kind in a store. */
function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.isWellFormed() && Buffer.byteLength(value) <= LONGEST_NAME;
}
