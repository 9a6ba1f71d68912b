/** What the indexed stores share for `list` and `prune`: order, cursor and limits. */

/**
 * A page begins after this session. A user's or link's sessions are sorted by last use, newest
 * first, then by handle. Everyone's are in the order of the store's keys.
 */
export interface PageStart {
  touchedAt: number;
  handle: string;
}

function byNewestUse(a: PageStart, b: PageStart): number {
  return b.touchedAt - a.touchedAt || (a.handle < b.handle ? -1 : a.handle > b.handle ? 1 : 0);
}

/** Selects the first few entries of a list from many, without sorting all of them. */
export class Newest<T extends PageStart> {
  readonly places: T[] = [];
  readonly #room: number;
  readonly #start: PageStart | undefined;

  /** @param start entries up to this one are ignored */
  constructor(room: number, start: PageStart | undefined) {
    this.#room = room;
    this.#start = start;
  }

  offer(place: T): void {
    if (this.#start !== undefined && byNewestUse(this.#start, place) >= 0) return;
    const { places } = this;
    const last = places.at(-1);
    if (last !== undefined && places.length === this.#room && byNewestUse(last, place) < 0) return;
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = places[middle];
      if (other !== undefined && byNewestUse(other, place) < 0) low = middle + 1;
      else high = middle;
    }
    places.splice(low, 0, place);
    if (places.length > this.#room) places.pop();
  }
}

/** Makes a page of sessions. `found` holds one session more if there is a next page. */
export function pageOf<T extends PageStart>(found: T[], limit: number): { sessions: T[]; cursor?: string } {
  return { sessions: found.slice(0, limit), ...nextPage(found, limit) };
}

/** Returns the next page's cursor, if there is one. It names this page's last session. */
export function nextPage(found: readonly PageStart[], limit: number): { cursor?: string } {
  const last = found[limit - 1];
  return found.length <= limit || last === undefined ? {} : { cursor: encodeCursor(last) };
}

function encodeCursor({ touchedAt, handle }: PageStart): string {
  return Buffer.from(JSON.stringify([touchedAt, handle])).toString("base64url");
}

/** Returns where a page begins. Without a cursor, it is before every session. */
export function startOf(cursor: string | undefined): PageStart {
  return decodeCursor(cursor) ?? { touchedAt: Number.MAX_SAFE_INTEGER, handle: "" };
}

/** @throws TypeError for text that no `list` returned */
export function decodeCursor(cursor: string | undefined): PageStart | undefined {
  if (cursor === undefined) return undefined;
  try {
    const decoded: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(decoded) && decoded.length === 2) {
      const [touchedAt, handle]: unknown[] = decoded;
      if (typeof touchedAt === "number" && typeof handle === "string") return { touchedAt, handle };
    }
  } catch {
    // The error below doesn't repeat the text, which comes from outside.
  }
  throw new TypeError("list: the cursor must be one that an earlier list returned");
}

/** @throws TypeError for anything but a whole number from 1 */
export function checkedLimit(limit: number, of: "list" | "prune"): number {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new TypeError(`${of}: the limit must be a whole number from 1`);
  return limit;
}
