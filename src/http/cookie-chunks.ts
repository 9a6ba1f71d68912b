import { readCookies } from "./cookies.ts";

/**
 * Splits a token that is too long for one cookie. `name.0` holds `total.` and the first part,
 * `name.1` the next. The token's seal covers the whole, so a part that is missing, exchanged or
 * from an older response invalidates it.
 */
const MOST = 3;
/** Browsers keep a cookie if name and value together have at most 4096 bytes (RFC 6265bis 5.6). */
const COOKIE_BYTES = 4_096;
const FIRST = /^([23])\.([A-Za-z0-9_.-]+)$/;
const OVERHEAD = ".0".length;
const TOTAL = "3.".length;

/** Returns how many characters of a token fit. */
export function cookieRoom(name: string, chunks: number): number {
  if (chunks === 1) return COOKIE_BYTES - name.length;
  return chunks * (COOKIE_BYTES - name.length - OVERHEAD) - TOTAL;
}

/** Returns the names that parts of a token may have. */
export function chunkNames(name: string): string[] {
  return Array.from({ length: MOST }, (_, number) => `${name}.${number}`);
}

/** Returns the cookies that carry a token. */
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

/** More than honest applications need: three parts, each from up to four applications. */
const MOST_JOINED = 64;

/**
 * Returns every token that the parts in a Cookie header may form. Applications on other paths or
 * domains may use the same names, so it tries every combination; the seal decides. Every part but
 * the last must be full, which limits the combinations.
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
