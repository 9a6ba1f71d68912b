import type { IncomingMessage } from "node:http";
import { type SignatureKey, unsignValue } from "../../crypto/signature.ts";
import { readCookies } from "../../http/cookies.ts";
import { deprecated } from "../deprecated.ts";
import type { Session, SessionStoreLike } from "./session.ts";

/** A request as the middleware finds and leaves it. */
export interface SessionRequest extends IncomingMessage {
  session?: Session | null;
  sessionID?: string | undefined;
  sessionStore?: SessionStoreLike;
  /** Put there by cookie-parser. */
  secret?: SignatureKey;
  cookies?: Readonly<Record<string, unknown>>;
  signedCookies?: Readonly<Record<string, unknown>>;
  /** Express's own judgement. */
  secure?: boolean;
  originalUrl?: string;
}

const SIGNED = "s:";

/**
 * The session IDs that a request presents with a good signature, in the order of their cookies. Browsers send several cookies of one
 * name if they were set for different paths or domains.
 */
export function presentedIds(req: SessionRequest, name: string, secrets: readonly SignatureKey[]): string[] {
  const ids: string[] = [];
  for (const raw of readCookies(req.headers.cookie, name)) {
    const id = idOf(decoded(raw), secrets);
    if (id && !ids.includes(id)) ids.push(id);
  }
  if (ids.length > 0) return ids;
  const id = idFromCookieParser(req, name, secrets);
  if (!id) return ids;
  deprecated("express-session", "cookie should be available in req.headers.cookie");
  return [id];
}

/** The ID in a cookie's decoded value; `undefined` without a good signature. */
export function idOf(value: unknown, secrets: readonly SignatureKey[]): string | undefined {
  if (typeof value !== "string" || !value.startsWith(SIGNED)) return undefined;
  return unsignValue(value.slice(SIGNED.length), secrets);
}

function idFromCookieParser(req: SessionRequest, name: string, secrets: readonly SignatureKey[]): string | undefined {
  const verified = req.signedCookies?.[name];
  if (typeof verified === "string" && verified !== "") return verified;
  return idOf(req.cookies?.[name], secrets);
}

/** A cookie's value without quotes and percent-encoding; as it came where that is broken. */
export function decoded(raw: string): string {
  const value = raw.length > 1 && raw.startsWith('"') && raw.endsWith('"') ? raw.slice(1, -1) : raw;
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/**
 * Whether a request came over TLS: by its own socket, or as far as `proxy` lets others say so. With `true` the first value of
 * `X-Forwarded-Proto` counts, as in express-session; `undefined` leaves it to Express.
 */
export function isSecureRequest(req: SessionRequest, proxy: boolean | undefined): boolean {
  if (isEncrypted(req.socket) || isEncrypted(req.connection)) return true;
  if (proxy === false) return false;
  if (proxy !== true) return req.secure === true;
  const [first = ""] = [req.headers["x-forwarded-proto"] ?? ""].flat().join(",").split(",");
  return first.trim().toLowerCase() === "https";
}

function isEncrypted(socket: object | null | undefined): boolean {
  return typeof socket === "object" && socket !== null && "encrypted" in socket && Boolean(socket.encrypted);
}
