/**
 * Checks a user's ID. Rejects half a surrogate pair, which UTF-8 can't hold: two users who differ
 * only there would share one hash. Rejects a NUL character, where some databases cut a text off.
 * @param call the call that received the ID, for the error
 * @throws TypeError for an ID that names no user
 */
export function checkedUserId(userId: unknown, call: string): string {
  if (typeof userId !== "string" || userId === "") {
    throw new TypeError(`${call}: userId must be a non-empty string; use String(user.id) for a number`);
  }
  if (!userId.isWellFormed())
    throw new TypeError(`${call}: userId must be well-formed, but it holds half a surrogate pair`);
  if (userId.includes("\0")) throw new TypeError(`${call}: userId must not contain a NUL character`);
  return userId;
}
