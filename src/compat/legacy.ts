import type { Awaitable } from "../contract/store.ts";
import { systemClock } from "../contract/time.ts";
import { keygripSigner, type SignatureKey, type Signer } from "../crypto/signature.ts";
import { readCookies } from "../http/cookies.ts";
import type { LegacyReader, LegacySession } from "../http/legacy.ts";
import { once } from "./callbacks.ts";
import { checkedCookie } from "./cookie-session/jar.ts";
import { Sealing } from "./cookie-session/sealing.ts";
import { deserialize } from "./cookie-session/session.ts";
import { decoded, idOf } from "./express-session/request.ts";
import { serializeCookie } from "./express-session/serialize.ts";

export type { Awaitable, LegacyReader, LegacySession, SignatureKey, Signer };

type Data = Readonly<Record<string, unknown>>;

/** Options that both readers share. */
export interface LegacyOptions {
  /** The attributes of the old cookie. A browser deletes a cookie only for the same path and domain. Default `{ path: "/" }`. */
  cookie?:
    | {
        path?: string | undefined;
        domain?: string | undefined;
        secure?: boolean | "auto" | undefined;
        sameSite?: string | boolean | undefined;
        partitioned?: boolean | undefined;
      }
    | undefined;
  /** Returns the user of a session, who is then logged in. Default: nobody. */
  userId?: ((data: Readonly<Record<string, unknown>>) => string | number | null | undefined) | undefined;
  /** When to stop accepting old sessions. Set it: an application should not read an old format for ever. Default: never. */
  until?: Date | string | undefined;
}

/** Options for {@link expressSession}. */
export interface LegacyExpressSessionOptions extends LegacyOptions {
  /** The secrets that signed the old cookies. */
  secret: SignatureKey | readonly SignatureKey[];
  /** The store of the old sessions. */
  store: {
    get(id: string, callback: (error?: unknown, session?: unknown) => void): unknown;
    destroy(id: string, callback: (error?: unknown) => void): unknown;
  };
  /** The old cookie's name. Default `"connect.sid"`. */
  name?: string | undefined;
}

/**
 * Reads the sessions that express-session left, so that users stay logged in when you change to Sojourn.
 *
 * @throws TypeError for a missing secret or store, or an `until` that is no date
 * @example
 * import { MemoryStore } from "express-session";
 * import { session } from "sojourn";
 * import { expressSession } from "sojourn/legacy";
 *
 * const old = expressSession({ secret: "the old secret", store: new MemoryStore(), until: "2027-01-01" });
 * const sessions = session({ accept: [old] });
 */
export function expressSession(options: LegacyExpressSessionOptions): LegacyReader {
  const { secret, store, name = "connect.sid" } = options;
  const secrets = toList(secret);
  if (secrets.length === 0)
    throw new TypeError("expressSession: secret must be the secret of the old sessions, or a list of them");
  if (typeof store?.get !== "function" || typeof store.destroy !== "function") {
    throw new TypeError("expressSession: store must be the store of the old sessions");
  }
  const isOver = end(options);
  const clearing = [cleared(name, options)];
  return {
    name,
    clearing,
    async read(req) {
      if (isOver()) return undefined;
      for (const raw of readCookies(req.headers.cookie, name)) {
        const id = idOf(decoded(raw), secrets);
        if (!id) continue;
        const { cookie, ...data } = Object((await stored(store, id)) ?? undefined);
        if (hasExpired(cookie)) continue;
        const session = moved(data, options, () => destroyed(store, id));
        if (session !== undefined) return session;
      }
      return undefined;
    },
  };
}

/** Options for {@link cookieSession}. */
export interface LegacyCookieSessionOptions extends LegacyOptions {
  /** The keys that signed the old cookies, or a `Keygrip`. */
  keys: readonly SignatureKey[] | Signer;
  /** The old cookie's name. Default `"session"`. */
  name?: string | undefined;
  /** Reads cookies that `sojourn/cookie-session` encrypted, and no signed ones. Default `false`. */
  encrypt?: boolean | undefined;
}

/**
 * Reads the sessions that cookie-session left in its cookies, either signed or encrypted ones. A copy of such a cookie works again and again, because
 * only its signature counts: set `until`.
 *
 * @throws TypeError for missing keys, or an `until` that is no date
 * @example
 * import { session } from "sojourn";
 * import { cookieSession } from "sojourn/legacy";
 *
 * const sessions = session({ accept: [cookieSession({ keys: ["the old key"], until: "2027-01-01" })] });
 */
export function cookieSession(options: LegacyCookieSessionOptions): LegacyReader {
  const { keys, name = "session" } = options;
  if (!keys || (!("sign" in keys) && keys.length === 0))
    throw new TypeError("cookieSession: keys must be the keys of the old sessions");
  const open = options.encrypt ? sealed(name, keys) : signed(name, keys);
  const isOver = end(options);
  const clearing = [cleared(name, options), cleared(`${name}.sig`, options)];
  return {
    name,
    clearing,
    read(req) {
      if (isOver()) return undefined;
      const value = open(req.headers.cookie);
      return value === undefined ? undefined : moved(parsed(value), options, () => {});
    },
  };
}

type Keys = LegacyCookieSessionOptions["keys"];
type Opener = (header: string | undefined) => string | undefined;

function signed(name: string, keys: Keys): Opener {
  const signer = "sign" in keys ? keys : keygripSigner(keys);
  return (header) => {
    const checked = checkedCookie(header, name, () => signer);
    return checked !== undefined && checked.position >= 0 ? checked.value : undefined;
  };
}

function sealed(name: string, keys: Keys): Opener {
  const sealing = new Sealing(name, keys, (message) => process.emitWarning(message, { code: "SOJOURN_COMPAT" }));
  return (header) => sealing.open(header)?.value;
}

function moved(data: unknown, { userId }: LegacyOptions, end: LegacySession["end"]): LegacySession | undefined {
  if (!isData(data) || Object.keys(data).length === 0) return undefined;
  const user = userId?.(data);
  return { data, end, ...(user !== undefined && user !== null && user !== "" && { userId: String(user) }) };
}

function isData(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(value: string): unknown {
  try {
    return deserialize(value);
  } catch {
    return undefined;
  }
}

function stored(store: LegacyExpressSessionOptions["store"], id: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    store.get(
      id,
      once((error: unknown, session: unknown) => {
        if (error && Object(error).code !== "ENOENT") reject(error);
        else resolve(session);
      }),
    );
  });
}

function destroyed(store: LegacyExpressSessionOptions["store"], id: string): Promise<void> {
  return new Promise((resolve, reject) => {
    store.destroy(
      id,
      once((error) => (error ? reject(error) : resolve())),
    );
  });
}

/** Most stores look at it themselves. */
function hasExpired(cookie: unknown): boolean {
  const { expires } = Object(cookie);
  return Boolean(expires) && new Date(expires).valueOf() <= systemClock.now();
}

function end({ until }: LegacyOptions): () => boolean {
  if (until === undefined) return () => false;
  const time = new Date(until).valueOf();
  if (Number.isNaN(time)) throw new TypeError('until must be a date, such as "2027-01-01"');
  return () => systemClock.now() >= time;
}

function cleared(name: string, { cookie }: LegacyOptions): string {
  return serializeCookie(name, "", { path: "/", ...cookie, httpOnly: true, expires: new Date(0) });
}

function toList(secret: LegacyExpressSessionOptions["secret"]): readonly SignatureKey[] {
  if (isList(secret)) return secret;
  return secret ? [secret] : [];
}

function isList(secret: LegacyExpressSessionOptions["secret"]): secret is readonly SignatureKey[] {
  return Array.isArray(secret);
}
