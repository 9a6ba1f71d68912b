import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { root } from "../../scripts/package.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** The requests to an application, or what a part of a program finds besides. */
type Run = string | undefined | { before: string; requests?: string };

const CSRF = `import express from "express";
  import { session } from "sojourn";
  import { csrf } from "sojourn/csrf";
  const app = express();
  const sessions = session();
  app.use(sessions);`;
const OIDC = `import { session } from "sojourn";
  import { backchannelLogout } from "sojourn/oidc";
  const [sessions, issuer, clientId] = [session(), "https://login.example.com", "shop"];`;
const KEYS = `import { MemoryStore, session } from "sojourn";
  import { managedKeys } from "sojourn/keys";
  const store = new MemoryStore();
  const sessions = session({ store });`;

/** What the guides read of the environment. */
const ENVIRONMENT = {
  ...process.env,
  SESSION_SECRET: "0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
  NEW_SECRET: "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu",
  OLD_SECRET: "0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
};

/**
 * Every block of code of these guides runs as it stands. Here the requests to each application, as a script, with `ask(path, options?)` that keeps
 * cookies and returns status, text and location; `undefined` for a program that listens to nothing.
 */
const GUIDES: Record<string, readonly Run[]> = {
  "disabled-users.md": [
    `const [one, two] = [browser(), browser()];
     assert.equal((await one.post("/password")).status, 401);
     for (const each of [one, two]) await each.post("/login");
     assert.equal((await one.post("/password")).text, "Changed");
     assert.equal((await one.get("/")).text, "alice");
     users.get("alice").isActive = false;
     assert.equal((await two.get("/")).text, "nobody");`,
  ],
  "csrf.md": [
    `const one = browser();
     assert.equal((await one.post("/transfer", { "sec-fetch-site": "same-origin" })).text, "done");
     assert.equal((await one.post("/transfer", { "sec-fetch-site": "cross-site" })).status, 403);
     assert.equal((await one.post("/transfer", { origin: "https://evil.example" })).status, 403);`,
    { before: CSRF },
    { before: CSRF },
    { before: CSRF },
  ],
  "single-sign-on.md": [
    {
      before: `const claimsOf = async () => ({ sub: "alice", sid: "sid-1" });`,
      requests: `const one = browser();
        assert.equal((await one.get("/callback")).location, "/");
        assert.equal((await sessions.list({ link: "sid-1" })).length, 1);
        const refused = await one.post("/backchannel-logout");
        assert.deepEqual([refused.status, JSON.parse(refused.text).error], [400, "invalid_request"]);`,
    },
    { before: `${OIDC} const users = { findBySubject: async () => undefined };` },
    { before: `${OIDC} const [userId, claims, req] = ["a", { sid: "s" }, { session: { login: async () => {} } }];` },
    { before: OIDC },
  ],
  "key-rotation.md": [
    `const one = browser();
     assert.equal((await one.get("/")).text, "Visit 1\\n");
     assert.equal((await one.get("/")).text, "Visit 2\\n");`,
    { before: KEYS },
    {
      before: `${KEYS} const KeyId = "k";
        const kms = {
          encrypt: async ({ Plaintext }) => ({ CiphertextBlob: Buffer.from(Plaintext).reverse() }),
          decrypt: async ({ CiphertextBlob }) => ({ Plaintext: Buffer.from(CiphertextBlob).reverse() }),
        };`,
    },
    { before: KEYS },
  ],
  "fresh-logins.md": [
    `const one = browser();
     const page = { accept: "text/html" };
     const away = await one.get("/settings/email", page);
     assert.deepEqual([away.status, away.location], [303, "/confirm?returnTo=%2Fsettings%2Femail"]);
     assert.equal((await one.post("/settings/email")).status, 401);
     assert.equal((await one.get(away.location, page)).location, "/login");
     await one.post("/login");
     assert.equal((await one.get("/settings/email", page)).status, 200);
     const back = await one.post(away.location);
     assert.deepEqual([back.status, back.location], [303, "/settings/email"]);`,
    `const one = browser();
     assert.equal((await one.post("/payments")).status, 401);
     assert.deepEqual(JSON.parse((await one.post("/otp")).text).how, ["pwd", "otp"]);
     assert.deepEqual(JSON.parse((await one.post("/otp")).text).how, ["otp"]);
     assert.equal((await one.post("/payments")).text, "Paid");`,
    `const [one, two] = [browser(), browser()];
     for (const each of [one, two]) await each.post("/login");
     assert.deepEqual(JSON.parse((await one.post("/devices/none/end")).text), { ended: false });
     assert.deepEqual(JSON.parse((await one.post("/devices/end-others")).text), { ended: 1 });
     assert.equal((await one.post("/logout-everywhere")).text, "Goodbye");`,
  ],
  "impersonation.md": [
    `const one = browser();
     assert.equal((await one.post("/support/act-as/bob")).status, 403);
     await one.post("/login");
     await one.post("/support/act-as/bob");
     assert.equal((await one.get("/")).text, "carol acts as bob: ticket 4711");
     await one.post("/support/stop");
     assert.equal((await one.get("/")).text, "Hello carol");
     assert.equal(audit.length, 2);`,
    undefined,
  ],
  "schemas-and-migrations.md": [
    `const one = browser();
     app.use((error, req, res, next) => res.status(error.status).send(error.message));
     assert.equal((await one.post("/cart/book/2")).text, '[{"title":"book","count":2}]');
     const refused = await one.post("/cart/lamp/0");
     assert.equal(refused.status, 500);
     assert.match(refused.text, /^req.session.cart\\[1\\].count does not match/);`,
  ],
  "session-end-warning.md": [
    `const one = browser();
     assert.deepEqual(JSON.parse((await one.get("/session")).text), { secondsLeft: 0 });
     await one.post("/login");
     assert.equal(JSON.parse((await one.post("/session")).text).secondsLeft, 1800);
     assert.match((await one.get("/")).text, /<script src="[/]session-warning[.]js">/);

     // The page's script, in a page of which it sees only this.
     const { runInNewContext } = await import("node:vm");
     const [warning, button] = [{ hidden: true }, {}];
     let [left, wait] = [1_800, 0];
     const asked = [];
     const fetch = async (path, { method }) => {
       asked.push(method + " " + path);
       if (method === "POST") left = 1_800;
       return { json: async () => ({ secondsLeft: left }) };
     };
     const location = {};
     const globals = {
       document: { querySelector: (name) => (name === "#warning" ? warning : button) },
       setTimeout: (_action, ms) => (wait = ms),
       clearTimeout: () => {},
       fetch,
       location,
     };
     const settled = () => new Promise((resolve) => setImmediate(resolve));
     const page = runInNewContext((await one.get("/session-warning.js")).text + "; look", globals);
     await settled();
     assert.deepEqual([warning.hidden, wait], [true, 60_000]);
     left = 100;
     await page();
     assert.deepEqual([warning.hidden, wait], [false, 10_000]);
     button.onclick();
     await settled();
     assert.deepEqual([warning.hidden, asked.at(-1)], [true, "POST /session"]);
     left = 0;
     await page();
     assert.equal(location.href, "/login");`,
  ],
  "limits.md": [
    `for (let i = 0; i < 3; i += 1) assert.equal((await browser().post("/login")).status, 200);
     const refused = await browser().post("/login");
     assert.equal(refused.status, 409);
     const { devices } = JSON.parse(refused.text);
     assert.equal(devices.length, 3);
     const form = { "content-type": "application/x-www-form-urlencoded" };
     assert.equal((await browser().post("/login", form, "end=" + devices[0].handle)).text, "Welcome");`,
    undefined,
    `const one = browser();
     await one.post("/callback");
     assert.deepEqual(JSON.parse((await one.post("/backchannel-logout")).text), { ended: 1 });`,
  ],
};

const HELPERS = `
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
function browser() {
  const cookies = new Map();
  // Not fetch, which says that it is no page view.
  const ask = async (method, path, headers = {}, body = undefined) => {
    const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
    const request = http.request(origin + path, { method, headers: { cookie, ...headers } }).end(body);
    const [response] = await once(request, "response");
    for (const line of response.headers["set-cookie"] ?? []) {
      const [pair = ""] = line.split(";");
      cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    return { status: response.statusCode, text, location: response.headers.location };
  };
  return { get: (path, headers) => ask("GET", path, headers), post: (path, headers, body) => ask("POST", path, headers, body) };
}
`;
const LISTENING = `
await once(server, "listening");
const origin = "http://127.0.0.1:" + server.address().port;
`;

const { folder, remove } = temporaryFolder();

describe("the guides", { concurrency: 1 }, () => {
  for (const [guide, scripts] of Object.entries(GUIDES)) {
    const page = readFileSync(join(root, "docs/guides", guide), "utf8");
    const blocks = [...page.matchAll(/```js\n(.*?)```/gs)].map(([, code = ""]) => code);

    test(`${guide} opens with code, and has as many programs as are run here`, () => {
      assert.equal(blocks.length, scripts.length);
      assert.match(page, /^# [^\n]+\n\n```js\n/);
    });

    for (const [index, code] of blocks.entries()) {
      test(`${guide}: program ${index + 1} runs`, async () => {
        const script = scripts[index];
        const served = code
          .replace("app.listen(3000)", "const server = app.listen(0, '127.0.0.1')")
          .replace('"sessions.db"', JSON.stringify(join(folder, `${guide}.${index}.db`)));
        const { before, requests } = typeof script === "object" ? script : { before: "", requests: script };
        const end = `${HELPERS}\n${served.includes("const server") ? LISTENING : ""}\n${requests}\nprocess.exit(0);`;
        const program = `${before}\n${served}\n${requests === undefined ? "" : end}`;
        const run = promisify(execFile);
        await run(process.execPath, ["--conditions=sojourn-source", "--input-type=module", "-e", program], {
          cwd: root,
          env: ENVIRONMENT,
          timeout: 60_000,
        });
      });
    }
  }

  test("leave nothing behind", () => remove());
});
