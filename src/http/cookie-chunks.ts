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

/** The token that the parts of a Cookie header make, if they are all there. */
export function joinChunks(header: string | undefined, name: string): string | undefined {
  const [, total, start] = FIRST.exec(readCookies(header, `${name}.0`)[0] ?? "") ?? [];
  if (total === undefined || start === undefined) return undefined;
  let token = start;
  for (let number = 1; number < Number(total); number += 1) {
    const [part] = readCookies(header, `${name}.${number}`);
    if (part === undefined) return undefined;
    token += part;
  }
  return token;
}
