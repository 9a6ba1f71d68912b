import type { IncomingMessage, ServerResponse } from "node:http";
import { isIndexed } from "../contract/store.ts";
import { insidesOf } from "../http/insides.ts";
import { warn } from "../http/warn.ts";
import type { LogoutRefusal } from "../session/events.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { optionalPackage } from "../stores/optional-package.ts";
import { type FormRequest, logoutTokenOf } from "./oidc/form.ts";
import { type LogoutClaims, readLogoutToken } from "./oidc/logout-token.ts";
import { isSafeAddress, type Jose, type KeySet, ProviderKeys } from "./oidc/provider-keys.ts";
import { refuseUnknownOptions, textsOf } from "./options.ts";
import { UsedTokens } from "./used-tokens.ts";

export type { Duration } from "../session/timeouts.ts";
export type { KeySet } from "./oidc/provider-keys.ts";

/** Describes what `backchannelLogout` needs of {@link BackchannelLogoutOptions.sessions}. */
export interface RevocableSessions {
  /** Ends all sessions of a user, or of a link. Returns how many. */
  revokeAll(of: string | { link: string }): Promise<number>;
}

/** Options for {@link backchannelLogout}. */
export interface BackchannelLogoutOptions {
  /** What `session()` returned. Its store must list sessions; sealed sessions can't be ended so. */
  sessions: RevocableSessions;
  /** The provider's issuer identifier, exactly as its tokens have it in `iss`. */
  issuer: string;
  /** Your application's ID at the provider, which its tokens have in `aud`. */
  clientId: string;
  /**
   * The provider's keys: a JSON Web Key Set, or its address. Default: the `jwks_uri` of the
   * issuer's discovery document, fetched at the first logout.
   */
  jwks?: KeySet | string | undefined;
  /**
   * The signature algorithms that are accepted, asymmetric ones only. Default: RS, PS and ES with
   * 256, 384 and 512 bits, EdDSA and Ed25519.
   */
  algorithms?: readonly string[] | undefined;
  /**
   * Returns the `link` that your logins have for a provider's session ID. Default: the session ID
   * itself. With several providers, let both the link and this name the provider.
   */
  linkOf?: ((sid: string) => string) | undefined;
  /**
   * Returns your ID of a user whom the provider names in `sub`; `undefined` for an unknown one.
   * Needed only for providers that send no `sid`. Default: the subject itself.
   */
  userIdOf?: ((sub: string) => string | undefined | Promise<string | undefined>) | undefined;
  /** How far the provider's clock may be off. Default `"1m"`. */
  clockTolerance?: Duration | undefined;
}

const OPTIONS = [
  "sessions",
  "issuer",
  "clientId",
  "jwks",
  "algorithms",
  "linkOf",
  "userIdOf",
  "clockTolerance",
] as const satisfies readonly (keyof BackchannelLogoutOptions)[];

const ASYMMETRIC: readonly string[] = [
  ...["RS", "PS", "ES"].flatMap((family) => [`${family}256`, `${family}384`, `${family}512`]),
  "EdDSA",
  "Ed25519",
];

const DESCRIPTIONS: Readonly<Record<LogoutRefusal, string>> = {
  request: "send one logout_token by POST as application/x-www-form-urlencoded",
  malformed: "the logout token is no signed JSON Web Token",
  type: "the token is of another type than logout+jwt",
  algorithm: "the logout token's algorithm is not accepted",
  signature: "the logout token is signed by no key of the provider",
  issuer: "the logout token is of another issuer",
  audience: "the logout token is for another client",
  "issued-in-future": "the logout token was issued in the future",
  expired: "the logout token has expired",
  "not-yet-valid": "the logout token is not valid yet",
  events: "the logout token lacks the event of a back-channel logout",
  nonce: "a logout token must not have a nonce",
  claims: "the logout token lacks a claim, or has one of another form",
  replayed: "the logout token was used before",
};

/**
 * Creates the handler that an OpenID Connect provider calls when a user logs out there (Back-Channel
 * Logout 1.0). It ends the logins that the provider's session led to, in all processes of the
 * application, and closes their WebSockets. Log users in with `link`: the provider's `sid`.
 *
 * It answers with 200 once the sessions are ended, also if there were none. A token that is forged,
 * expired, used before or otherwise wrong gets a 400 with a JSON error, ends nothing, and causes the
 * event `logout-refused`. If the store or the provider's keys can't be reached, the error goes to
 * `next`, and the same token works again later.
 *
 * The provider must reach the handler without a session, so neither `session()` nor a login is
 * needed above it. Needs the package `jose`.
 *
 * @throws TypeError for an option that can't work; the message names it and the remedy
 * @example
 * import express from "express";
 * import { session } from "sojourn";
 * import { backchannelLogout } from "sojourn/oidc";
 *
 * const app = express();
 * const sessions = session();
 * app.post(
 *   "/backchannel-logout",
 *   backchannelLogout({ sessions, issuer: "https://login.example.com", clientId: "shop" }),
 * );
 * app.use(sessions);
 */
export function backchannelLogout(
  options: BackchannelLogoutOptions,
): (req: IncomingMessage & { body?: unknown }, res: ServerResponse, next: (error?: unknown) => void) => void {
  refuseUnknownOptions("backchannelLogout", options, OPTIONS);
  const { sessions, issuer, clientId } = options;
  const { clock, events, notes } = insidesOf("backchannelLogout", sessions);
  if (notes === undefined || !isIndexed(notes.store)) {
    throw new TypeError(
      "backchannelLogout({ sessions }) needs sessions in a store that can list them: one of Sojourn, and no SealedStore",
    );
  }
  const given = checkedJwks(options.jwks);
  const algorithms = checkedAlgorithms(options.algorithms ?? ASYMMETRIC);
  const { linkOf = (sid: string) => sid, userIdOf = (sub: string) => sub } = options;
  checkNames(issuer, clientId);
  for (const [name, value] of Object.entries({ linkOf, userIdOf })) {
    if (typeof value !== "function") throw new TypeError(`backchannelLogout({ ${name} }): ${name} must be a function`);
  }
  const toleranceMs = parseDuration(options.clockTolerance ?? "1m", "backchannelLogout({ clockTolerance })");
  const used = new UsedTokens("logout", notes, clock);
  const loading = loadJose().then((jose) => ({ jose, keys: new ProviderKeys(jose, issuer, given, clock) }));
  // Each logout reports the error; the warning comes when the application starts.
  loading.catch((error: unknown) => warn(String(error)));

  async function end({ sid, sub = "" }: LogoutClaims): Promise<void> {
    if (sid !== undefined) {
      await sessions.revokeAll({ link: linkOf(sid) });
      return;
    }
    const userId = await userIdOf(sub);
    if (userId !== undefined) await sessions.revokeAll(userId);
  }

  async function logOut(req: FormRequest): Promise<LogoutRefusal | undefined> {
    const token = req.method === "POST" ? await logoutTokenOf(req) : undefined;
    if (token === undefined) return "request";
    const { jose, keys } = await loading;
    const expected = { issuer, clientId, algorithms, toleranceMs, now: clock.now() };
    const claims = await readLogoutToken(token, jose, () => keys.get(), expected);
    if (typeof claims === "string") return claims;
    const id = `${issuer} ${claims.id}`;
    if (await used.has(id)) return "replayed";
    // The token is remembered last: if this fails in between, the provider can send it again.
    await end(claims);
    await used.add(id, claims.expiresAt);
    return undefined;
  }

  return function backchannelLogout(req, res, next) {
    logOut(req).then((reason) => {
      if (reason !== undefined) events.emit("logout-refused", { issuer, reason });
      answer(res, reason);
    }, next);
  };
}

/** @throws TypeError if the package is not installed */
async function loadJose(): Promise<Jose> {
  const jose = await optionalPackage<Jose>("jose", "jwtVerify", () => import("jose"));
  if (jose === undefined) throw new TypeError('backchannelLogout needs the package "jose": npm install jose');
  return jose;
}

/** Answers as Back-Channel Logout 1.0, 2.8 says. */
function answer(res: ServerResponse, reason: LogoutRefusal | undefined): void {
  res.setHeader("Cache-Control", "no-store");
  if (reason === undefined) {
    res.statusCode = 200;
    res.end();
    return;
  }
  res.statusCode = 400;
  res.setHeader("Content-Type", "application/json");
  res.end(JSON.stringify({ error: "invalid_request", error_description: DESCRIPTIONS[reason] }));
}

function checkNames(issuer: unknown, clientId: unknown): void {
  if (typeof issuer !== "string" || !isSafeAddress(issuer) || /[?#]/.test(issuer)) {
    throw new TypeError(
      'backchannelLogout({ issuer }): issuer must be the provider\'s issuer, such as "https://login.example.com"; plain http only on this machine',
    );
  }
  if (typeof clientId !== "string" || clientId === "") {
    throw new TypeError("backchannelLogout({ clientId }): clientId must be your application's ID at the provider");
  }
}

function checkedJwks(jwks: unknown): KeySet | URL | undefined {
  if (jwks === undefined) return undefined;
  if (typeof jwks === "string" && isSafeAddress(jwks)) return new URL(jwks);
  if (isKeySet(jwks)) return jwks;
  throw new TypeError(
    "backchannelLogout({ jwks }): jwks must be an object { keys: […] } of public keys, or an address over HTTPS",
  );
}

function isKeySet(jwks: unknown): jwks is KeySet {
  if (typeof jwks !== "object" || jwks === null || !("keys" in jwks) || !Array.isArray(jwks.keys)) return false;
  // A symmetric key has no public half: `oct` would let everyone who reads it sign.
  return jwks.keys.every((key: unknown) => typeof Object(key).kty === "string" && Object(key).kty !== "oct");
}

function checkedAlgorithms(algorithms: unknown): readonly string[] {
  const list = textsOf("backchannelLogout", "algorithms", algorithms);
  const wrong = list.find((name) => !ASYMMETRIC.includes(name));
  if (list.length > 0 && wrong === undefined) return list;
  throw new TypeError(
    `backchannelLogout({ algorithms }): algorithms must be some of ${ASYMMETRIC.join(", ")}: symmetric ones and "none" prove nothing`,
  );
}
