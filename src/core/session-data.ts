/**
 * What an application keeps in its sessions. Declare yours once:
 *
 * ```ts
 * declare module "sojourn" {
 *   interface SessionData { cart: string[]; views: number }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add to it.
export interface SessionData {}
