/** What every indexed store shares about `list` and `prune`: the cursor and the limits. */

/** The place after which a page begins: sessions are listed newest use first, and by handle where that is equal. */
export interface PageStart {
  touchedAt: number;
  handle: string;
}

/** A cursor names the last session of a page. It holds nothing that the page did not show. */
export function encodeCursor(last: PageStart): string {
  return Buffer.from(JSON.stringify([last.touchedAt, last.handle])).toString("base64url");
}

/** @throws TypeError for text that no `list` returned. */
export function decodeCursor(cursor: string | undefined): PageStart | undefined {
  if (cursor === undefined) return undefined;
  try {
    const decoded: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(decoded) && decoded.length === 2) {
      const [touchedAt, handle]: unknown[] = decoded;
      if (typeof touchedAt === "number" && typeof handle === "string") return { touchedAt, handle };
    }
  } catch {
    // Reported below, without the text: it came from outside.
  }
  throw new TypeError("list: the cursor must be one that an earlier list returned");
}

/** @throws TypeError for anything but a whole number from 1. */
export function checkedLimit(limit: number, of: "list" | "prune"): number {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new TypeError(`${of}: the limit must be a whole number from 1`);
  return limit;
}
