import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type DefaultTheme, defineConfig, type MarkdownRenderer } from "vitepress";
import { docs, known, sidebar } from "./pages.ts";
import { slug } from "./slug.ts";

type Token = ReturnType<MarkdownRenderer["parse"]>[number];

const unknown = globSync("**/*.md", { cwd: docs }).filter(
  (page) => !page.startsWith("reference/") && !known.includes(page.replaceAll("\\", "/")),
);
if (unknown.length > 0) throw new Error(`.vitepress/pages.ts does not place ${unknown.join(", ")}`);

const contents = join(docs, "reference/typedoc-sidebar.json");
type Item = DefaultTheme.SidebarItem;
const modules: Item[] = existsSync(contents) ? JSON.parse(readFileSync(contents, "utf8")) : [];

/**
 * Each entry point with what it exports, without the folds that TypeDoc makes of classes, interfaces and so on. TypeDoc
 * puts `sojourn/redis` into `sojourn`, as `redis`.
 */
function entryPoints(items: readonly Item[], above = ""): Item[] {
  return items.flatMap(({ text, link, items = [] }) => {
    const name = `${above}${text}`;
    const folds = items.filter((item) => item.link === undefined);
    const exported = folds.flatMap(({ items = [] }) => items.map(({ text, link }) => ({ text, link })));
    const below = items.filter((item) => item.link !== undefined);
    return [{ text: name, link, collapsed: true, items: exported }, ...entryPoints(below, `${name}/`)];
  });
}

/** The corner of a table whose lines have names is no header: it says nothing. */
function emptyHeaders(tokens: readonly Token[]): void {
  for (const [index, token] of tokens.entries()) {
    const [content, close] = [tokens[index + 1], tokens[index + 2]];
    if (token.type !== "th_open" || content?.content !== "" || close === undefined) continue;
    token.tag = "td";
    close.tag = "td";
  }
}

/** The site has no page for a file of the repository outside of `docs/`: its name stays, the link goes. */
function unlink(tokens: readonly { children: Token[] | null }[], page: string): void {
  for (const { children } of tokens) {
    let outside = false;
    for (const token of children ?? []) {
      if (token.type === "link_open") {
        const href = token.attrGet("href") ?? "";
        outside = !/^(?:[a-z]+:|[#/])/.test(href) && relative(docs, join(docs, dirname(page), href)).startsWith("..");
      }
      if (outside && /^link_(?:open|close)$/.test(token.type)) {
        token.tag = "span";
        token.attrs = null;
      }
    }
  }
}

/** Guides come first in the search, before the reference and the pages for those who check or change the code. */
function boostDocument(id: string): number {
  return /^\/(?:reference|SECURITY|ARCHITECTURE|DECISIONS)\b/.test(id) ? 0.3 : 1;
}

export default defineConfig({
  title: "Sojourn",
  description: "Sessions for Express: no lost updates, no revived logins, no early answers.",
  lang: "en-GB",
  srcDir: "../docs",
  cleanUrls: true,
  head: [["link", { rel: "icon", type: "image/svg+xml", href: "/icon.svg" }]],
  markdown: {
    anchor: { slugify: slug },
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    config(md) {
      const fence = md.renderer.rules.fence;
      md.renderer.rules.fence = (tokens, index, options, env, self) => {
        const token = tokens[index];
        if (token?.info.trim() === "mermaid") return `<Diagram source="${encodeURIComponent(token.content)}" />`;
        return fence?.(tokens, index, options, env, self) ?? "";
      };
      const image = md.renderer.rules.image;
      md.renderer.rules.image = (tokens, index, options, env, self) => {
        const picture = image?.(tokens, index, options, env, self) ?? "";
        const token = tokens[index];
        if (token?.attrGet("src")?.endsWith(".svg") !== true) return picture;
        // A plot is as large as its text needs, and scrolls.
        return `<span class="plot" role="group" aria-label="${md.utils.escapeHtml(token.content)}" tabindex="0">${picture}</span>`;
      };
      md.core.ruler.push("headers", ({ tokens }) => emptyHeaders(tokens));
      // `{{ … }}` in code is code, and not Vue's.
      const inline = md.renderer.rules.code_inline;
      md.renderer.rules.code_inline = (tokens, index, options, env, self) =>
        (inline?.(tokens, index, options, env, self) ?? "").replace("<code", "<code v-pre");
      md.core.ruler.push("repository", (state) => unlink(state.tokens, state.env.relativePath));
    },
  },
  // The page itself is plain Markdown, which reads well in the repository, too.
  transformPageData(page) {
    if (page.relativePath !== "index.md") return;
    page.frontmatter = {
      layout: "home",
      hero: {
        name: "Sojourn",
        text: "Sessions for Express",
        tagline: "No lost updates, no revived logins, no answer before the save.",
        image: {
          src: "/account.png",
          alt: "The demo's account page: the user's devices, each with a button to sign it out",
        },
        actions: [
          { theme: "brand", text: "A login in five minutes", link: "/start" },
          { theme: "alt", text: "From express-session", link: "/migrate/express-session" },
        ],
      },
    };
  },
  // The theme's home page has no landmark for what it is about.
  transformHtml: (code) => code.replace('<div class="VPHome"', '<div role="main" class="VPHome"'),
  themeConfig: {
    logo: "/icon.svg",
    outline: { level: [2, 3] },
    search: {
      provider: "local",
      options: { miniSearch: { searchOptions: { boostDocument } } },
    },
    nav: [
      { text: "Start", link: "/start" },
      { text: "Migrate", link: "/migrate/express-session" },
      { text: "In production", link: "/production" },
      { text: "Reference", link: "/reference/" },
    ],
    sidebar: { "/reference/": entryPoints(modules), "/": sidebar },
  },
  // The pages lie beside this folder, where nothing else would find what they import once they are components.
  vite: {
    resolve: { alias: [{ find: /^vue(?=$|\/)/, replacement: join(import.meta.dirname, "../node_modules/vue") }] },
    build: { chunkSizeWarningLimit: 3000 },
  },
});
