/**
 * Texts as bytes, one a character where that is enough, two where not. Any text comes back as it was, halves of surrogate pairs
 * too, which UTF-8 would lose.
 */

/** V8 does not even look at a text that it holds one byte a character. */
const WIDE = /[\u0100-\uffff]/;

/** Whether a text takes two bytes a character. */
export function isWide(text: string): boolean {
  return WIDE.test(text);
}

/** How many bytes a text counts for. */
export function bytesOf(text: string): number {
  return isWide(text) ? 2 * text.length : text.length;
}

export function readText(bytes: Buffer, wide: boolean, from: number, to: number): string {
  return bytes.toString(wide ? "utf16le" : "latin1", from, to);
}

export function writeText(bytes: Buffer, wide: boolean, text: string, at: number): void {
  bytes.write(text, at, wide ? "utf16le" : "latin1");
}
