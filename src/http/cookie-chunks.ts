import { readCookies } from "./cookies.ts";

/**
 * A token that is longer than one cookie, in several: `name.0` holds `total.` and the first part, `name.1` the next. What joins them is
 * the token's own seal, which covers the whole: a part that is missing, exchanged or of an older answer makes it none.
 */
const MOST = 3;
/** A browser keeps a cookie whose name and value are 4096 bytes together (RFC 6265bis 5.6). */
const COOKIE_BYTES = 4_096;
const FIRST = /^([23])\.([A-Za-z0-9_.-]+)$/;
const OVERHEAD = ".0".length;
const TOTAL = "3.".length;

/** How many characters of a token fit. */
export function cookieRoom(name: string, chunks: number): number {
  if (chunks === 1) return COOKIE_BYTES - name.length;
  return chunks * (COOKIE_BYTES - name.length - OVERHEAD) - TOTAL;
}

/** The names that parts of a token may have. */
export function chunkNames(name: string): string[] {
  return Array.from({ length: MOST }, (_, number) => `${name}.${number}`);
}

/** A token as the cookies that it travels in. */
export function toCookies(name: string, token: string): { name: string; value: string }[] {
  if (token.length <= cookieRoom(name, 1)) return [{ name, value: token }];
  const size = COOKIE_BYTES - name.length - OVERHEAD;
  const total = Math.ceil((token.length + TOTAL) / size);
  const text = `${total}.${token}`;
  return Array.from({ length: total }, (_, number) => ({
    name: `${name}.${number}`,
    value: text.slice(number * size, (number + 1) * size),
  }));
}

/** More than honest applications beside each other give: three parts, each of up to four of them. */
const MOST_JOINED = 64;

/**
 * The tokens that the parts in a Cookie header may make. Applications of other paths or domains may have cookies of the same names, so every
 * combination is one; only the seal tells which was made by whom. All parts but the last are full, so that little but parts is combined.
 */
export function joinChunks(header: string | undefined, name: string): string[] {
  const size = COOKIE_BYTES - name.length - OVERHEAD;
  const tokens: string[] = [];
  for (const first of readCookies(header, `${name}.0`)) {
    const [, total, start] = FIRST.exec(first) ?? [];
    if (total === undefined || start === undefined || first.length !== size) continue;
    let joined = [start];
    for (let number = 1; number < Number(total); number += 1) {
      const isLast = number === Number(total) - 1;
      const parts = readCookies(header, `${name}.${number}`).filter((part) => isLast || part.length === size);
      joined = joined.flatMap((text) => parts.map((part) => text + part));
    }
    tokens.push(...joined);
  }
  return tokens.slice(0, MOST_JOINED);
}
