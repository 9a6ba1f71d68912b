import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import { WebSocket } from "ws";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** What of the package this file uses. It has no types of its own. */
const { Provider }: { Provider: new (issuer: string, configuration: object) => { callback(): RequestListener } } =
  createRequire(import.meta.url)("oidc-provider");

const CLIENT = "shop";
const CLIENT_SECRET = "a secret that only this test's provider knows";

/** A browser, as far as redirects and cookies go. */
class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();

  /** The Cookie header that this address gets. */
  cookiesFor(url: string): string {
    return [...(this.#cookies.get(new URL(url).origin) ?? [])].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Loads a page, or sends a form, and follows redirects. */
  async load(url: string, form?: Record<string, string>): Promise<{ url: string; text: string; status: number }> {
    let [address, fields] = [url, form];
    for (let redirects = 0; redirects < 20; redirects += 1) {
      const response: Response = await fetch(address, {
        method: fields === undefined ? "GET" : "POST",
        headers: { cookie: this.cookiesFor(address) },
        redirect: "manual",
        ...(fields !== undefined && { body: new URLSearchParams(fields) }),
      });
      this.#keep(address, response.headers.getSetCookie());
      const text = await response.text();
      const location = response.headers.get("location");
      if (location === null) return { url: address, text, status: response.status };
      address = new URL(location, address).href;
      fields = undefined;
    }
    assert.fail(`${url} redirects without an end`);
  }

  #keep(url: string, lines: readonly string[]): void {
    const { origin } = new URL(url);
    const cookies = this.#cookies.get(origin) ?? new Map<string, string>();
    this.#cookies.set(origin, cookies);
    for (const line of lines) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "" || /expires=thu, 01 jan 1970/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
  }
}

interface Federation {
  issuer: string;
  /** The origins of the application's processes. The provider knows the first one's back-channel. */
  processes: [string, string];
}

/** A provider, and two processes of an application that share a store. */
async function federation(t: TestContext, storeUrl: string, bySession: boolean, prefix = ""): Promise<Federation> {
  let listener: RequestListener = (_req, res) => res.writeHead(503).end();
  const server = createServer((req, res) => listener(req, res)).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const issuer = `http://127.0.0.1:${address.port}`;
  const start = async (): Promise<string> => {
    const child = fork(join(import.meta.dirname, "oidc-process.ts"), [issuer, CLIENT, storeUrl, prefix]);
    t.after(() => child.kill());
    const [{ url }] = await once(child, "message");
    return url;
  };
  const processes: [string, string] = [await start(), await start()];
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT,
        client_secret: CLIENT_SECRET,
        redirect_uris: processes.map((url) => `${url}/callback`),
        backchannel_logout_uri: `${processes[0]}/backchannel-logout`,
        backchannel_logout_session_required: bySession,
      },
    ],
    cookies: { keys: ["a key of a test"] },
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "one", alg: "RS256", use: "sig" }] },
    features: { backchannelLogout: { enabled: true } },
    // It refuses addresses of this machine otherwise.
    fetch: (url: string, { dispatcher: _, ...options }: RequestInit & { dispatcher?: unknown }) => fetch(url, options),
  });
  listener = provider.callback();
  return { issuer, processes };
}

/** Logs a user in at the provider and, from there, at a process of the application. */
async function login(browser: Browser, app: string, user: string): Promise<void> {
  const form = await browser.load(`${app}/login`);
  const consent = await browser.load(form.url, { prompt: "login", login: user, password: "any" });
  const { text } = consent.url.startsWith(app) ? consent : await browser.load(consent.url, { prompt: "consent" });
  assert.equal(JSON.parse(text).user, user);
}

/** Logs the browser's user out at the provider, which tells the application before it answers. */
async function logoutAtProvider(browser: Browser, issuer: string): Promise<void> {
  const { text } = await browser.load(`${issuer}/session/end`);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(text)?.[1] ?? assert.fail(text);
  const { status } = await browser.load(`${issuer}/session/end/confirm`, { xsrf, logout: "yes" });
  assert.equal(status, 200);
}

/** A WebSocket that has answered once. The processes share the session, so any origin's cookie will do. */
async function openSocket(browser: Browser, loggedInAt: string, process: string) {
  const ws = new WebSocket(process.replace("http", "ws"), { headers: { cookie: browser.cookiesFor(loggedInAt) } });
  const closed = once(ws, "close").then(([code]) => Number(code));
  await once(ws, "open");
  const ask = async (): Promise<string | number> => {
    ws.send("who am I?");
    return Promise.race([once(ws, "message").then(([text]) => String(text)), closed]);
  };
  return { closed, ask, close: () => ws.close() };
}

async function userAt(browser: Browser, app: string): Promise<{ user: string | null; refusals: string[] }> {
  return JSON.parse((await browser.load(`${app}/`)).text);
}

const { folder, remove } = temporaryFolder();
after(async () => {
  remove();
  if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
});

const STORES: { name: string; skip: string | false; url(test: string): string }[] = [
  { name: "SQLite", skip: false, url: (test) => `sqlite:${folder}/${test}.db` },
  { name: "Redis", skip: sharedRedis.skip ?? false, url: () => sharedRedis.url },
];

for (const { name, skip, url } of STORES) {
  describe(`a logout at a real provider, two processes over ${name}`, { skip, timeout: 60_000 }, () => {
    test("ends the login of that provider's session in both, with its WebSockets, and no other", async (t) => {
      const { issuer, processes } = await federation(t, url("by-session"), true, keyPrefix());
      const [first, second] = processes;
      const [phone, laptop, bob] = [new Browser(), new Browser(), new Browser()];
      await login(phone, second, "alice");
      await login(laptop, first, "alice");
      await login(bob, second, "bob");
      const ofPhone = [await openSocket(phone, second, first), await openSocket(phone, second, second)];
      const others = [
        await openSocket(laptop, first, first),
        await openSocket(laptop, first, second),
        await openSocket(bob, second, first),
        await openSocket(bob, second, second),
      ];
      assert.equal(await ofPhone[0]?.ask(), "alice");

      await logoutAtProvider(phone, issuer);

      assert.deepEqual(await userAt(phone, second), { user: null, refusals: [] });
      assert.deepEqual(await Promise.all(ofPhone.map(({ closed }) => closed)), [4_401, 4_401]);
      assert.deepEqual(await Promise.all(others.map(({ ask }) => ask())), ["alice", "alice", "bob", "bob"]);
      assert.deepEqual(await userAt(laptop, first), { user: "alice", refusals: [] });
      assert.deepEqual(await userAt(bob, second), { user: "bob", refusals: [] });
      for (const { close } of others) close();
    });

    test("without a sid ends all of the user's logins in both, and nobody else's", async (t) => {
      const { issuer, processes } = await federation(t, url("by-user"), false, keyPrefix());
      const [first, second] = processes;
      const [phone, laptop, bob] = [new Browser(), new Browser(), new Browser()];
      await login(phone, second, "alice");
      await login(laptop, first, "alice");
      await login(bob, second, "bob");
      const sockets = [await openSocket(phone, second, second), await openSocket(laptop, first, first)];
      const ofBob = await openSocket(bob, second, second);

      await logoutAtProvider(phone, issuer);

      assert.deepEqual(await Promise.all(sockets.map(({ closed }) => closed)), [4_401, 4_401]);
      assert.equal(await ofBob.ask(), "bob");
      assert.equal((await userAt(laptop, first)).user, null);
      assert.equal((await userAt(bob, second)).user, "bob");
      ofBob.close();
    });
  });
}
