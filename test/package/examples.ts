import { createRequire } from "node:module";
import { join } from "node:path";
import { entryPoints, root } from "../../scripts/package.ts";
import { fileOf, publicEntries, ts } from "../../scripts/public-api.ts";
import type { SyntaxNode } from "../../scripts/typescript-api.ts";

/** An `@example` of the documentation, as the packed declarations have it. */
export interface Example {
  /** What it is of: `sojourn: session`, `sojourn: Sessions.list`. */
  of: string;
  code: string;
}

/** Each example once, under the first entry point that exports it. */
export function publicExamples(): Example[] {
  const seen = new Set<string>();
  const examples: Example[] = [];
  const take = (node: SyntaxNode, of: string): void => {
    for (const { pos, end } of node.jsDoc ?? []) {
      const place = `${fileOf(node)}:${pos}`;
      if (seen.has(place)) continue;
      seen.add(place);
      for (const code of examplesIn(node.getSourceFile().text.slice(pos, end))) examples.push({ of, code });
    }
    ts.forEachChild(node, (child) => take(child, child.name?.text === undefined ? of : `${of}.${child.name.text}`));
  };
  for (const { name, exports } of publicEntries()) {
    for (const [key, { statements }] of exports) for (const statement of statements) take(statement, `${name}: ${key}`);
  }
  return examples;
}

/** The examples in the text of one comment. */
export function examplesIn(comment: string): string[] {
  const lines = comment.replaceAll(/^\/\*\*|\*\/$/g, "").split("\n");
  const text = lines.map((line) => line.replace(/^\s*\* ?/, "")).join("\n");
  return text
    .split(/^@(?=[a-z])/m)
    .flatMap((tag) => (tag.startsWith("example") ? tag.slice("example".length).trim() : []));
}

/** The functions and classes that an application can import, and whether they have an example of their own. */
export function publicFunctions(): { of: string; hasExample: boolean }[] {
  const require = createRequire(import.meta.url);
  const built = new Map(entryPoints().map(({ name, built }) => [name, require(join(root, `${built}.js`))]));
  return publicEntries().flatMap(({ name, exports }) =>
    [...exports].flatMap(([key, { statements }]) => {
      const value = built.get(name)[key === "export =" ? "default" : key];
      if (typeof value !== "function") return [];
      const comments = statements.flatMap((node) =>
        (node.jsDoc ?? []).map(({ pos, end }) => node.getSourceFile().text.slice(pos, end)),
      );
      return { of: `${name}: ${key}`, hasExample: comments.some((comment) => examplesIn(comment).length > 0) };
    }),
  );
}
