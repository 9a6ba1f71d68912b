import { readFileSync, writeFileSync } from "node:fs";

/**
 * Puts text into a page, between the marks of this name: `<!-- bench: cpu -->` and `<!-- /bench: cpu -->`. So every number there was printed by a
 * run, and the next one replaces it.
 *
 * @throws Error where the page has no such marks
 */
export function putIntoPage(path: string, name: string, text: string): void {
  const page = readFileSync(path, "utf8");
  const [opening, closing] = [`<!-- bench: ${name} -->`, `<!-- /bench: ${name} -->`];
  const [start, end] = [page.indexOf(opening), page.indexOf(closing)];
  if (start < 0 || end < start) throw new Error(`${path} has no place for ${name}: ${opening} … ${closing}`);
  const before = page.slice(0, start + opening.length);
  writeFileSync(path, `${before}\n\`\`\`\n${text.trim()}\n\`\`\`\n${page.slice(end)}`);
}
