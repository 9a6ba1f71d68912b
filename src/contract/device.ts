/** Describes one of a user's sessions, for a list of their devices. */
export interface Device {
  /** Names the session for `revoke`. It opens nothing. */
  handle: string;
  /** The user who is logged in; `null` before a login. */
  userId: string | null;
  /** Such as "Firefox on Linux". */
  label: string;
  /** The IP address that the session began from, if it was known. */
  ip: string | undefined;
  /** When the session began. */
  createdAt: Date;
  /** When the user last authenticated: at the login, or at a later `confirm`. */
  authenticatedAt: Date | null;
  /** How the user authenticated then: the `methods` of that call. */
  authenticationMethods: readonly string[];
  /** The login's `link`, if it had one. */
  link: string | undefined;
  /** Who acts in it in the place of its user; `null` in the user's own sessions. */
  actor: { readonly userId: string; readonly reason: string; readonly since: Date } | null;
  /** The last use that was stored, at most `touchAfter` before the real one. */
  lastUsedAt: Date;
  /** When the session ends if no request uses it again. */
  expiresAt: Date;
  /** Whether it is the session passed as `current`. */
  current: boolean;
}
