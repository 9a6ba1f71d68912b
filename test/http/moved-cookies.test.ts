import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { CookieOptions } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { site, type Visitor } from "../support/site.ts";

const SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const HTTPS = { "x-forwarded-proto": "https" };

/** Stores that an application keeps when it changes its cookie. */
const stores = {
  "a store that answers at once": () => ({ store: new MemoryStore() }),
  "a store that answers later": () => ({ store: new ProbeStore(new MemoryStore(), { async: true }).store }),
  "a store, with a key": () => ({ store: new MemoryStore(), secret: SECRET }),
  "a sealed session": () => ({ store: new SealedStore({ secret: SECRET, chunks: 2 }) }),
};

describe("an application that gave its cookie a domain or another path", () => {
  for (const [name, make] of Object.entries(stores)) {
    /** The application before and after the change, on one store. */
    const changed = async (t: TestContext, cookie: CookieOptions) => {
      const options = { ...make(), trustProxy: true };
      const open = (more: object) =>
        site(t, { ...options, ...more }, async (req, res) => {
          if (req.url?.endsWith("/login")) await req.session.login("alice");
          if (req.url?.endsWith("/fill")) Reflect.set(req.session, "fill", "x".repeat(4_000));
          if (req.url?.endsWith("/logout")) await req.session.logout();
          if (req.url?.endsWith("/unread")) return res.end();
          return res.end(req.session.userId);
        });
      return { before: await open({}), after: await open({ cookie }) };
    };
    const moved = (from: Visitor, to: Visitor) => {
      for (const [key, value] of from.cookies) to.cookies.set(key, value);
      return to;
    };

    for (const cookie of [
      { domain: "shop.example" },
      { path: "/app" },
      { path: "/app", domain: "shop.example", secure: true },
    ]) {
      test(`logs nobody out: ${name}, ${JSON.stringify(cookie)}`, async (t) => {
        const { before, after } = await changed(t, cookie);
        for (const fill of name.includes("sealed") ? ["/login", "/fill"] : ["/login"]) {
          const old = before.visitor();
          await old.get("/login", HTTPS);
          await old.get(fill, HTTPS);
          assert.ok([...old.cookies.keys()].every((key) => key.startsWith("__Host-sid")));
          const visitor = moved(old, after.visitor());
          const copy = moved(old, after.visitor());
          await visitor.get("/app/unread", HTTPS);
          assert.equal((await visitor.get("/app/", HTTPS)).text, "alice");
          assert.ok(
            [...visitor.cookies.keys()].every((key) => key.startsWith("sid")),
            [...visitor.cookies.keys()].join(),
          );
          assert.equal((await visitor.get("/app/", HTTPS)).text, "alice", "by the new one");
          assert.equal((await copy.get("/app/", { host: "shop.example" })).text, "", "over plain HTTP it is not read");
          const clearing = await copy.get("/app/logout", HTTPS);
          assert.equal(copy.cookies.size, 0, "a logout removes it, too");
          const [line = ""] = clearing.setCookies.filter((one) => one.startsWith("__Host-"));
          assert.match(line, /; Path=\/; HttpOnly; SameSite=Lax; Max-Age=0; .*Secure$/);
          assert.ok(!line.includes("Domain"));
        }
      });
    }
  }

  test("reads the new cookie alone where both are there, and no other name than its own before", async (t) => {
    const store = new MemoryStore();
    const open = (options: object) =>
      site(t, { store, trustProxy: true, ...options }, async (req, res) => {
        if (req.url === "/login") await req.session.login("alice");
        res.end(req.session.userId);
      });
    const [before, after] = [await open({}), await open({ cookie: { domain: "shop.example" } })];
    const [old, current] = [before.visitor(), after.visitor()];
    await old.get("/login", HTTPS);
    await current.get("/login", HTTPS);
    const [host, domain] = [`__Host-sid=${old.token}`, `sid=${current.token}`];
    assert.equal((await after.visitor().get("/", { ...HTTPS, cookie: `${host}; sid=junk` })).text, "");
    assert.equal((await after.visitor().get("/", { ...HTTPS, cookie: `${host}; ${domain}` })).text, "alice");
    // Back to the safer name: the other one could have been planted.
    assert.equal((await before.visitor().get("/", { ...HTTPS, cookie: domain })).text, "");
    const named = await open({ name: "shop", cookie: { domain: "shop.example" } });
    assert.equal((await named.visitor().get("/", { ...HTTPS, cookie: host })).text, "");
    const plain = await open({ cookie: { secure: false, domain: "shop.example" } });
    assert.equal((await plain.visitor().get("/", { ...HTTPS, cookie: host })).text, "");
  });
});

describe("a cookie that must be Secure", () => {
  const needing: Record<string, object> = {
    "secure: true": { cookie: { secure: true } },
    "SameSite=None": { cookie: { sameSite: "none" } },
    Partitioned: { cookie: { partitioned: true } },
    "a name that promises it": { name: "__Host-shop" },
  };
  for (const [name, options] of Object.entries(needing)) {
    test(`is sent to http://localhost, as browsers keep it from there: ${name}`, async (t) => {
      const store = new MemoryStore();
      const { visitor, port } = await site(t, { store, ...options }, (req, res) => {
        Reflect.set(req.session, "n", Number(Reflect.get(req.session, "n") ?? 0) + 1);
        res.end(String(Reflect.get(req.session, "n")));
      });
      for (const host of [`localhost:${port}`, `app.localhost:${port}`, `127.0.0.1:${port}`]) {
        const browser = visitor();
        const { setCookies } = await browser.get("/", { host });
        assert.match(setCookies.join(), /^__Host-(sid|shop)=[^,]*; Secure/, host);
        assert.equal((await browser.get("/", { host })).text, "2");
      }
      const stored = store.count();
      for (const headers of [{ host: "shop.example" }, { host: "localhost", "x-forwarded-for": "192.0.2.1" }]) {
        assert.deepEqual((await visitor().get("/", headers)).setCookies, []);
      }
      assert.equal(store.count(), stored);
    });
  }

  test("is named as over plain HTTP on localhost, where it need not be", async (t) => {
    const { visitor, port } = await site(t, {}, async (req, res) => {
      await req.session.login("alice");
      res.end();
    });
    assert.match(
      (await visitor().get("/", { host: `localhost:${port}` })).setCookies.join(),
      /^sid=[^,;]*; Path=\/; HttpOnly; SameSite=Lax$/,
    );
  });

  test('is sent always, where TLS ends at something that adds no header: secure: "always"', async (t) => {
    const { visitor } = await site(t, { cookie: { secure: "always", sameSite: "none" } }, async (req, res) => {
      if (req.url === "/login") await req.session.login("alice");
      res.end(req.session.userId);
    });
    const browser = visitor();
    for (const headers of [{ host: "shop.example" }, { host: "shop.example", "x-forwarded-proto": "http" }]) {
      assert.match((await browser.get("/login", headers)).setCookies.join(), /^__Host-sid=.*; Secure$/);
      assert.equal((await browser.get("/", headers)).text, "alice");
    }
  });
});
