import type { SessionRecord } from "../contract/store.ts";
import type { Changes, Content } from "./content.ts";
import type { Room } from "./policy.ts";

/** A login or regeneration that the next commit brings to the store. */
export interface Rotation {
  readonly kind: "login" | "regenerate" | "confirm";
  /** The stored session that the new one replaces; `undefined` if nothing was stored. */
  readonly previous: { readonly handle: string; readonly secret: string; readonly record: SessionRecord } | undefined;
  /** The content of the old session when the rotation began. */
  readonly content: Content;
  /** What the request had changed by then. */
  readonly changes: Changes;
  /** Returns what the new session takes over. */
  carry(content: Content): Content;
  /**
   * Whether it is the same session under another name: a late logout of the old one then ends it.
   */
  readonly isSame: boolean;
  /** What a login may take of its user's limit; `undefined` if there is none. */
  readonly room?: Room | undefined;
}
