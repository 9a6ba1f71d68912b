/**
 * Half a surrogate pair is refused: UTF-8 has no bytes for it, so two users whose IDs differ in nothing else would share
 * one hash.
 *
 * @param call the call that was given the ID, for the error
 * @throws TypeError for what names no user
 */
export function checkedUserId(userId: unknown, call: string): string {
  if (typeof userId !== "string" || userId === "") {
    throw new TypeError(`${call}: userId must be a non-empty string; use String(user.id) for a number`);
  }
  if (!userId.isWellFormed())
    throw new TypeError(`${call}: userId must be well-formed: it holds half a surrogate pair`);
  return userId;
}
