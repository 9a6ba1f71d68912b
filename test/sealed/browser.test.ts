import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Browser, BrowserContext } from "playwright-core";
import { systemClock } from "../../src/contract/time.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore, type SealedStoreOptions } from "../../src/stores/sealed.ts";
import { launchChromium, noBrowser } from "../browser/chromium.ts";
import { SharedCleanup } from "../examples/site.ts";
import { type Handler, type Site, site } from "../support/site.ts";

const PROSE = ["README.md", "docs/SECURITY.md", "docs/ARCHITECTURE.md"]
  .map((file) => readFileSync(join(import.meta.dirname, "../..", file), "utf8"))
  .join("\n")
  // A byte each, in JSON too.
  .replace(/[^ -~]|["\\]/g, " ");
const digest = (text: string) => `${text.length} characters, ${createHash("sha256").update(text).digest("hex")}`;
const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");

const app: Handler = async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
  const size = Number(searchParams.get("size"));
  if (pathname === "/favicon.ico") {
    res.writeHead(204).end();
    return;
  }
  if (pathname === "/login") await req.session.login("alice");
  if (pathname === "/draft") Reflect.set(req.session, "draft", PROSE.repeat(3).slice(0, size));
  if (pathname === "/logout") await req.session.logout();
  const { session } = req;
  const draft: unknown = Reflect.get(session, "draft");
  const count = Number(Reflect.get(session, "count") ?? 0) + 1;
  if (pathname === "/count") Reflect.set(session, "count", count);
  res.setHeader("Content-Type", "application/json");
  res.end(
    JSON.stringify({
      user: session.userId,
      draft: typeof draft === "string" ? digest(draft) : null,
      count: Reflect.get(session, "count") ?? 0,
    }),
  );
};

describe("a sealed session in a browser", {
  skip: noBrowser,
  timeout: 60_000,
}, () => {
  const shared = new SharedCleanup();
  let browser: Browser;
  let shop: Site;

  let overflowing: Site;

  before(async () => {
    const open = async (options: SealedStoreOptions): Promise<Site> => {
      const one = await site(shared, { store: new SealedStore({ secret, ...options }) }, app);
      // The browser's own clock decides which cookies it keeps.
      one.clock.advance(systemClock.now() - one.clock.now());
      return one;
    };
    shop = await open({ chunks: 3 });
    overflowing = await open({ overflow: new MemoryStore() });
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await shared.run();
  });

  const jar = async (context: BrowserContext) => (await context.cookies()).map(({ name }) => name).sort();

  it("survives with 9 kB over several pages, shrinks, and ends at logout", async () => {
    const context = await browser.newContext({ baseURL: `http://127.0.0.1:${shop.port}` });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const visit = async (path: string): Promise<unknown> => {
      const response = await page.goto(path);
      assert.equal(response?.status(), 200, path);
      return response.json();
    };
    const long = PROSE.slice(0, 9_000);
    await visit("/login");
    assert.deepEqual(await jar(context), ["sid"]);
    await visit("/draft?size=9000");
    const parts = await jar(context);
    assert.deepEqual(parts, ["sid.0", "sid.1", "sid.2"], "and the one cookie before is gone");
    for (let count = 1; count <= 3; count += 1) {
      assert.deepEqual(await visit("/count"), { user: "alice", draft: digest(long), count });
      assert.deepEqual(await jar(context), parts);
    }
    // Another page of the same browser has the same session.
    const other = await context.newPage();
    const seen = await other.goto("/");
    assert.deepEqual(await seen?.json(), { user: "alice", draft: digest(long), count: 3 });
    const script = await other.evaluate("document.cookie");
    assert.equal(script, "", "no script reads any part");

    await visit("/draft?size=100");
    assert.deepEqual(await jar(context), ["sid"], "the parts are gone");
    assert.deepEqual(await visit("/"), { user: "alice", draft: digest(long.slice(0, 100)), count: 3 });

    await visit("/draft?size=9000");
    assert.deepEqual(await jar(context), parts);
    assert.deepEqual(await visit("/logout"), { user: null, draft: null, count: 0 });
    assert.deepEqual(await jar(context), [], "nothing is left in the browser");
    assert.deepEqual(await visit("/"), { user: null, draft: null, count: 0 });
    await context.close();
    assert.deepEqual(shop.errors, []);
  });

  it("survives with 60 KB in one cookie and a store, shrinks back into the cookie, and ends at logout", async () => {
    const context = await browser.newContext({ baseURL: `http://127.0.0.1:${overflowing.port}` });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const visit = async (path: string): Promise<unknown> => (await page.goto(path))?.json();
    const long = PROSE.repeat(3).slice(0, 60_000);
    await visit("/login");
    await visit("/draft?size=60000");
    for (let count = 1; count <= 2; count += 1) {
      assert.deepEqual(await visit("/count"), { user: "alice", draft: digest(long), count });
    }
    const [cookie, ...more] = await context.cookies();
    assert.ok(cookie !== undefined && cookie.value.length < 300 && more.length === 0);
    await visit("/draft?size=100");
    assert.deepEqual(await visit("/"), { user: "alice", draft: digest(long.slice(0, 100)), count: 2 });
    assert.deepEqual(await visit("/logout"), { user: null, draft: null, count: 0 });
    assert.deepEqual(await jar(context), []);
    await context.close();
    assert.deepEqual(overflowing.errors, []);
  });
});
