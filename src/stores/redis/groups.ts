import type { SessionQuery } from "../../contract/store.ts";
import { checkedQuery } from "../query.ts";
import type { Keys } from "./keys.ts";
import { HEAD_BYTES, label, linkOf, ownerOf } from "./value.ts";

/** A user or a link, whose sessions one index lists. */
export interface Group {
  readonly kind: "user" | "link";
  /** The key of the index. */
  readonly index: string;
  /** The name as values have it. */
  readonly label: string;
}

/** Bytes of a value that hold its link, unless the user ID is very long. */
const LINK_BYTES = 1_024;

/** Returns `undefined` for everyone's sessions. */
export function groupOf(keys: Keys, query: SessionQuery): Group | undefined {
  const { userId, link } = checkedQuery(query);
  if (userId !== undefined) return { kind: "user", index: keys.user(userId), label: label(userId) };
  return link === undefined ? undefined : { kind: "link", index: keys.link(link), label: label(link) };
}

/** Returns how many bytes of a value tell whether it belongs to a group. Links may need all. */
export function startBytes({ kind, label: { length } }: Group): number {
  return kind === "user" ? HEAD_BYTES + length - 4 : LINK_BYTES;
}

/** Returns whether a session belongs to a group; `undefined` if that takes more of its value. */
export function isIn({ kind, label: mine }: Group, start: string): boolean | undefined {
  if (kind === "user") return ownerOf(start) === mine;
  const link = linkOf(start);
  return link === undefined || link.length >= mine.length || start.length < LINK_BYTES ? link === mine : undefined;
}
