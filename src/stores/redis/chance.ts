import { MARK_LENGTH } from "./value.ts";

/**
 * The only place of this store that draws random numbers: for pauses, and for marks that tell one attempt to write from
 * another. Neither is a name or a secret, and nobody gains by guessing them.
 */

/** Longer after each failure, up to two seconds, and never the same for two processes. The first time at once. */
export function reconnectPauseMs(failures: number): number {
  return failures === 0 ? 0 : Math.round(Math.min(2_000, 50 * 2 ** failures) * (0.5 + Math.random() / 2));
}

const COUNTER_LENGTH = 3;
const WRAP = 36 ** COUNTER_LENGTH;

/** Each call gives another mark than any other call, here or in another process, within any time that matters. */
export function marks(): () => string {
  const base = Math.random()
    .toString(36)
    .slice(2)
    .padEnd(MARK_LENGTH, "0")
    .slice(0, MARK_LENGTH - COUNTER_LENGTH);
  let counter = 0;
  return () => {
    counter = (counter + 1) % WRAP;
    return base + counter.toString(36).padStart(COUNTER_LENGTH, "0");
  };
}
