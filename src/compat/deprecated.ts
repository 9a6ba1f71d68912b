const warned = new Set<string>();

/** Warns once of each deprecated use. Silenced as in the originals: `NO_DEPRECATION=express-session`, or `*`, or `--no-deprecation`. */
export function deprecated(library: string, message: string): void {
  const text = `${library}: ${message}`;
  if (warned.has(text)) return;
  warned.add(text);
  const silenced = (process.env["NO_DEPRECATION"] ?? "").split(/[ ,]+/);
  if (silenced.includes(library) || silenced.includes("*")) return;
  process.emitWarning(text, { type: "DeprecationWarning", code: "SOJOURN_COMPAT" });
}
