import assert from "node:assert/strict";
import { existsSync, globSync, statSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";
import { test } from "node:test";
import { root } from "../../scripts/package.ts";
import { slug } from "../../site/.vitepress/slug.ts";
import { pages, read } from "./pages.ts";

/** Pages of the repository that link to each other, besides those whose programs are run. */
const others = globSync(["*.md", "{bench,examples,packages,site,test}/**/*.md"], {
  cwd: root,
  exclude: ["**/node_modules/**"],
}).map((page) => page.split(sep).join("/"));
const all = [...new Set([...pages, ...others])];

/** As GitHub makes them from headings. */
function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>();
  const prose = text.replaceAll(/^( *)```.*?^\1```$/gms, "");
  return [...prose.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) => {
    const anchor = slug(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1"));
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** The targets within the repository that a page links to, or shows. */
function linksOf(text: string): string[] {
  const prose = text.replaceAll(/^( *)```.*?^\1```$/gms, "").replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)$/gm)]
    .map(([, inline, reference]) => inline ?? reference ?? "")
    .filter((target) => !/^[a-z]+:/.test(target));
}

for (const page of all) {
  test(`every link of ${page} leads somewhere`, () => {
    const text = read(page);
    for (const link of linksOf(text)) {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : normalize(join(dirname(page), path));
      assert.ok(existsSync(join(root, target)), `${link}: no such file`);
      if (anchor === undefined || statSync(join(root, target)).isDirectory()) continue;
      assert.ok(anchorsOf(read(target)).includes(anchor), `${link}: no such heading in ${target}`);
    }
  });
}

test("anchors are made as GitHub makes them", () => {
  assert.deepEqual(anchorsOf("# What a store's `get` does\n## Step 1: to [x](y)\n## STORE_FULL\n## A\n## A\n"), [
    "what-a-stores-get-does",
    "step-1-to-x",
    "store_full",
    "a",
    "a-1",
  ]);
});

test("every page of docs is reached from README.md", () => {
  const reached = new Set(["README.md"]);
  for (const page of reached) {
    for (const link of linksOf(read(page))) {
      const target = normalize(join(dirname(page), link.split("#")[0] ?? ""));
      if (pages.includes(target)) reached.add(target);
    }
  }
  assert.deepEqual(
    pages.filter((page) => !reached.has(page)),
    [],
  );
});
