/**
 * Lets `atOnce` pieces of work run at a time and `waiting` more wait for their turn, first come, first served.
 * Whoever comes on top of that is turned away at once with an error of status 503: better than to wait for minutes.
 */
export function turnstile({ atOnce, waiting }: { atOnce: number; waiting: number }) {
  let running = 0;
  const queue: (() => void)[] = [];

  return async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running < atOnce) running++;
    else if (queue.length < waiting) await new Promise<void>((resolve) => queue.push(resolve));
    else throw Object.assign(new Error("Too much to do at once"), { status: 503 });
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next)
        next(); // takes this one's place, so `running` stays as it is
      else running--;
    }
  };
}
