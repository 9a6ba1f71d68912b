import assert from "node:assert/strict";
import { once } from "node:events";
import type http from "node:http";
import https from "node:https";
import { describe, test } from "node:test";
import { session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { selfSigned } from "../support/certificate.ts";
import { parseSetCookie } from "../support/set-cookie.ts";
import { type Answer, application, type Handler, KINDS, type SiteOptions, site } from "../support/site.ts";

const handler: Handler = async (req, res) => {
  const url = new URL(req.url ?? "/", "http://localhost");
  switch (url.pathname) {
    case "/unread":
      break;
    case "/set":
      Object.assign(req.session, { n: url.searchParams.get("n") ?? "1" });
      break;
    case "/login":
      await req.session.login("alice");
      break;
    case "/logout":
      await req.session.logout({ clearSiteData: url.searchParams.has("clear") });
      break;
    case "/regenerate":
      await req.session.regenerate({ keep: true });
      break;
    default:
      JSON.stringify(req.session);
  }
  const [name, value] = url.searchParams.getAll("header");
  if (name !== undefined && value !== undefined) res.setHeader(name, value);
  res.end();
};

/** The token replaced by a letter, so that what is left can be compared. */
function shapes({ setCookies }: Answer): string[] {
  return setCookies.map((line) => line.replace(/=[\w.-]{55,}/, "=V"));
}

describe("the cookie that is sent", () => {
  const HTTPS = "__Host-sid=V; Path=/; HttpOnly; SameSite=Lax; Secure";
  const HTTP = "sid=V; Path=/; HttpOnly; SameSite=Lax";

  for (const kind of KINDS) {
    test(`over HTTP (${kind})`, async (t) => {
      const { visitor } = await site(t, { kind }, handler);
      assert.deepEqual(shapes(await visitor().get("/set")), [HTTP]);
    });

    test(`over HTTPS (${kind})`, async (t) => {
      const sessions = session({ clock: new ManualClock() });
      const server = https.createServer(selfSigned(), application(kind, sessions, handler));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      t.after(() => {
        server.closeAllConnections();
        server.close();
        return sessions.close();
      });
      const address = server.address();
      assert.ok(typeof address === "object" && address !== null);
      const get = (path: string, headers: http.OutgoingHttpHeaders = {}) =>
        new Promise<http.IncomingMessage>((resolve, reject) => {
          https
            .get({ port: address.port, host: "127.0.0.1", path, headers, rejectUnauthorized: false }, (res) => {
              res.resume();
              resolve(res);
            })
            .on("error", reject);
        });
      const set = await get("/set");
      const [line = ""] = set.headers["set-cookie"] ?? [];
      assert.equal(line.replace(/=[\w.-]{55,}/, "=V"), HTTPS);
      const { name, value } = parseSetCookie(line);
      const out = await get("/logout", { cookie: `${name}=${value}` });
      assert.deepEqual(out.headers["set-cookie"], [
        "__Host-sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure",
      ]);
    });
  }

  test("behind a proxy that ends TLS: as far as the proxy is trusted", async (t) => {
    const https = { "x-forwarded-proto": "https" };
    const spoofed = { "x-forwarded-proto": "https, http" };
    const table: [string, SiteOptions, http.OutgoingHttpHeaders, string][] = [
      ["node, no trust", {}, https, HTTP],
      ["node, trustProxy", { trustProxy: true }, https, HTTPS],
      ["node, trustProxy, spoofed", { trustProxy: true }, spoofed, HTTP],
      ["node, trustProxy, honest chain", { trustProxy: true }, { "x-forwarded-proto": "http, https" }, HTTPS],
      ["node, trustProxy, no header", { trustProxy: true }, {}, HTTP],
      ["node, trustProxy: false", { trustProxy: false }, https, HTTP],
      ["Express 4, no trust", { kind: "express4" }, https, HTTP],
      ["Express 5, no trust", { kind: "express5" }, https, HTTP],
      ["Express 4, trust proxy 1", { kind: "express4", configure: (app) => app.set("trust proxy", 1) }, https, HTTPS],
      ["Express 5, trust proxy 1", { kind: "express5", configure: (app) => app.set("trust proxy", 1) }, https, HTTPS],
      [
        "Express 5, trust loopback",
        { kind: "express5", configure: (app) => app.set("trust proxy", "loopback") },
        https,
        HTTPS,
      ],
      [
        "Express 5, trust others",
        { kind: "express5", configure: (app) => app.set("trust proxy", "10.0.0.0/8") },
        https,
        HTTP,
      ],
      [
        "Express 5, trust proxy 1, spoofed",
        { kind: "express5", configure: (app) => app.set("trust proxy", 1) },
        spoofed,
        HTTP,
      ],
      [
        "Express 5, trust proxy, option false",
        { kind: "express5", trustProxy: false, configure: (app) => app.set("trust proxy", true) },
        https,
        HTTP,
      ],
      ["Express 5, no trust, option true", { kind: "express5", trustProxy: true }, https, HTTPS],
    ];
    for (const [name, options, headers, expected] of table) {
      const { visitor } = await site(t, options, handler);
      assert.deepEqual(shapes(await visitor().get("/set", headers)), [expected], name);
    }
  });

  test("with the configured attributes, all of them", async (t) => {
    const { visitor } = await site(
      t,
      {
        name: "shop",
        cookie: {
          secure: false,
          path: "/",
          domain: "example.com",
          sameSite: "strict",
          httpOnly: false,
          priority: "high",
        },
      },
      handler,
    );
    assert.deepEqual(shapes(await visitor().get("/set")), [
      "shop=V; Path=/; Domain=example.com; SameSite=Strict; Priority=High",
    ]);
  });

  test("with attributes that follow the request", async (t) => {
    const { visitor } = await site(
      t,
      { cookie: (req) => ({ sameSite: req.headers["x-embedded"] === "1" ? "strict" : "lax" }) },
      handler,
    );
    assert.deepEqual(shapes(await visitor().get("/set", { "x-embedded": "1" })), [
      "sid=V; Path=/; HttpOnly; SameSite=Strict",
    ]);
    assert.deepEqual(shapes(await visitor().get("/set")), [HTTP]);
  });
});

describe("when a cookie is sent", () => {
  test("only where the token or its lifetime changed", async (t) => {
    for (const kind of KINDS) {
      const { visitor, clock } = await site(t, { kind }, handler);
      const one = visitor();
      const table: [string, number][] = [
        ["/", 0],
        ["/unread", 0],
        ["/set", 1],
        ["/set?n=1", 0],
        ["/set?n=2", 0],
        ["/", 0],
        ["/unread", 0],
        ["/login", 1],
        ["/", 0],
        ["/regenerate", 1],
        ["/set?n=3", 0],
        ["/logout", 1],
        ["/", 0],
        ["/logout", 0],
      ];
      for (const [path, count] of table) {
        clock.advance(90_000);
        assert.equal((await one.get(path)).setCookies.length, count, `${kind} ${path}`);
      }
    }
  });

  test("a session that was found ended by another request: the cookie is left alone", async (t) => {
    const { visitor, sessions } = await site(t, {}, async (req, res) => {
      Object.assign(req.session, { n: Number(Reflect.get(req.session, "n") ?? 0) + 1 });
      if (req.url === "/revoked") await sessions.revoke(req.session.id);
      res.end();
    });
    const one = visitor();
    await one.get();
    const answer = await one.get("/revoked");
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.setCookies, []);
    assert.equal(await sessions.count(), 0);
  });

  test("logging out clears it with the very attributes it was set with, and on demand the site's other data", async (t) => {
    const { visitor } = await site(
      t,
      { name: "shop", cookie: { secure: false, path: "/", domain: "example.com", sameSite: "strict" } },
      handler,
    );
    const one = visitor();
    const set = parseSetCookie((await one.get("/set")).setCookies[0] ?? "");
    const answer = await one.get("/logout?clear");
    assert.equal(answer.setCookies.length, 1);
    const cleared = parseSetCookie(answer.setCookies[0] ?? "");
    assert.equal(cleared.name, set.name);
    assert.equal(cleared.value, "");
    assert.equal(cleared.attributes.get("max-age"), "0");
    for (const attribute of ["path", "domain", "samesite", "httponly"])
      assert.equal(cleared.attributes.get(attribute), set.attributes.get(attribute));
    assert.equal(answer.headers["clear-site-data"], '"cache", "cookies", "storage"');
    assert.equal((await one.get("/logout")).headers["clear-site-data"], undefined);
  });

  test("never twice under one name, and other modules' cookies stay, however they were set", async (t) => {
    const ways: Record<string, Handler> = {
      "/setHeader": (_req, res) => res.setHeader("Set-Cookie", "a=1").end(),
      "/setHeader-list": (_req, res) => res.setHeader("Set-Cookie", ["a=1", "b=2"]).end(),
      "/appendHeader": (_req, res) => res.appendHeader("Set-Cookie", "a=1").appendHeader("Set-Cookie", "b=2").end(),
      "/writeHead-object": (_req, res) => res.writeHead(200, { "Set-Cookie": ["a=1", "b=2"] }).end(),
      "/writeHead-reason": (_req, res) => res.writeHead(200, "Fine", { "set-cookie": "a=1" }).end(),
      "/writeHead-flat": (_req, res) => res.writeHead(200, ["Set-Cookie", "a=1", "Set-Cookie", "b=2"]).end(),
      "/setHeader-and-writeHead": (_req, res) =>
        res.setHeader("X-Other", "1").writeHead(200, { "Set-Cookie": "a=1" }).end(),
      "/sidx": (_req, res) => res.setHeader("Set-Cookie", ["sidx=1", "xsid=2", "SID=3"]).end(),
      "/after-save": async (req, res) => {
        await req.session.save();
        res.setHeader("Set-Cookie", "a=1").end();
      },
      "/express": (_req, res) => {
        const cookie: unknown = Reflect.get(res, "cookie");
        if (typeof cookie === "function") cookie.call(res, "a", "1");
        res.end();
      },
    };
    for (const kind of KINDS) {
      const { visitor } = await site(t, { kind }, async (req, res) => {
        Object.assign(req.session, { n: 1 });
        await ways[req.url ?? ""]?.(req, res);
      });
      for (const path of Object.keys(ways)) {
        const { setCookies } = await visitor().get(path);
        const names = setCookies.map((line) => parseSetCookie(line).name);
        const expected =
          path === "/sidx"
            ? ["sidx", "xsid", "SID", "sid"]
            : path === "/express" && kind === "node"
              ? ["sid"]
              : ["a", ...(/list|append|object|flat/.test(path) ? ["b"] : []), "sid"];
        assert.deepEqual(names, expected, `${kind} ${path}`);
      }
    }
  });

  test("in a HEAD, a 304, a 204 and an answer with trailers too", async (t) => {
    const { visitor } = await site(t, {}, (req, res) => {
      Object.assign(req.session, { n: 1 });
      if (req.url === "/304") return res.writeHead(304).end();
      if (req.url === "/204") return res.writeHead(204).end();
      if (req.url === "/early") res.writeEarlyHints({ link: "</a.css>; rel=preload" });
      if (req.url === "/trailers") {
        res.writeHead(200, { trailer: "x-t" });
        res.write("x");
        res.addTrailers({ "x-t": "1" });
      }
      return res.end();
    });
    for (const path of ["/304", "/204", "/early", "/trailers"])
      assert.equal((await visitor().get(path)).setCookies.length, 1, path);
    assert.equal((await visitor().request("HEAD", "/")).setCookies.length, 1);
    assert.equal((await visitor().request("OPTIONS", "*")).status, 200);
  });
});

describe("caches", () => {
  test("an answer with a cookie of ours says no-store; one that read the session is private", async (t) => {
    for (const kind of KINDS) {
      const { visitor } = await site(t, { kind }, handler);
      const one = visitor();
      const table: [string, string | undefined, string | undefined][] = [
        ["/unread", undefined, undefined],
        ["/", "private", "Cookie"],
        ["/set", "no-store", "Cookie"],
        ["/", "private", "Cookie"],
        ["/set?n=2", "private", "Cookie"],
        ["/unread", undefined, undefined],
        ["/login", "no-store", "Cookie"],
        ["/logout", "no-store", "Cookie"],
      ];
      for (const [path, cacheControl, vary] of table) {
        const { headers } = await one.get(path);
        assert.equal(headers["cache-control"], cacheControl, `${kind} ${path}`);
        assert.equal(headers.vary, vary, `${kind} ${path}`);
      }
    }
  });

  test("the application's own Vary is kept", async (t) => {
    const { visitor } = await site(t, {}, handler);
    const set = (name: string, value: string) =>
      visitor().get(`/set?header=${name}&header=${encodeURIComponent(value)}`);
    assert.equal((await set("Vary", "Accept-Encoding")).headers.vary, "Accept-Encoding, Cookie");
    assert.equal((await set("Vary", "*")).headers.vary, "*");
    assert.equal((await set("Vary", "accept, COOKIE")).headers.vary, "accept, COOKIE");
    assert.equal((await set("Vary", "X-Cookie")).headers.vary, "X-Cookie, Cookie");
    assert.equal((await set("Vary", "Cookie2")).headers.vary, "Cookie2, Cookie");
  });

  test("a shared cache that follows the rules gives nobody another's page or cookie", async (t) => {
    const { visitor } = await site(t, {}, (req, res) => {
      res.setHeader("ETag", '"1"');
      if (req.url === "/set") Object.assign(req.session, { name: req.headers["x-name"] });
      res.end(String(Reflect.get(req.session, "name") ?? "nobody"));
    });
    // RFC 9111: what has no-store is not kept; what varies by Cookie is kept under that header's value.
    const kept = new Map<string, Answer>();
    const through = async (one: ReturnType<typeof visitor>, path: string, name: string) => {
      const key = `${path}|${one.token ?? ""}`;
      const found = kept.get(key);
      if (found !== undefined) return found;
      const answer = await one.get(path, { "x-name": name });
      if (answer.headers["cache-control"] !== "no-store" && answer.headers.vary === "Cookie") kept.set(key, answer);
      if (answer.headers["cache-control"] !== "no-store" && answer.headers.vary === undefined)
        kept.set(`${path}|`, answer);
      return answer;
    };
    const [alice, bob] = [visitor(), visitor()];
    assert.equal((await through(alice, "/set", "Alice")).text, "Alice");
    const bobs = await through(bob, "/set", "Bob");
    assert.equal(bobs.text, "Bob");
    assert.notEqual(alice.token, bob.token);
    assert.equal((await through(alice, "/", "")).text, "Alice");
    assert.equal((await through(bob, "/", "")).text, "Bob");
    assert.equal((await through(visitor(), "/", "")).text, "nobody");
  });
});

describe("a Secure cookie that can't be sent", () => {
  const cases: [string, SiteOptions][] = [
    ["secure: true", { cookie: { secure: true } }],
    ["a __Host- name", { name: "__Host-shop" }],
    ["SameSite=None", { cookie: { sameSite: "none" } }],
    ["Partitioned", { cookie: { partitioned: true } }],
    ["an untrusted proxy", { kind: "express5", cookie: { secure: true } }],
  ];
  for (const [name, options] of cases) {
    test(`${name} over HTTP: no record, no cookie, one warning that says what to do`, async (t) => {
      const warnings: string[] = [];
      const listen = (warning: Error) => warnings.push(`${Reflect.get(warning, "code")}: ${warning.message}`);
      process.on("warning", listen);
      t.after(() => process.off("warning", listen));
      const store = new MemoryStore();
      const told: unknown[] = [];
      const { visitor, sessions } = await site(t, { ...options, store }, async (req, res) => {
        Object.assign(req.session, { n: 1 });
        if (req.url === "/save") await req.session.save();
        if (req.url === "/login") await req.session.login("alice");
        res.end(JSON.stringify(req.session));
      });
      sessions.on("cookie-not-sent", (detail) => told.push(detail));
      for (const path of ["/", "/save", "/login", "/"]) {
        const answer = await visitor().get(path, { "x-forwarded-proto": "https" });
        assert.equal(answer.status, 200);
        assert.deepEqual(answer.setCookies, []);
        assert.equal(answer.text, '{"n":1}', "the session lives for this request");
      }
      assert.equal(store.count(), 0);
      assert.ok(told.length >= 4);
      assert.deepEqual(told[0], { reason: "insecure" });
      await new Promise((resolve) => process.nextTick(resolve));
      const ours = warnings.filter((warning) => warning.startsWith("SOJOURN:"));
      assert.equal(ours.length, 1, warnings.join("\n"));
      assert.match(ours[0] ?? "", /Secure.*HTTPS.*trust proxy.*trustProxy: true.*secure: "auto"/);
    });
  }

  test("reading such a session, or sending nothing, warns of nothing", async (t) => {
    const told: unknown[] = [];
    const { visitor, sessions } = await site(t, { cookie: { secure: true } }, (req, res) =>
      res.end(JSON.stringify(req.session)),
    );
    sessions.on("cookie-not-sent", (detail) => told.push(detail));
    await visitor().get();
    assert.deepEqual(told, []);
  });
});
