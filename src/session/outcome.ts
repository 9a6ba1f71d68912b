/** Whether a token can still reach the client, or why not. */
export type Delivery = "possible" | "insecure" | "headers-sent";

/** What the response must do about the token: nothing, send it, or have the client drop it. */
export type CookieAction = "none" | "set" | "clear";

/**
 * The result of a commit. `refused`: there was something to store, but its token can't reach the
 * client.
 */
export interface Commit {
  readonly outcome: "done" | "gone" | "refused" | "conflict";
  readonly cookie: CookieAction;
}

export const DONE: Commit = { outcome: "done", cookie: "none" };
export const DONE_SET: Commit = { outcome: "done", cookie: "set" };
export const DONE_CLEAR: Commit = { outcome: "done", cookie: "clear" };
export const GONE: Commit = { outcome: "gone", cookie: "none" };
export const REFUSED: Commit = { outcome: "refused", cookie: "none" };
export const REFUSED_CLEAR: Commit = { outcome: "refused", cookie: "clear" };
export const CONFLICT: Commit = { outcome: "conflict", cookie: "none" };
