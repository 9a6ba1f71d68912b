/** Sent in one go: more would only wait in line, and keep others waiting. */
export const BATCH = 500;

/** Works on many, a batch at a time and all of a batch at once; the results in order. */
export async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let begin = 0; begin < items.length; begin += BATCH) {
    results.push(...(await Promise.all(items.slice(begin, begin + BATCH).map(work))));
  }
  return results;
}
