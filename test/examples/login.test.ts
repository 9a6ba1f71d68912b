import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { cartSize, handlesIn, isSignedIn, newUser, PASSWORD, signIn } from "./people.ts";
import { type LoginSite, type Page, SharedCleanup, startSite, temporaryFolder, Visitor } from "./site.ts";

let site: LoginSite;
let dataDir: string;
const shared = new SharedCleanup();
after(() => shared.run());

before(async () => {
  dataDir = temporaryFolder(shared);
  site = await startSite(shared, dataDir);
});

const views = (text: string) => Number(/Pages you have seen<\/span> <strong>(\d+)</.exec(text)?.[1]);

describe("pages", () => {
  it("carry a strict policy and the usual headers, errors included", async () => {
    for (const path of ["/", "/login", "/register", "/compare", "/support", "/nothing-here", "/style.css"]) {
      const { headers } = await new Visitor(site).get(path);
      const policy = headers.get("content-security-policy") ?? "";
      for (const rule of [
        "default-src 'none'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ]) {
        assert.ok(policy.split("; ").includes(rule), `${path}: ${rule}`);
      }
      assert.equal(headers.get("x-content-type-options"), "nosniff", path);
      assert.equal(headers.get("x-powered-by"), null, path);
    }
  });

  it("hold no script and no inline style", async () => {
    const { visitor } = await newUser(site);
    for (const path of ["/", "/account", "/compare", "/nothing-here"]) {
      assert.doesNotMatch((await visitor.get(path)).text, /<script|<style|\sstyle=|\son\w+=|javascript:/i, path);
    }
  });

  it("begin a session with an HttpOnly, SameSite=Lax cookie; what needs none begins none", async () => {
    const { cookies, headers } = await new Visitor(site).get("/");
    assert.equal(cookies.length, 1);
    assert.match(cookies[0] ?? "", /^sid=[\w-]{22}\.[\w-]{32}\.[\w-]{22}; /);
    assert.match(cookies[0] ?? "", /HttpOnly/i);
    assert.match(cookies[0] ?? "", /SameSite=Lax/i);
    assert.doesNotMatch(cookies[0] ?? "", /Max-Age|Expires|Domain/i);
    assert.match(headers.get("cache-control") ?? "", /no-store/);
    for (const path of ["/style.css", "/login", "/register", "/nothing-here"]) {
      assert.deepEqual((await new Visitor(site).get(path)).cookies, [], path);
    }
  });

  it("answer what can't be served with a page of the right status that tells nothing of the inside", async () => {
    const visitor = new Visitor(site);
    const answers = [
      [404, await visitor.get("/nothing-here")],
      [404, await visitor.get("/partials/top")],
      [404, await visitor.get("/..%2fserver.ts")],
      [404, await visitor.get("/%E0%A4%A")],
      [400, await visitor.post("/devices/%E0%A4%A/revoke")],
      [422, await visitor.post("/cart", { item: "spaceship" })],
      [422, await visitor.post("/cart", { item: "__proto__" })],
      [413, await visitor.post("/login", { email: "x".repeat(20_000) })],
    ] as const;
    for (const [status, page] of answers) {
      assert.equal(page.status, status);
      assert.match(page.text, /<h1>/);
      assert.match(page.text, /Back to the shop/);
      assert.doesNotMatch(page.text, /\bat \w|\.ts|node_modules|Error:/, String(status));
    }
  });
});

describe("cart, counter and messages", () => {
  it("counts the pages of one visitor", async () => {
    const visitor = new Visitor(site);
    assert.equal(views((await visitor.get("/")).text), 1);
    await visitor.get("/compare");
    assert.equal(views((await visitor.get("/")).text), 3);
    assert.equal(views((await new Visitor(site).get("/")).text), 1);
  });

  it("puts in, takes out, and says so once", async () => {
    const visitor = new Visitor(site);
    const added = await visitor.submit("/cart", { item: "mug" });
    assert.match(added.text, /Enamel mug is in your cart\./);
    assert.equal(cartSize(added.text), 1);
    assert.doesNotMatch((await visitor.get("/")).text, /is in your cart/);
    await visitor.submit("/cart", { item: "mug" });
    const removed = await visitor.submit("/cart", { item: "mug", action: "remove" });
    assert.match(removed.text, /one taken out/);
    assert.equal(cartSize(removed.text), 1);
    assert.equal(cartSize((await visitor.submit("/cart", { item: "tent", action: "remove" })).text), 1);
  });

  it("loses none of many clicks at once, and stops at a full cart", async () => {
    const visitor = new Visitor(site);
    await visitor.get("/");
    await Promise.all(Array.from({ length: 20 }, () => visitor.post("/cart", { item: "compass" })));
    assert.equal(cartSize((await visitor.get("/")).text), 20);
    await Promise.all(Array.from({ length: 25 }, () => visitor.post("/cart", { item: "compass" })));
    const { text } = await visitor.get("/");
    assert.equal(cartSize(text), 40);
    assert.match(text, /Your cart is full/);
  });
});

describe("registering", () => {
  it("says what is missing, with 422, and keeps the e-mail", async () => {
    const visitor = new Visitor(site);
    const cases = [
      [{}, ["email-error", "password-error"]],
      [{ email: "someone@example.com" }, ["password-error"]],
      [{ password: PASSWORD }, ["email-error"]],
      [{ email: "no address", password: PASSWORD }, ["email-error"]],
      [{ email: "someone@example.com", password: "7 chars" }, ["password-error"]],
      ["email=a@example.com&email=b@example.com&password=long+enough", ["email-error"]],
    ] as const;
    for (const [form, errors] of cases) {
      const { status, text } = await visitor.post("/register", form);
      assert.equal(status, 422);
      assert.deepEqual(
        [...text.matchAll(/id="(\w+-error)"/g)].map(([, id]) => id),
        errors,
      );
      for (const id of errors) assert.match(text, new RegExp(`aria-describedby="[^"]*\\b${id}"`));
      assert.doesNotMatch(text, /7 chars/, "a password is never sent back");
      if (typeof form === "object" && "email" in form) assert.ok(text.includes(`value="${form.email}"`));
    }
  });

  it("escapes what it shows again", async () => {
    const { text } = await new Visitor(site).post("/register", {
      email: `"><script>alert(1)</script>`,
      password: PASSWORD,
    });
    assert.doesNotMatch(text, /<script/);
  });

  it("refuses a taken e-mail, however it is written, with 409; of two at once one wins", async () => {
    const { email } = await newUser(site);
    const { status, text } = await new Visitor(site).post("/register", {
      email: ` ${email.toUpperCase()} `,
      password: PASSWORD,
    });
    assert.equal(status, 409);
    assert.match(text, /could not be created with this e-mail/);
    assert.ok(text.includes(`value="${email}"`));
    const form = { email: "both@example.com", password: PASSWORD };
    const both = await Promise.all([
      new Visitor(site).post("/register", form),
      new Visitor(site).post("/register", form),
    ]);
    assert.deepEqual(both.map((page) => page.status).sort(), [303, 409]);
  });

  it("signs in, and the cart and the counter come along", async () => {
    const visitor = new Visitor(site);
    await visitor.submit("/cart", { item: "lantern" });
    await visitor.post("/register", { email: "carrier@example.com", password: PASSWORD });
    const { text } = await visitor.get("/account");
    assert.match(text, /Your account is ready/);
    assert.match(text, /carrier@example\.com/);
    assert.equal(cartSize(text), 1);
    assert.equal(views(text), 2);
  });
});

describe("signing in", () => {
  it("gives no hint which of e-mail and password was wrong", async () => {
    const { email } = await newUser(site);
    const stranger = email.replace("user", "none");
    const wrong = await new Visitor(site).post("/login", { email, password: "wrong password" });
    const unknown = await new Visitor(site).post("/login", { email: stranger, password: "wrong password" });
    assert.equal(wrong.status, 401);
    assert.equal(unknown.status, 401);
    assert.ok(wrong.text.includes(`value="${email}"`));
    assert.match(wrong.text, /id="form-error"/);
    assert.equal(wrong.text.match(/aria-describedby="form-error"/g)?.length, 2);
    assert.equal(wrong.text, unknown.text.replace(stranger, email));
  });

  it("asks for what is missing, with 422, and keeps the rest", async () => {
    const { status, text } = await new Visitor(site).post("/login", { email: "a@example.com", remember: "yes" });
    assert.equal(status, 422);
    assert.match(text, /id="password-error"/);
    assert.match(text, /name="remember" value="yes" checked/);
  });

  it("needs the exact password", async () => {
    const { email } = await newUser(site);
    for (const password of [PASSWORD.toUpperCase(), `${PASSWORD} `, PASSWORD.slice(0, -1)]) {
      assert.equal((await new Visitor(site).post("/login", { email, password })).status, 401);
    }
  });

  it("makes a new token, and the old one opens nothing (session fixation)", async () => {
    const { email } = await newUser(site);
    const visitor = new Visitor(site);
    await visitor.submit("/cart", { item: "mug" });
    const planted = new Visitor(site, visitor.jar);
    const before = visitor.jar.get("sid");
    const { text } = await visitor.submit("/login", { email, password: PASSWORD });
    assert.match(text, /You are signed in\./);
    assert.equal(cartSize(text), 1);
    assert.notEqual(visitor.jar.get("sid"), before);
    assert.equal(await isSignedIn(planted), false);
    assert.equal(views((await planted.get("/")).text), 1);
  });

  it("remembers for 30 days if asked to, else until the browser closes", async () => {
    const { email } = await newUser(site);
    const form = { email, password: PASSWORD };
    const cookieOf = async (extra: Record<string, string>) =>
      (await new Visitor(site).post("/login", { ...form, ...extra })).cookies.find((line) => line.startsWith("sid=")) ??
      "";
    assert.doesNotMatch(await cookieOf({}), /Max-Age|Expires/i);
    const remembered = await cookieOf({ remember: "yes" });
    const seconds = Number(/Max-Age=(\d+)/i.exec(remembered)?.[1] ?? Number.NaN);
    const until = Date.parse(/Expires=([^;]+)/i.exec(remembered)?.[1] ?? "");
    const days = (Number.isNaN(seconds) ? (until - Date.now()) / 1000 : seconds) / 86_400;
    assert.ok(days > 29.9 && days < 30.1, remembered);
  });

  it("sends who is signed in from the forms to the account, and who is not from the account to the form", async () => {
    const { visitor } = await newUser(site);
    for (const path of ["/login", "/register"]) assert.equal((await visitor.get(path)).location, "/account");
    const stranger = new Visitor(site);
    const { status, location } = await stranger.get("/account");
    assert.equal(status, 303);
    assert.equal(location, "/login");
    assert.match((await stranger.get("/login")).text, /Sign in to see your account/);
    for (const path of ["/devices/revoke-others", `/devices/${"A".repeat(22)}/revoke`, "/confirm", "/support/act"]) {
      assert.equal((await stranger.post(path)).location, "/login");
    }
    for (const path of ["/account/password", "/account/data", "/account/data/sessions.json"]) {
      assert.match((await stranger.get(path)).location ?? "", /^\/confirm\?returnTo=/);
      assert.equal((await stranger.post(path)).status, 401);
    }
    assert.equal((await stranger.get("/confirm")).location, "/login");
  });

  it("ends with signing out: the old token is worth nothing, and a message is left", async () => {
    const { visitor } = await newUser(site);
    await visitor.submit("/cart", { item: "mug" });
    const copy = new Visitor(site, visitor.jar);
    const { text } = await visitor.submit("/logout");
    assert.match(text, /You are signed out\./);
    assert.equal(cartSize(text), 0);
    assert.equal(await isSignedIn(visitor), false);
    assert.equal(await isSignedIn(copy), false);
  });
});

describe("posts from other sites", () => {
  const host = () => new URL(site.url).host;
  const cases: [string, () => Record<string, string>, boolean][] = [
    ["neither header, as curl sends it", () => ({}), true],
    ["Sec-Fetch-Site: same-origin", () => ({ "sec-fetch-site": "same-origin" }), true],
    ["Sec-Fetch-Site: none", () => ({ "sec-fetch-site": "none" }), true],
    ["Sec-Fetch-Site: same-site", () => ({ "sec-fetch-site": "same-site" }), false],
    ["Sec-Fetch-Site: cross-site", () => ({ "sec-fetch-site": "cross-site" }), false],
    ["an unknown Sec-Fetch-Site", () => ({ "sec-fetch-site": "whatever" }), false],
    ["cross-site, whatever Origin says", () => ({ "sec-fetch-site": "cross-site", origin: site.url }), false],
    ["Origin is this host", () => ({ origin: `http://${host()}` }), true],
    ["Origin is another host", () => ({ origin: "https://evil.example" }), false],
    ["Origin is another port", () => ({ origin: "http://localhost:1" }), false],
    ["Origin begins like this host", () => ({ origin: `http://${host()}.evil.example` }), false],
    ["Origin: null", () => ({ origin: "null" }), false],
  ];
  for (const [name, headers, passes] of cases) {
    it(`${passes ? "pass" : "are refused"}: ${name}`, async () => {
      const visitor = new Visitor(site);
      const page = await visitor.post("/cart", { item: "mug" }, headers());
      assert.equal(page.status, passes ? 303 : 403);
      if (!passes) assert.match(page.text, /<h1>That came from another site<\/h1>/);
      assert.equal(cartSize((await visitor.get("/")).text), passes ? 1 : 0);
    });
  }

  it("reach no route that changes something, and links still work", async () => {
    const { visitor, email } = await newUser(site);
    const headers = { "sec-fetch-site": "cross-site" };
    const paths = [
      "/cart",
      "/register",
      "/login",
      "/logout",
      "/devices/revoke-others",
      `/devices/${"A".repeat(22)}/revoke`,
      "/login/make-room",
      "/confirm",
      "/account/password",
      "/account/data/erase",
      "/support/act",
      "/support/stop",
    ];
    for (const path of paths) {
      assert.equal((await visitor.post(path, { email, password: PASSWORD, item: "mug" }, headers)).status, 403, path);
    }
    assert.equal((await visitor.get("/account", headers)).status, 200);
  });
});

describe("devices", () => {
  it("are listed with name and address; one signed out is out at once", async () => {
    const { visitor, email } = await newUser(site);
    const phone = new Visitor(site);
    const agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1";
    await phone.post("/login", { email, password: PASSWORD }, { "user-agent": agent });
    const { text } = await visitor.get("/account");
    assert.match(text, /Safari on iPhone/);
    assert.match(text, /127\.0\.0\.1|::1/);
    assert.equal(text.match(/This device/g)?.length, 1);
    const [handle, ...others] = handlesIn(text);
    assert.deepEqual(others, []);
    assert.match((await visitor.submit(`/devices/${handle}/revoke`)).text, /That device is signed out/);
    assert.equal(await isSignedIn(phone), false);
    assert.equal(await isSignedIn(visitor), true);
    assert.equal((await visitor.post(`/devices/${handle}/revoke`)).status, 404, "it is no longer there");
  });

  it("of another user can't be signed out, whatever handle is sent", async () => {
    const alice = await newUser(site);
    const second = await signIn(site, alice.email);
    const [handle] = handlesIn((await alice.visitor.get("/account")).text);
    const mallory = await newUser(site);
    assert.equal((await mallory.visitor.post(`/devices/${handle}/revoke`)).status, 404);
    // The handle of someone who has not signed in is public too.
    const stranger = new Visitor(site);
    await stranger.submit("/cart", { item: "mug" });
    const anonymous = stranger.jar.get("sid")?.split(".")[0];
    assert.equal((await mallory.visitor.post(`/devices/${anonymous}/revoke`)).status, 404);
    for (const junk of ["x", "..%2f..", "%00", "A".repeat(22), "A".repeat(5000)]) {
      assert.equal((await mallory.visitor.post(`/devices/${junk}/revoke`)).status, 404);
    }
    assert.equal(await isSignedIn(alice.visitor), true);
    assert.equal(await isSignedIn(second), true);
    assert.equal(cartSize((await stranger.get("/")).text), 1);
  });

  it("are all signed out but this one", async () => {
    const { visitor, email } = await newUser(site);
    const others = [await signIn(site, email), await signIn(site, email, { remember: "yes" })];
    const bystander = await newUser(site);
    const { text } = await visitor.submit("/devices/revoke-others");
    assert.match(text, /2 other devices are signed out/);
    assert.deepEqual(handlesIn(text), []);
    for (const other of others) assert.equal(await isSignedIn(other), false);
    assert.equal(await isSignedIn(visitor), true);
    assert.equal(await isSignedIn(bystander.visitor), true);
  });

  it("may sign out themselves by their own handle", async () => {
    const { visitor } = await newUser(site);
    const own = visitor.jar.get("sid")?.split(".")[0];
    assert.equal((await visitor.post(`/devices/${own}/revoke`)).status, 303);
    assert.equal(await isSignedIn(visitor), false);
  });
});

describe("the comparison", () => {
  it("shows what travels and what is kept, and not the secret", async () => {
    const visitor = new Visitor(site);
    await visitor.submit("/cart", { item: "mug" });
    const token = visitor.jar.get("sid") ?? "";
    const plain = visitor.jar.get("demo_cart") ?? "";
    const [handle = "", secret = "", mac = ""] = token.split(".");
    assert.equal(secret.length, 32);
    const { text } = await visitor.get("/compare");
    assert.ok(text.includes(handle));
    assert.ok(!text.includes(secret), "the secret opens the session");
    assert.ok(!text.includes(mac));
    assert.ok(text.includes(`id="session-bytes">${`sid=${token}`.length} bytes<`));
    assert.ok(text.includes(`id="plain-bytes">${`demo_cart=${plain}`.length} bytes<`));
    assert.match(text, /\[&#34;mug&#34;\]/);
    assert.match(text, /whoever steals the database can read it/);
    assert.match(text, /<dt>Secret hash<\/dt>\s*<dd><code[^>]*>[\w-]{43}</);
    assert.match(text, /<dt>Version<\/dt>\s*<dd><strong>\d+</);
    assert.doesNotMatch(text, /Not what you put in it/);
  });

  it("shows the session growing without its cookie, and the plain cookie with it", async () => {
    const visitor = new Visitor(site);
    const bytes = async (id: string) =>
      Number(new RegExp(`id="${id}">(\\d+) bytes`).exec((await visitor.get("/compare")).text)?.[1]);
    await visitor.submit("/cart", { item: "mug" });
    const [session, plain] = [await bytes("session-bytes"), await bytes("plain-bytes")];
    await visitor.submit("/cart", { item: "mug" });
    assert.equal(await bytes("session-bytes"), session);
    assert.ok((await bytes("plain-bytes")) > plain);
  });

  it("shows what a changed cookie would do, and that the session is not moved by it", async () => {
    const visitor = new Visitor(site);
    await visitor.submit("/cart", { item: "mug" });
    visitor.jar.set("demo_cart", encodeURIComponent(`["tent","<b>"]`));
    const { text } = await visitor.get("/compare");
    assert.match(text, /Not what you put in it/);
    assert.match(text, /&#34;tent&#34;,&#34;&lt;b&gt;&#34;/);
    assert.equal(cartSize(text), 1);
    for (const junk of ["%", "%5B", "", "null", "a b"]) {
      visitor.jar.set("demo_cart", junk);
      assert.equal((await visitor.get("/compare")).status, 200, junk);
    }
  });

  it("needs nothing to begin with, and shows no cookie of others", async () => {
    const visitor = new Visitor(site);
    visitor.jar.set("other_app", "private");
    const { status, text } = await visitor.get("/compare");
    assert.equal(status, 200);
    assert.match(text, /nothing yet/);
    assert.doesNotMatch(text, /private/);
  });
});

describe("the server", () => {
  it("keeps its secret and data where only their owner can read them", () => {
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    for (const file of ["session-secret", "support-password"]) assert.equal(mode(join(dataDir, file)), "600", file);
    assert.equal(existsSync(join(dataDir, "site.db")), true);
  });

  describe("while the database is locked", () => {
    /** What a request gets meanwhile; afterwards everything works as before. */
    async function whileLocked(request: (visitor: Visitor) => Promise<Page>): Promise<void> {
      const visitor = new Visitor(site);
      await visitor.submit("/cart", { item: "mug" });
      const database = new DatabaseSync(join(dataDir, "site.db"));
      try {
        database.exec("BEGIN IMMEDIATE");
        const { status, text, headers, cookies } = await request(visitor);
        assert.equal(status, 503);
        assert.ok(headers.get("retry-after"));
        assert.deepEqual(cookies, []);
        assert.match(text, /The shop is busy/);
        assert.doesNotMatch(text, /sqlite|locked|\bat \w|\.ts/i);
      } finally {
        database.close();
      }
      // The answer said that nobody knows: on a machine that stands still the lock may be gone before the store has given up.
      const size = cartSize((await visitor.submit("/cart", { item: "mug" })).text);
      assert.ok(size === 2 || size === 3, `${size} in the cart`);
      const secret = visitor.jar.get("sid")?.split(".")[1];
      assert.ok(secret && !site.output().includes(secret), "the log holds no secret");
    }

    it("answers 503 where a page was not saved", () => whileLocked((visitor) => visitor.get("/")));
    it("answers 503 where an update was not saved", () =>
      whileLocked((visitor) => visitor.post("/cart", { item: "mug" })));
  });

  it("is killed and started again: everyone is still signed in", async (t) => {
    const folder = temporaryFolder(t);
    const first = await startSite(t, folder);
    const visitor = new Visitor(first);
    await visitor.submit("/cart", { item: "tent" });
    await visitor.post("/register", { email: "stays@example.com", password: PASSWORD });
    assert.deepEqual(await first.end("SIGKILL"), { code: null, signal: "SIGKILL" });
    const again = new Visitor(await startSite(t, folder), visitor.jar);
    const { status, text } = await again.get("/account");
    assert.equal(status, 200);
    assert.match(text, /stays@example\.com/);
    assert.equal(cartSize(text), 1);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`ends by itself on ${signal}, after answering what it had begun`, { timeout: 30_000 }, async (t) => {
      const folder = temporaryFolder(t);
      const own = await startSite(t, folder, { SESSION_SECRET: "a secret of thirty-two bytes, or more" });
      assert.equal(existsSync(join(folder, "session-secret")), false, "a given secret is not written down");
      await new Visitor(own).get("/"); // leaves an idle connection open, which must not hold the server
      const headers = { "content-type": "application/x-www-form-urlencoded", expect: "100-continue" };
      const unfinished = request(new URL("/register", own.url), { method: "POST", headers });
      unfinished.flushHeaders();
      await once(unfinished, "continue"); // the server has begun with it
      const ended = own.end(signal);
      unfinished.end(new URLSearchParams({ email: "late@example.com", password: PASSWORD }).toString());
      const [response]: IncomingMessage[] = await once(unfinished, "response");
      assert.equal(response?.statusCode, 303);
      response?.resume();
      assert.deepEqual(await ended, { code: 0, signal: null });
    });
  }

  it("says which session modes there are", async (t) => {
    await assert.rejects(
      startSite(t, temporaryFolder(t), { SESSION_MODE: "carrier-pigeon" }),
      /SESSION_MODE is one of: sqlite/,
    );
  });
});
