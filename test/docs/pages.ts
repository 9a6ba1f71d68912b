import { globSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { root } from "../../scripts/package.ts";

/** A fenced block of a page. */
export interface Block {
  page: string;
  line: number;
  language: string;
  code: string;
  /** `<!-- given: … -->` above it: the file of `given/` that it is put into. */
  given: string | undefined;
  /** `<!-- not run: … -->` above it: why. */
  notRun: string | undefined;
  /** What it is called by the others of its page: a comment in its first line. */
  name: string | undefined;
}

/** All pages whose programs are run, as paths from the root. */
export const pages: readonly string[] = ["README.md", ...globSync("docs/**/*.md", { cwd: root })]
  .map((page) => page.split(sep).join("/"))
  .filter((page) => !page.startsWith("docs/reference/"))
  .sort();

/** These need the libraries of `test/neighbours`, whose `guides.test.ts` runs them. */
export const beside: readonly string[] = [
  "docs/guides/graphql.md",
  "docs/guides/nestjs.md",
  "docs/guides/openid-connect.md",
  "docs/guides/serverless.md",
  "docs/guides/testing.md",
  "docs/guides/trpc.md",
  "docs/migrate/iron-session.md",
];

/**
 * Other tests run the programs of these: `test/compat/migrating.test.ts`, where they follow one another on the same sessions, and those of
 * `test/identity`.
 */
export const walked: readonly string[] = [
  "docs/guides/csrf.md",
  "docs/guides/disabled-users.md",
  "docs/guides/key-rotation.md",
  "docs/guides/schemas-and-migrations.md",
  "docs/guides/session-end-warning.md",
  "docs/guides/single-sign-on.md",
  "docs/migrate/cookie-session.md",
  "docs/migrate/express-session.md",
];

export const read = (page: string): string => readFileSync(join(root, page), "utf8");

const FENCE = /^( *)```([\w-]*)[^\n]*\n(.*?)^\1```$/gms;

export function blocksOf(page: string, text: string = read(page)): Block[] {
  return [...text.matchAll(FENCE)].map(({ 1: indent = "", 2: language = "", 3: body = "", index }) => {
    const above = text.slice(0, index).trimEnd();
    const [, kind, note] = /<!-- (given|not run): ([^>]+?) -->$/.exec(above) ?? [];
    const code = indent === "" ? body : body.replaceAll(new RegExp(`^${indent}`, "gm"), "");
    return {
      page,
      line: above.split("\n").length + 1,
      language,
      code,
      given: kind === "given" ? note : undefined,
      notRun: kind === "not run" ? note : undefined,
      name: /^\/\/ ([\w.-]+\.c?[jt]s)\n/.exec(code)?.[1],
    };
  });
}

export const isCode = ({ language }: Block): boolean => /^(js|ts)$/.test(language);
