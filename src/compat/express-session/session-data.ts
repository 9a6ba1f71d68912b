import type { Cookie } from "./cookie.ts";

/**
 * Declares the data of all sessions, and so the type of `req.session`. Add your properties once, for the name that you import.
 *
 * @example
 * import "sojourn/express-session";
 *
 * declare module "sojourn/express-session" {
 *   interface SessionData {
 *     user: string;
 *   }
 * }
 */
export interface SessionData {
  /** The session's cookie, and so the session's end. */
  cookie: Cookie;
}
