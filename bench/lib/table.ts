/** A plain table: the first column to the left, the others to the right. */
export interface Table {
  title: string;
  head: readonly string[];
  rows: readonly (readonly string[])[];
  notes?: readonly string[];
}

export function formatTable({ title, head, rows, notes = [] }: Table): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: readonly string[]) =>
    widths
      .map((width, column) =>
        column === 0 ? (cells[column] ?? "").padEnd(width) : (cells[column] ?? "").padStart(width),
      )
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [title, "", line(head), rule, ...rows.map(line), ...notes.map((note) => `  ${note}`), ""].join("\n");
}

/** Three digits that mean something: 0.52, 5.1, 48, 1210. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 20) return value.toFixed(0);
  return size >= 2 ? value.toFixed(1) : value.toFixed(2);
}
