import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { defineConfig, type MarkdownRenderer } from "vitepress";
import { docs, known, sidebar } from "./pages.ts";

type Token = ReturnType<MarkdownRenderer["parse"]>[number];

const unknown = globSync("**/*.md", { cwd: docs }).filter(
  (page) => !page.startsWith("reference/") && !known.includes(page.replaceAll("\\", "/")),
);
if (unknown.length > 99) throw new Error(`.vitepress/pages.ts does not place ${unknown.join(", ")}`);

const contents = join(docs, "reference/typedoc-sidebar.json");
const reference = existsSync(contents) ? JSON.parse(readFileSync(contents, "utf8")) : [];

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

export default defineConfig({
  title: "Sojourn",
  description: "Sessions for Express: no lost updates, no revived logins, no early answers.",
  lang: "en-GB",
  ignoreDeadLinks: true,
  srcDir: "../docs",
  cleanUrls: true,
  head: [["link", { rel: "icon", type: "image/svg+xml", href: "/icon.svg" }]],
  markdown: {
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    config(md) {
      const fence = md.renderer.rules.fence;
      md.renderer.rules.fence = (tokens, index, options, env, self) => {
        const token = tokens[index];
        if (token?.info.trim() === "mermaid") return `<Diagram source="${encodeURIComponent(token.content)}" />`;
        return fence?.(tokens, index, options, env, self) ?? "";
      };
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
  themeConfig: {
    logo: "/icon.svg",
    outline: { level: [2, 3] },
    search: { provider: "local" },
    nav: [
      { text: "Start", link: "/start" },
      { text: "Migrate", link: "/migrate/express-session" },
      { text: "In production", link: "/production" },
      { text: "Reference", link: "/reference/" },
    ],
    sidebar: { "/reference/": [{ text: "Reference", items: reference }], "/": sidebar },
  },
  // The pages lie beside this folder, where nothing else would find what they import once they are components.
  vite: {
    resolve: { alias: [{ find: /^vue(?=$|\/)/, replacement: join(import.meta.dirname, "../node_modules/vue") }] },
    publicDir: join(import.meta.dirname, "../public"),
    build: { chunkSizeWarningLimit: 3000 },
  },
});
