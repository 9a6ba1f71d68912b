import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "../../test/browser/chromium.ts";

/**
 * Looks at the built site in a browser: every page, on a desktop and on a phone, light and dark. `SCREENSHOTS=folder` keeps a
 * picture of each.
 */
const dist = join(import.meta.dirname, "../.vitepress/dist");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const screenshots = process.env["SCREENSHOTS"];
const LONG_MS = 15 * 60_000;

const DEVICES = {
  desktop: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, isMobile: true },
} as const;
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

/** What people type into the search, and one of the first three places that it has to show. */
const ANSWERS = {
  "log out everywhere after password change": "/guides/login-and-logout#after-a-change-of-password",
  "cookie not set nginx": "/guides/behind-a-proxy#nginx",
  "bytes session memory": "/guides/memory#memory",
  "stay logged in 30 days": "/guides/remember-me#remember-me",
  "lost after restart": "/troubleshooting#users-are-logged-out-at-random-or-after-a-restart",
  "share session between subdomains": "/troubleshooting#the-session-is-not-shared-between-subdomains",
  "session timeout inactivity": "/concepts/how-a-session-lives#timeouts-and-other-ends",
  "property does not exist on type": "/guides/typescript#what-compilers-report",
  "delete all sessions": "/guides/login-and-logout#log-out-all-users",
  csurf: "/guides/csrf#refusing-forged-requests-csrf",
  "test login supertest": "/guides/testing#testing",
  "socket.io": "/guides/websockets#socketio",
};

if (!existsSync(dist)) throw new Error("the site is not built: npm run docs:build");
const files = globSync("**/*.html", { cwd: dist, exclude: ["404.html"] }).sort();
/** Of the reference, which is generated, one module is enough to look at. */
const looked = files.filter(
  (file) => !file.startsWith("reference/") || /^reference\/(?:index|sojourn\/redis\/)/.test(file),
);
const textOf = new Map(files.map((file) => [file, readFileSync(join(dist, file), "utf8")]));

/** The file of an address without its ending, as a static host finds it. */
function fileOf(path: string): string | undefined {
  const plain = decodeURIComponent(path).replace(/^\//, "");
  return [plain, `${plain}.html`, join(plain, "index.html")].find(
    (file) => file !== "" && extname(file) !== "" && existsSync(join(dist, file)),
  );
}

const addressOf = (file: string) => `/${file.replace(/(?:^|(?<=\/))index\.html$|\.html$/, "")}`;

test("the reference has every entry point of the package", () => {
  const { exports } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  const missing = Object.keys(exports).filter(
    (path) => /^\.\/[a-z-]+$/.test(path) && !files.includes(`reference/sojourn/${path.slice(2)}/index.html`),
  );
  assert.deepEqual(missing, []);
});

test("the pages load nothing from other hosts", () => {
  for (const file of globSync("**/*.{html,css}", { cwd: dist })) {
    const text = readFileSync(join(dist, file), "utf8");
    const foreign = [
      ...text.matchAll(/<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="((?:https?:)?\/\/[^"]+)"/g),
    ];
    const styles = [...text.matchAll(/(?:url\(|@import )["']?((?:https?:)?\/\/[^"')]+)/g)];
    assert.deepEqual(
      [...foreign, ...styles].map(([, address]) => address),
      [],
      file,
    );
  }
});

test("every link and image of every page leads somewhere, anchors included", () => {
  const problems: string[] = [];
  for (const [file, text] of textOf) {
    for (const [, target = ""] of text.matchAll(/<(?:a|img)\b[^>]*?(?:href|src)="([^"]*)"/g)) {
      if (/^(?:https?:|mailto:|data:)/.test(target)) continue;
      const { pathname, hash } = new URL(target.replaceAll("&amp;", "&"), `http://site${addressOf(file)}`);
      const found = fileOf(pathname === "/" ? "/index.html" : pathname);
      if (found === undefined) problems.push(`${file}: ${target}`);
      else if (hash !== "" && !textOf.get(found)?.includes(`id="${decodeURIComponent(hash.slice(1))}"`))
        problems.push(`${file}: no ${hash} in ${found}`);
    }
  }
  assert.deepEqual([...new Set(problems)], []);
});

describe("in a browser", { timeout: LONG_MS }, () => {
  let server: Server;
  let browser: Browser;
  let origin: string;
  const foreign: string[] = [];

  before(async () => {
    server = createServer((req, res) => {
      const { pathname } = new URL(req.url ?? "/", "http://site");
      const file = fileOf(pathname === "/" ? "/index.html" : pathname);
      res.writeHead(file === undefined ? 404 : 200, { "Content-Type": TYPES[extname(file ?? "")] ?? "" });
      res.end(file === undefined ? "" : readFileSync(join(dist, file)));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://127.0.0.1:${Object(server.address()).port}`;
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
    assert.deepEqual(foreign, [], "requests to other hosts");
  });

  async function newContext(device: (typeof DEVICES)[keyof typeof DEVICES]): Promise<BrowserContext> {
    const context = await browser.newContext({ ...device, baseURL: origin, reducedMotion: "reduce" });
    context.on("request", (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) foreign.push(request.url());
    });
    return context;
  }

  /** By keyboard, once the page listens to it. */
  async function openSearch(page: Page): Promise<void> {
    await page.goto("/", { waitUntil: "networkidle" });
    await page.waitForFunction("document.querySelector('#app').__vue_app__ !== undefined");
    await page.keyboard.press("Control+k");
  }

  async function problemsOf(page: Page): Promise<string[]> {
    await page.evaluate(axe);
    const { violations } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })").then(Object);
    const found = violations.map(
      ({ id, nodes }: { id: string; nodes: { html: string }[] }) => `${id}: ${nodes[0]?.html.slice(0, 160)}`,
    );
    const tooWide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    return Number(tooWide) > 0 ? [...found, `${tooWide} pixels too wide`] : found;
  }

  for (const [name, device] of Object.entries(DEVICES)) {
    test(`every page is accessible and fits, on a ${name}`, { timeout: LONG_MS }, async () => {
      const context = await newContext(device);
      const problems: string[] = [];
      const page = await context.newPage();
      page.on("pageerror", (error) => problems.push(`${page.url()}: ${error.message}`));
      for (const file of looked) {
        await page.goto(addressOf(file), { waitUntil: "load" });
        await page.waitForFunction(
          "[...document.querySelectorAll('.diagram')].every((one) => one.querySelector('svg'))",
        );
        for (const problem of await problemsOf(page)) problems.push(`${file}: ${problem}`);
        if (screenshots !== undefined) {
          mkdirSync(screenshots, { recursive: true });
          const path = join(screenshots, `${file.replaceAll("/", "-").replace(".html", "")}-${name}.png`);
          await page.screenshot({ path, fullPage: true });
        }
      }
      await context.close();
      assert.deepEqual(problems, []);
    });
  }

  test("the search finds a page, by keyboard alone", async () => {
    const context = await newContext(DEVICES.desktop);
    const page = await context.newPage();
    await openSearch(page);
    await page.getByRole("searchbox").fill("connect-flash");
    await page.locator(".result").first().waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/flash-messages|session-data/);
    await context.close();
  });

  test("the search answers what people ask", async () => {
    const context = await newContext(DEVICES.desktop);
    const page = await context.newPage();
    await openSearch(page);
    const missed: string[] = [];
    for (const [words, answer] of Object.entries(ANSWERS)) {
      await page.getByRole("searchbox").fill(words);
      const link = page.locator(`.result[href="${answer}"]`);
      await link.waitFor({ timeout: 5000 }).catch(() => missed.push(`${words}: no ${answer}`));
      const found = await page.locator(".result").evaluateAll((links) => links.map((one) => one.getAttribute("href")));
      if (found.indexOf(answer) > 2) missed.push(`${words}: ${answer} is below ${found.slice(0, 3).join(", ")}`);
    }
    await context.close();
    assert.deepEqual(missed, []);
  });

  test("the first Tab leads past the navigation", async () => {
    const context = await newContext(DEVICES.desktop);
    const page = await context.newPage();
    await page.goto("/start", { waitUntil: "networkidle" });
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent.trim()"), "Skip to content");
    await context.close();
  });
});
