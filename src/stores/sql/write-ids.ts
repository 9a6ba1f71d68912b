import { randomBytes } from "node:crypto";

/** How many writes one process counts before it begins again. */
const WRAP = 2 ** 21;

/**
 * Numbers that tell one write from any other, here or in another process, within any time that matters. A column keeps the one of the last
 * write, so that a second try knows its own work again: equal content does not tell, since two requests that count from 5 to 6 both write 6.
 */
export function writeIds(): () => number {
  // 32 bits of chance above 21 of counting: whole numbers up to 2^53, which doubles and signed 64-bit columns hold.
  const base = randomBytes(4).readUInt32BE() * WRAP;
  let count = 0;
  return () => {
    count = (count + 1) % WRAP;
    return base + count;
  };
}
