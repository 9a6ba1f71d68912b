import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Any, type Browser, type Cleanup, express, kinds, listen, load, native, natives } from "./world.ts";

/** https://www.npmjs.com/package/csrf-csrf: a token in a cookie and in a header, bound to the session's ID. */
function protect(app: Any, beforeToken: (req: Any) => unknown): void {
  const { doubleCsrf } = load("csrf-csrf");
  const { generateCsrfToken, doubleCsrfProtection, invalidCsrfTokenError } = doubleCsrf({
    getSecret: () => "a secret for tokens",
    getSessionIdentifier: (req: Any) => req.session.id,
    cookieName: "x-csrf",
    cookieOptions: { secure: false, sameSite: "lax" },
  });
  app.use(load("cookie-parser")());
  app.get("/token", async (req: Any, res: Any) => {
    await beforeToken(req);
    res.json({ token: generateCsrfToken(req, res) });
  });
  app.use(doubleCsrfProtection);
  app.post("/pay", (req: Any, res: Any) => {
    req.session.paid = true;
    res.send("paid");
  });
  app.get("/id", (req: Any, res: Any) => res.send(req.session.id));
  app.use((error: unknown, _req: Any, res: Any, next: (error: unknown) => void) => {
    if (error === invalidCsrfTokenError) res.status(403).send("csrf");
    else next(error);
  });
}

async function tokenOf(browser: Browser): Promise<string> {
  return JSON.parse((await browser.get("/token")).text).token;
}

function pay(browser: Browser, token: string): Promise<{ status: number; text: string }> {
  return browser.ask("/pay", { method: "POST", headers: { "x-csrf-token": token } });
}

/** What makes an anonymous visitor's session last, so that its ID does. */
const ways: Record<string, (req: Any) => unknown> = {
  "await req.session.save()": (req) => req.session.save(),
  "req.session.save(callback)": (req) =>
    new Promise<void>((resolve, reject) => {
      req.session.save((error: unknown) => (error ? reject(error) : resolve()));
    }),
  "req.session.csrf = true": (req) => {
    req.session.csrf = true;
  },
};

function serve(t: Cleanup, sessions: Any, way: (req: Any) => unknown): Promise<Browser> {
  return listen(
    t,
    express(sessions, (app) => protect(app, way)),
  );
}

for (const [kind, open] of Object.entries(kinds)) {
  describe(`csrf-csrf with sessions ${kind}`, () => {
    for (const [name, way] of Object.entries(ways)) {
      // express-session stores what save() is called for, and sends no cookie for a session that holds nothing.
      if (name.includes("save") && !(kind in natives)) continue;
      test(`${name}: the token is the session's, and nobody else's`, async (t) => {
        const browser = await serve(t, open(t), way);
        const token = await tokenOf(browser);
        assert.equal((await pay(browser, token)).text, "paid");
        assert.equal((await pay(browser, token)).text, "paid");
        assert.equal((await pay(browser, "")).status, 403);

        // Another visitor, with this one's token and its cookie.
        const mallory = browser.stranger();
        await tokenOf(mallory);
        const csrf = browser.cookies.get("x-csrf");
        assert.ok(csrf);
        mallory.cookies.set("x-csrf", csrf);
        assert.equal((await pay(mallory, token)).status, 403);
      });
    }

    if (kind in natives)
      test("save() of an empty session begins it: the ID stays", async (t) => {
        const { MemoryStore } = load("sojourn");
        const began: string[] = [];
        const sessions = kind === "in memory" ? native(t, new MemoryStore()) : open(t);
        sessions.on("create", ({ handle }: { handle: string }) => began.push(handle));
        const browser = await serve(t, sessions, (req) => req.session.save());
        await tokenOf(browser);
        const ids = [(await browser.get("/id")).text, (await browser.get("/id")).text];
        assert.deepEqual(ids, [began[0], began[0]]);
        assert.equal(began.length, 1);
      });
  });
}
