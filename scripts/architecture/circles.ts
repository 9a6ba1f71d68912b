/** Circles among files that import each other, types included: two files in a circle are one file with a seam. */
export function findCircles(
  graph: ReadonlyMap<string, readonly { target: string; line: number }[]>,
): { path: string[]; line: number }[] {
  const circles: { path: string[]; line: number }[] = [];
  const done = new Set<string>();
  const path: string[] = [];

  const visit = (file: string): void => {
    path.push(file);
    for (const { target, line } of graph.get(file) ?? []) {
      const start = path.indexOf(target);
      // The edge that closes the circle is the last one, so the report begins with the file that holds it.
      if (start >= 0) circles.push({ path: [file, ...path.slice(start)], line });
      else if (!done.has(target)) visit(target);
    }
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) if (!done.has(file)) visit(file);
  return circles;
}
