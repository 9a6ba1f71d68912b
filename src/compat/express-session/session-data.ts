import type { Cookie } from "./cookie.ts";

/**
 * What an application keeps in its sessions. Declare yours once, for the name that you import:
 *
 * ```ts
 * declare module "sojourn/express-session" {
 *   interface SessionData { user: string }
 * }
 * ```
 */
export interface SessionData {
  cookie: Cookie;
}
