import type { SessionQuery } from "../contract/store.ts";

/**
 * Returns the query of a `list`, `count` or `deleteAll`.
 *
 * @throws TypeError for a user and a link: if the store ignored one of them, it would end sessions
 * that the caller did not mean
 */
export function checkedQuery({ userId, link }: SessionQuery): SessionQuery {
  if (userId !== undefined && link !== undefined) {
    throw new TypeError("list, count and deleteAll take a userId or a link, not both: list by one, and filter");
  }
  return { ...(userId !== undefined && { userId }), ...(link !== undefined && { link }) };
}
