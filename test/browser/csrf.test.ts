import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import type { BrowserContext, Page } from "playwright-core";
import { csrf } from "../../src/identity/csrf.ts";
import { session } from "../../src/index.ts";
import { launchWithProfile, noBrowser } from "./chromium.ts";

/**
 * Names under `localhost` count as secure, so that a browser sends `Sec-Fetch-Site`; those under `test` don't. `open.localhost` is
 * the same shop without the middleware: what is refused at the one must succeed at the other, else a test shows nothing.
 */
const RULES = "--host-resolver-rules=MAP *.localhost 127.0.0.1,MAP *.test 127.0.0.1";

/** What a shop saw of a POST. */
interface Seen {
  host: string;
  site: string | undefined;
  origin: string | undefined;
  user: string | null;
  status: number;
}

/** A page whose script or form sends a POST to another address, named in its query. */
const ATTACKS: Record<string, (target: string) => string> = {
  form: (target) => `<form method="post" action="${target}"></form><script>document.forms[0].submit()</script>`,
  fetch: (target) =>
    `<script>fetch("${target}", { method: "POST", mode: "no-cors", credentials: "include", body: "a=1" })</script>`,
  iframe: (target) =>
    `<iframe name="inner"></iframe><form method="post" action="${target}" target="inner"></form><script>document.forms[0].submit()</script>`,
  sandboxed: (target) =>
    `<iframe sandbox="allow-scripts allow-forms" srcdoc="<form method='post' action='${target}'></form><script>document.forms[0].submit()</script>"></iframe>`,
};

describe("forged requests of a real browser", { skip: noBrowser, timeout: 120_000 }, () => {
  const profile = mkdtempSync(join(tmpdir(), "sojourn-csrf-"));
  let browser: BrowserContext;
  let page: Page;
  let server: Server;
  let port: number;
  const sessions = session({ cookie: { sameSite: "none" } });
  const plainSessions = session();
  /** Called with each POST that a shop has answered. */
  let onPost: (seen: Seen) => void = () => {};

  function shop(guard: RequestHandler | undefined, own: RequestHandler): express.Express {
    const app = express();
    app.use((req, res, next) => {
      const { host = "", origin, "sec-fetch-site": site } = req.headers;
      res.on("finish", () => {
        if (req.method !== "POST") return;
        const user = "session" in req ? req.session.userId : null;
        onPost({ host: host.replace(/:\d+$/, ""), site: String(site), origin, user, status: res.statusCode });
      });
      next();
    });
    app.use(own);
    if (guard !== undefined) app.use(guard);
    app.get("/login", async (req, res) => {
      await req.session.login("alice");
      res.send('<form method="post" action="/transfer"></form>');
    });
    app.post("/transfer", (_req, res) => {
      res.send("transferred");
    });
    const answer: ErrorRequestHandler = (error, _req, res, _next) => {
      res.status(error.status ?? 500).send(String(error.code ?? error.message));
    };
    app.use(answer);
    return app;
  }

  before(async () => {
    const attacker = express().get("/:attack", (req, res) => {
      const page = ATTACKS[req.params.attack];
      res.send(page === undefined ? "" : page(String(req.query.target)));
    });
    const hosts: Record<string, express.Express> = {
      "shop.localhost": shop(csrf(), sessions),
      "open.localhost": shop(undefined, sessions),
      "shop.test": shop(csrf(), plainSessions),
    };
    server = createServer((req, res) => {
      const host = (req.headers.host ?? "").replace(/:\d+$/, "");
      (hosts[host] ?? attacker)(req, res);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    port = address.port;
    browser = await launchWithProfile(profile, [RULES]);
  });

  after(async () => {
    await browser?.close();
    rmSync(profile, { recursive: true, force: true });
    server?.closeAllConnections();
    server?.close();
    await sessions.close();
    await plainSessions.close();
  });

  const url = (host: string, path = "/") => `http://${host}:${port}${path}`;

  /** Shows the page of a user who has just logged in at this shop, and at no other. */
  async function logIn(host: string): Promise<void> {
    await browser.clearCookies();
    // The page before may still be leaving for another one: it stays until the browser ends.
    page = await browser.newPage();
    await page.goto(url(host, "/login"));
  }

  /** What the shop sees of the next POST, which `action` makes the browser send. */
  async function seen(action: () => Promise<unknown>): Promise<Seen> {
    const posted = new Promise<Seen>((resolve) => {
      onPost = resolve;
    });
    await action();
    return posted;
  }

  async function attack(kind: string, from: string, host: string): Promise<Seen> {
    await logIn(host);
    const target = encodeURIComponent(url(host, "/transfer"));
    return seen(() => page.goto(url(from, `/${kind}?target=${target}`), { waitUntil: "commit" }));
  }

  const submitForm = () => Promise.all([page.waitForEvent("load"), page.evaluate("document.forms[0].submit()")]);

  for (const kind of Object.keys(ATTACKS)) {
    test(`${kind}: another site's POST arrives as the user's, and the guarded shop refuses it`, async () => {
      const open = await attack(kind, "evil.localhost", "open.localhost");
      assert.deepEqual([open.site, open.user, open.status], ["cross-site", "alice", 200]);
      const guarded = await attack(kind, "evil.localhost", "shop.localhost");
      assert.deepEqual([guarded.site, guarded.user, guarded.status], ["cross-site", "alice", 403]);
      const origin = kind === "sandboxed" ? "null" : url("evil.localhost").slice(0, -1);
      assert.equal(guarded.origin, origin);
    });
  }

  test("a form and a fetch of a subdomain are refused, though the browser calls them same-site", async () => {
    for (const kind of ["form", "fetch"]) {
      const guarded = await attack(kind, "blog.shop.localhost", "shop.localhost");
      assert.deepEqual([guarded.site, guarded.user, guarded.status], ["same-site", "alice", 403], kind);
    }
  });

  test("the shop's own form and fetch pass", async () => {
    await logIn("shop.localhost");
    const fetched = await seen(() => page.evaluate("fetch('/transfer', { method: 'POST' }).then(() => undefined)"));
    assert.deepEqual([fetched.site, fetched.user, fetched.status], ["same-origin", "alice", 200]);
    const submitted = await seen(() => submitForm());
    assert.deepEqual([submitted.site, submitted.user, submitted.status], ["same-origin", "alice", 200]);
  });

  test("over plain HTTP, where browsers send no Sec-Fetch-Site, Origin decides", async () => {
    const forged = await attack("form", "evil.test", "shop.test");
    assert.deepEqual([forged.site, forged.origin, forged.status], ["undefined", url("evil.test").slice(0, -1), 403]);
    await logIn("shop.test");
    const own = await seen(() => submitForm());
    assert.deepEqual([own.site, own.user, own.status], ["undefined", "alice", 200]);
  });

  const noCurl = !existsSync("/usr/bin/curl") && "no curl at /usr/bin/curl";
  test("curl passes without a header, and with an Origin is judged by it", { skip: noCurl }, async () => {
    const run = async (...headers: string[]): Promise<string> => {
      const options = headers.flatMap((line) => ["--header", line]);
      const host = `shop.localhost:${port}:127.0.0.1`;
      const args = ["--silent", "--resolve", host, "--request", "POST", ...options, url("shop.localhost", "/transfer")];
      return (await promisify(execFile)("/usr/bin/curl", args)).stdout;
    };
    assert.equal(await run(), "transferred");
    assert.equal(await run(`Origin: http://shop.localhost:${port}`), "transferred");
    assert.equal(await run("Origin: https://evil.example"), "CROSS_SITE");
  });
});
