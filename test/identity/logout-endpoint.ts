import { createServer } from "node:http";
import express, { type ErrorRequestHandler } from "express";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { type BackchannelLogoutOptions, backchannelLogout } from "../../src/identity/oidc.ts";
import { type IndexedStore, MemoryStore, type SessionEvents, session } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Cleanup, listen } from "../support/site.ts";

/** An application that takes its provider's logouts, and the tokens that the provider sends. */

export const ISSUER = "https://login.example.com";
export const CLIENT = "shop";
export const EVENT = "http://schemas.openid.net/event/backchannel-logout";
export const START = new ManualClock().now();

export interface Pair {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}
export const rsa: Pair = await generateKeyPair("RS256", { extractable: true });
export const curve: Pair = await generateKeyPair("ES256", { extractable: true });

export async function publicJwk({ publicKey }: Pair, kid?: string): Promise<JWK & { kty: string }> {
  const { kty = "", ...rest } = await exportJWK(publicKey);
  return { ...rest, kty, ...(kid !== undefined && { kid }) };
}

export type Claims = Record<string, unknown>;

/** The claims of a good token: what a case changes is left out or replaced. */
export function goodClaims(now = START): Claims {
  const seconds = Math.floor(now / 1_000);
  return {
    iss: ISSUER,
    aud: CLIENT,
    iat: seconds,
    exp: seconds + 120,
    jti: `jti-${Math.random()}`,
    sid: "sid-1",
    sub: "alice",
    events: { [EVENT]: {} },
  };
}

export function sign(
  claims: Claims,
  header: { alg?: string; [name: string]: unknown } = {},
  pair = rsa,
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "rsa", ...header }).sign(pair.privateKey);
}

export const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

export interface Provider {
  post(
    token: string,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: string; cache: string | null }>;
  send(body: string, headers?: Record<string, string>): Promise<{ status: number; body: string; cache: string | null }>;
  url: string;
  /** The users of the sessions that are there. */
  users(): Promise<string[]>;
  login(userId: string, link?: string): Promise<void>;
  refusals: SessionEvents["logout-refused"][];
  errors: unknown[];
  clock: ManualClock;
}

export interface SetUp {
  store?: IndexedStore;
  options?: Partial<BackchannelLogoutOptions>;
  parser?: express.RequestHandler;
}

export async function application(t: Cleanup, { store, options = {}, parser }: SetUp = {}): Promise<Provider> {
  const clock = new ManualClock();
  const sessions = session({ store: store ?? new MemoryStore({ clock }), clock });
  const refusals: SessionEvents["logout-refused"][] = [];
  const errors: unknown[] = [];
  sessions.on("logout-refused", (detail) => refusals.push(detail));
  const app = express();
  const jwks = { keys: [await publicJwk(rsa, "rsa"), await publicJwk(curve, "curve")] };
  if (parser !== undefined) app.use(parser);
  app.use("/backchannel-logout", backchannelLogout({ sessions, issuer: ISSUER, clientId: CLIENT, jwks, ...options }));
  app.use(sessions);
  app.post("/login", async (req, res) => {
    const { user = "", link } = req.query;
    await req.session.login(String(user), typeof link === "string" ? { link } : {});
    res.end();
  });
  const answer: ErrorRequestHandler = (error, _req, res, _next) => {
    errors.push(error);
    res.status(error.status ?? 500).end(String(error.code ?? error.message));
  };
  app.use(answer);
  const { port } = await listen(t, createServer(app), sessions);
  const url = `http://127.0.0.1:${port}`;
  const send: Provider["send"] = async (body, headers = {}) => {
    const response = await fetch(`${url}/backchannel-logout`, {
      method: "POST",
      body,
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    });
    return { status: response.status, body: await response.text(), cache: response.headers.get("cache-control") };
  };
  return {
    url,
    send,
    post: (token, headers) => send(new URLSearchParams({ logout_token: token }).toString(), headers),
    async users() {
      const known = ["alice", "bob", "carol"];
      const counts = await Promise.all(known.map((user) => sessions.count(user)));
      return known.filter((_user, index) => (counts[index] ?? 0) > 0);
    },
    async login(user, link) {
      const query = new URLSearchParams({ user, ...(link !== undefined && { link }) });
      await fetch(`${url}/login?${query}`, { method: "POST" });
    },
    refusals,
    errors,
    clock,
  };
}

/** Two users and their provider's sessions. */
export async function twoUsers(t: Cleanup, setUp?: SetUp): Promise<Provider> {
  const provider = await application(t, setUp);
  await provider.login("alice", "sid-1");
  await provider.login("bob", "sid-2");
  return provider;
}
