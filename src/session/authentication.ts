import { types } from "node:util";
import type { SessionMeta } from "./meta.ts";

/** How and when the user of a session authenticated, and what the application noted about it. */

/**
 * Is the registered name of a way to authenticate (RFC 8176, section 2), such as `"pwd"` for a
 * password, `"otp"` for a one-time password, `"hwk"` for a key in hardware, and `"mfa"` for several
 * factors.
 */
export type AuthenticationMethod =
  | "face"
  | "fpt"
  | "geo"
  | "hwk"
  | "iris"
  | "kba"
  | "mca"
  | "mfa"
  | "otp"
  | "pin"
  | "pop"
  | "pwd"
  | "rba"
  | "retina"
  | "sc"
  | "sms"
  | "swk"
  | "tel"
  | "user"
  | "vbm"
  | "wia";

const METHODS: Readonly<Record<AuthenticationMethod, true>> = {
  face: true,
  fpt: true,
  geo: true,
  hwk: true,
  iris: true,
  kba: true,
  mca: true,
  mfa: true,
  otp: true,
  pin: true,
  pop: true,
  pwd: true,
  rba: true,
  retina: true,
  sc: true,
  sms: true,
  swk: true,
  tel: true,
  user: true,
  vbm: true,
  wia: true,
};

/** The longest link, in bytes of UTF-8. */
const LONGEST_LINK = 255;

/** What an application may say about a login. */
export interface LoginFacts {
  methods?: readonly AuthenticationMethod[] | undefined;
  notAfter?: Date | number | undefined;
  stamp?: string | undefined;
}

const NO_METHODS: readonly string[] = Object.freeze([]);

/** Returns when a session's user authenticated; `null` if nobody did. Epoch milliseconds. */
export function authenticatedAt(
  { userId, createdAt }: { readonly userId: string | null; readonly createdAt: number },
  meta: SessionMeta,
): number | null {
  // Whoever acts in the user's place knows none of the user's secrets.
  if (userId === null || meta.actor !== undefined) return null;
  // A user's session begins with the login. Only a confirmation comes later.
  return meta.authenticatedAt ?? createdAt;
}

/** Returns how a session's user authenticated. */
export function authenticationMethods({ methods }: SessionMeta): readonly string[] {
  return methods ?? NO_METHODS;
}

/** Returns the metadata of a login. @throws TypeError for facts that can't be */
export function loginMeta({ methods, notAfter, stamp }: LoginFacts, now: number): SessionMeta {
  const meta: SessionMeta = {};
  const names = checkedMethods(methods, "login");
  if (names.length > 0) meta.methods = names;
  if (notAfter !== undefined) meta.notAfter = checkedNotAfter(notAfter, now);
  if (stamp !== undefined) {
    if (typeof stamp !== "string") throw new TypeError("login({ stamp }): stamp must be a string");
    meta.stamp = stamp;
  }
  return meta;
}

/** @throws TypeError for anything but a list of registered names */
export function checkedMethods(methods: unknown, call: string): readonly string[] {
  if (methods === undefined) return NO_METHODS;
  if (Array.isArray(methods) && methods.every((name) => typeof name === "string" && Object.hasOwn(METHODS, name))) {
    return Object.freeze([...new Set<string>(methods)]);
  }
  const names = Object.keys(METHODS).join(", ");
  throw new TypeError(`${call}({ methods }): methods must be a list of names that RFC 8176 registers: ${names}`);
}

/** @throws TypeError for a link that no store keeps */
export function checkedLink(link: unknown, call: string): string {
  if (typeof link === "string" && link !== "" && link.isWellFormed() && Buffer.byteLength(link) <= LONGEST_LINK) {
    // Some databases cut a text off there.
    if (link.includes("\0")) throw new TypeError(`${call}: link must not contain a NUL character`);
    return link;
  }
  throw new TypeError(
    `${call}: link must be a non-empty, well-formed string of at most ${LONGEST_LINK} bytes of UTF-8; hash a longer one`,
  );
}

function checkedNotAfter(notAfter: Date | number, now: number): number {
  const ms = types.isDate(notAfter) ? notAfter.getTime() : notAfter;
  if (typeof ms === "number" && ms > now) return Math.floor(Math.min(ms, Number.MAX_SAFE_INTEGER));
  throw new TypeError(
    "login({ notAfter }): notAfter must be a Date or epoch milliseconds in the future; a JWT's exp is in seconds, so multiply it by 1000",
  );
}
