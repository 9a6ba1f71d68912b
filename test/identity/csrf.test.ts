import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { connect, createSecureServer } from "node:http2";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import cookieSession from "../../src/compat/cookie-session.ts";
import expressSession from "../../src/compat/express-session.ts";
import { type CsrfOptions, csrf } from "../../src/identity/csrf.ts";
import {
  bearer,
  cookie,
  header,
  MemoryStore,
  type SessionOptions,
  SojournError,
  session,
  type TransportChoice,
} from "../../src/index.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { selfSigned } from "../support/certificate.ts";
import { type Answer, type Cleanup, KINDS, type Kind, listen, type Visitor } from "../support/site.ts";

const express4: typeof express = createRequire(import.meta.url)("express4");

interface Guarded {
  visitor(): Visitor;
  events: unknown[];
  errors: unknown[];
  /** How many requests got through to the handler. */
  readonly handled: number;
}

/** Middlewares in a row, without a framework or in one. Errors are answered with their status and code. */
function inRow(kind: Kind, middlewares: readonly RequestHandler[], errors: unknown[]): RequestListener {
  if (kind !== "node") {
    const app = kind === "express4" ? express4() : express();
    for (const middleware of middlewares) app.use(middleware);
    const answer: ErrorRequestHandler = (error, _req, res, _next) => {
      errors.push(error);
      res.status(error.status ?? 500).send(String(error.code ?? error.message));
    };
    app.use(answer);
    return app;
  }
  return (req, res) => {
    const step = (at: number, error?: unknown): void => {
      if (error !== undefined) {
        errors.push(error);
        res.statusCode = error instanceof SojournError ? error.status : 500;
        res.end(error instanceof SojournError ? error.code : String(error));
        return;
      }
      Reflect.apply(middlewares[at] ?? assert.fail, undefined, [req, res, (failed?: unknown) => step(at + 1, failed)]);
    };
    step(0);
  };
}

/** The same over HTTP/2, whose requests only look like those of HTTP/1. */
function inHttp2(middlewares: readonly object[]) {
  return (req: object, res: { statusCode: number; end(): void }) => {
    const step = (at: number, error?: { status: number }): void => {
      const middleware = error === undefined ? middlewares[at] : undefined;
      if (typeof middleware === "function") {
        Reflect.apply(middleware, undefined, [req, res, (failed?: { status: number }) => step(at + 1, failed)]);
        return;
      }
      res.statusCode = error?.status ?? 200;
      res.end();
    };
    step(0);
  };
}

async function guarded(
  t: Cleanup,
  options: CsrfOptions = {},
  { kind = "express5", ...sessionOptions }: SessionOptions & { kind?: Kind } = {},
): Promise<Guarded> {
  const sessions = session(sessionOptions);
  const events: unknown[] = [];
  const errors: unknown[] = [];
  let handled = 0;
  sessions.on("cross-site", (detail) => events.push(detail));
  const handler: RequestHandler = async (req, res) => {
    handled += 1;
    if (req.url === "/login") await req.session.login("alice");
    res.end(`${req.session.userId}`);
  };
  const { visitor } = await listen(t, createServer(inRow(kind, [sessions, csrf(options), handler], errors)), sessions);
  return {
    visitor,
    events,
    errors,
    get handled() {
      return handled;
    },
  };
}

/** The headers that a case has: an empty one is not sent. */
function headersOf(site: string, origin: string, host = "example.com"): Record<string, string> {
  return { host, ...(site !== "" && { "sec-fetch-site": site }), ...(origin !== "" && { origin }) };
}

describe("a request is judged by what Go's CrossOriginProtection judges it by", () => {
  // The cases of src/net/http/csrf_test.go in Go 1.25: method, Sec-Fetch-Site, Origin, status.
  const METHODS = [
    ["same-origin allowed", "POST", "same-origin", "", 200],
    ["none allowed", "POST", "none", "", 200],
    ["cross-site blocked", "POST", "cross-site", "", 403],
    ["same-site blocked", "POST", "same-site", "", 403],
    ["no header with no origin", "POST", "", "", 200],
    ["no header with matching origin", "POST", "", "https://example.com", 200],
    ["no header with mismatched origin", "POST", "", "https://attacker.example", 403],
    ["no header with null origin", "POST", "", "null", 403],
    ["GET allowed", "GET", "cross-site", "", 200],
    ["HEAD allowed", "HEAD", "cross-site", "", 200],
    ["OPTIONS allowed", "OPTIONS", "cross-site", "", 200],
    ["PUT blocked", "PUT", "cross-site", "", 403],
    // Beyond Go's.
    ["QUERY allowed", "QUERY", "cross-site", "https://attacker.example", 200],
    ["PATCH blocked", "PATCH", "cross-site", "", 403],
    ["DELETE blocked", "DELETE", "cross-site", "", 403],
    ["a value that is none of the standard's", "POST", "Same-Origin", "https://example.com", 403],
    ["two values", "POST", "same-origin, none", "https://example.com", 403],
    ["the host with another port", "POST", "", "https://example.com:8443", 403],
    ["the host's default port", "POST", "", "http://example.com:80", 200],
    ["a host that begins alike", "POST", "", "https://example.com.attacker.example", 403],
    ["a host that ends alike", "POST", "", "https://notexample.com", 403],
    ["a subdomain", "POST", "", "https://evil.example.com", 403],
    ["user and password before the host", "POST", "", "https://attacker.example@example.com.evil", 403],
    ["two origins", "POST", "", "https://example.com, https://attacker.example", 403],
    ["no origin at all", "POST", "", "garbage", 403],
  ] as const;
  for (const kind of KINDS) {
    test(`by method, Sec-Fetch-Site and Origin: ${kind}`, async (t) => {
      const { visitor } = await guarded(t, {}, { kind });
      for (const [name, method, site, origin, status] of METHODS) {
        const answer = await visitor().request(method, "/", headersOf(site, origin));
        assert.equal(answer.status, status, name);
        if (status === 403) assert.equal(answer.text, "CROSS_SITE", name);
      }
    });
  }

  test("a trusted origin passes, whatever Sec-Fetch-Site says", async (t) => {
    const { visitor } = await guarded(t, { trustedOrigins: ["https://trusted.example"] });
    const cases = [
      ["https://trusted.example", "", 200],
      ["https://trusted.example", "cross-site", 200],
      ["https://attacker.example", "", 403],
      ["https://attacker.example", "cross-site", 403],
      ["https://trusted.example:8443", "cross-site", 403],
      ["http://trusted.example", "cross-site", 403],
      ["https://trusted.example, https://attacker.example", "cross-site", 403],
    ] as const;
    for (const [origin, site, status] of cases)
      assert.equal((await visitor().post("/", headersOf(site, origin))).status, status, `${origin} ${site}`);
  });

  test("an excepted path passes, and no other that a server may resolve to one", async (t) => {
    const { visitor } = await guarded(t, { except: ["/bypass/", "/only/this"] });
    const cases: [path: string, status: number][] = [
      ["/bypass/", 200],
      ["/bypass/deep/er", 200],
      ["/bypass/?token=1", 200],
      ["/bypass", 403],
      ["/api/", 403],
      ["/only/this", 200],
      ["/only/this?a=/x", 200],
      ["/only/this/", 403],
      ["/only/this/foo", 403],
      ["/only/thisandthat", 403],
      ["/foo/../bypass/bar", 403],
      ["/bypass/../api/bar", 403],
      ["/bypass/%2e%2e/api", 403],
      ["/bypass/%2E./api", 403],
      ["/bypass/..%2fapi", 403],
      ["/bypass/..\\api", 403],
      ["/bypass//api", 403],
      ["//bypass/", 403],
    ];
    for (const [path, status] of cases) {
      for (const site of ["", "cross-site"]) {
        const answer = await visitor().post(path, headersOf(site, "https://attacker.example"));
        assert.equal(answer.status, status, `${path} ${site}`);
      }
    }
  });

  test("strict refuses a request with neither header, and nothing else", async (t) => {
    const site = await guarded(t, { strict: true });
    const { visitor, events } = site;
    assert.equal((await visitor().post("/", headersOf("", ""))).status, 403);
    assert.deepEqual(events, [{ reason: "no-header", origin: undefined }]);
    assert.equal(site.handled, 0);
    assert.equal((await visitor().get("/", headersOf("", ""))).status, 200);
    assert.equal((await visitor().post("/", headersOf("same-origin", ""))).status, 200);
    assert.equal((await visitor().post("/", headersOf("", "https://example.com"))).status, 200);
  });
});

describe("the host is the one that the client asked for", () => {
  test("a proxy's X-Forwarded-Host counts if the proxy is trusted, and never otherwise", async (t) => {
    const forwarded = { ...headersOf("", "https://shop.example", "10.0.0.7:3000"), "x-forwarded-host": "shop.example" };
    const plain = await guarded(t);
    assert.equal((await plain.visitor().post("/", forwarded)).status, 403);
    const trusting = await guarded(t, {}, { trustProxy: 1 });
    assert.equal((await trusting.visitor().post("/", forwarded)).status, 200);
    const attacker = { ...forwarded, origin: "https://attacker.example" };
    assert.equal((await trusting.visitor().post("/", attacker)).status, 403);
  });

  test("a page over HTTP may not post to the same host over HTTPS, where the scheme is known", async (t) => {
    const { visitor } = await guarded(t, {}, { trustProxy: 1 });
    const secure = { "x-forwarded-proto": "https" };
    const post = (origin: string, headers = {}) => visitor().post("/", { ...headersOf("", origin), ...headers });
    assert.equal((await post("http://example.com", secure)).status, 403);
    assert.equal((await post("https://example.com", secure)).status, 200);
    assert.equal((await post("http://example.com")).status, 200);
  });

  test("over HTTP/2 it is :authority", async (t) => {
    const sessions = session();
    const server = createSecureServer(selfSigned(), inHttp2([sessions, csrf()])).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const client = connect(`https://127.0.0.1:${address.port}`, { rejectUnauthorized: false });
    t.after(async () => {
      client.close();
      server.close();
      await sessions.close();
    });
    const post = (origin: string) =>
      new Promise((resolve, reject) => {
        const stream = client.request({ ":method": "POST", ":path": "/", ":authority": "shop.example", origin });
        stream.on("response", (headers) => resolve(headers[":status"]));
        stream.on("error", reject);
        stream.resume().end();
      });
    assert.equal(await post("https://shop.example"), 200);
    assert.equal(await post("https://127.0.0.1"), 403);
  });
});

describe("what a refused request leaves behind", () => {
  test("the handler never runs, the session is untouched, no cookie is set and an event tells", async (t) => {
    const site = await guarded(t);
    const { visitor, events, errors } = site;
    const alice = visitor();
    await alice.post("/login");
    const before = alice.token;
    const forged = await alice.post("/login", headersOf("cross-site", "https://attacker.example"));
    assert.deepEqual([forged.status, forged.text, forged.setCookies], [403, "CROSS_SITE", []]);
    assert.equal(alice.token, before);
    assert.equal(site.handled, 1);
    assert.equal((await alice.get("/")).text, "alice");
    assert.deepEqual(events, [{ reason: "sec-fetch-site", origin: "https://attacker.example" }]);
    const [error] = errors;
    assert.ok(error instanceof SojournError && error.code === "CROSS_SITE" && error.status === 403);
    assert.match(error.message, /trustedOrigins/);
  });

  test("a request without a session is refused as well, because a forged login is a login", async (t) => {
    const { visitor } = await guarded(t);
    const forged = await visitor().post("/login", headersOf("cross-site", "https://attacker.example"));
    assert.deepEqual([forged.status, forged.setCookies], [403, []]);
  });

  test("an event shows an origin, null, or nothing", async (t) => {
    const { visitor, events } = await guarded(t);
    const origins = ["null", "capacitor://localhost", "not an origin", `https://${"a".repeat(400)}`, "https://h/path"];
    for (const origin of origins) await visitor().post("/", headersOf("cross-site", origin));
    assert.deepEqual(
      events.map((event) => Reflect.get(Object(event), "origin")),
      ["null", "capacitor://localhost", undefined, undefined, undefined],
    );
  });

  test("it is refused before its body is read", async (t) => {
    const { visitor } = await guarded(t);
    // The body never comes: an answer is only possible without it.
    const answer = await visitor().request("POST", "/", {
      ...headersOf("cross-site", "https://attacker.example"),
      expect: "100-continue",
      "transfer-encoding": "chunked",
    });
    assert.equal(answer.status, 403);
  });
});

const STORES = [
  ["a synchronous store", () => new MemoryStore()],
  ["an asynchronous store", () => asynchronous(new MemoryStore())],
] as const;

describe("a session that travels by a header needs nothing", () => {
  const forged = headersOf("cross-site", "https://attacker.example");

  for (const [name, open] of STORES) {
    const both = (transport: TransportChoice | TransportChoice[]): SessionOptions => ({ transport, store: open() });

    async function bearerOf(visitor: Visitor): Promise<string> {
      const answer = await visitor.post("/login", { "x-session-transport": "bearer" });
      return String(answer.headers["x-session-token"]);
    }

    test(`beside cookies: ${name}`, async (t) => {
      const { visitor } = await guarded(t, { strict: true }, both([cookie(), bearer()]));
      const token = await bearerOf(visitor());
      const answer = await visitor().post("/", { ...forged, authorization: `Bearer ${token}` });
      assert.deepEqual([answer.status, answer.text], [200, "alice"]);
    });

    test(`a cookie is checked whatever stands in the header beside it: ${name}`, async (t) => {
      const { visitor } = await guarded(t, {}, both([cookie(), bearer()]));
      const alice = visitor();
      await alice.post("/login");
      for (const authorization of ["Bearer ", "Bearer abc", `Bearer ${"A".repeat(55)}`, "Basic YWxpY2U6cHc="]) {
        const answer = await alice.post("/", { ...forged, authorization });
        assert.equal(answer.status, 403, authorization);
      }
      assert.equal((await alice.post("/", { ...forged, "x-session-transport": "bearer" })).status, 403);
    });

    test(`where headers are the only transport: ${name}`, async (t) => {
      for (const transport of [bearer(), header("x-session-token")]) {
        const { visitor } = await guarded(t, { strict: true }, both(transport));
        const login: Answer = await visitor().post("/login", forged);
        const token = String(login.headers["x-session-token"]);
        const sent =
          transport.transport === "bearer" ? { authorization: `Bearer ${token}` } : { "x-session-token": token };
        assert.equal((await visitor().post("/", { ...forged, ...sent })).text, "alice");
      }
    });
  }
});

describe("the order of the middlewares", () => {
  async function answerOf(t: Cleanup, middlewares: readonly RequestHandler[], headers = {}): Promise<Answer> {
    const end: RequestHandler = (_req, res) => {
      res.end("done");
    };
    const { visitor } = await listen(t, createServer(inRow("express5", [...middlewares, end], [])), {
      close: async () => {},
    });
    return visitor().get("/", headers);
  }

  test("csrf() above session() is an error at the first request, which says what to do", async (t) => {
    const answer = await answerOf(t, [csrf(), session()]);
    assert.equal(answer.status, 500);
    assert.match(answer.text, /put app\.use\(csrf\(\)\) below app\.use\(sessions\)/);
  });

  test("without any session the check is made all the same", async (t) => {
    assert.equal((await answerOf(t, [csrf()])).text, "done");
    const { visitor } = await listen(t, createServer(inRow("express5", [csrf()], [])), { close: async () => {} });
    assert.equal((await visitor().post("/", headersOf("cross-site", ""))).text, "CROSS_SITE");
  });

  test("it stands below every session(): one below it that it could not judge is refused", async (t) => {
    const outer = session({ transport: bearer() });
    const inner = session({ name: "inner" });
    assert.equal((await answerOf(t, [outer, inner, csrf()])).text, "done");
    assert.match((await answerOf(t, [outer, csrf(), inner])).text, /below app\.use\(sessions\)/);
  });

  test("of two sessions one by cookie is enough for the check", async (t) => {
    const outer = session({ transport: bearer() });
    const inner = session({ name: "inner" });
    const stack = [outer, inner, csrf()];
    const { visitor } = await listen(t, createServer(inRow("express5", stack, [])), { close: async () => {} });
    assert.equal((await visitor().post("/", headersOf("cross-site", ""))).text, "CROSS_SITE");
  });

  test("with the drop-ins it works above and below them", async (t) => {
    const dropIns: RequestHandler[] = [
      expressSession({ secret: "a secret of a test, long enough", resave: false, saveUninitialized: false }),
      cookieSession({ secret: "a secret of a test, long enough" }),
    ];
    for (const dropIn of dropIns) {
      for (const stack of [
        [csrf(), dropIn],
        [dropIn, csrf()],
      ]) {
        assert.equal((await answerOf(t, stack)).text, "done");
        const { visitor } = await listen(t, createServer(inRow("express5", stack, [])), { close: async () => {} });
        assert.equal((await visitor().post("/", headersOf("cross-site", ""))).text, "CROSS_SITE");
      }
    }
  });

  test("twice is once", async (t) => {
    const { visitor } = await guarded(t);
    assert.equal((await visitor().post("/", headersOf("same-origin", ""))).status, 200);
    const answer = await answerOf(t, [session(), csrf(), csrf()]);
    assert.equal(answer.text, "done");
  });
});

describe("options that can't work are refused where they are given", () => {
  // Go's list of what AddTrustedOrigin takes and refuses, and what it leaves out.
  const ORIGINS: [origin: string, remedy: RegExp | undefined][] = [
    ["https://example.com", undefined],
    ["https://example.com:8080", undefined],
    ["http://example.com", undefined],
    ["http://localhost:3000", undefined],
    ["http://[::1]:3000", undefined],
    ["capacitor://localhost", undefined],
    ["chrome-extension://abcdefghijklmnop", undefined],
    ["example.com", /has no scheme: write it as/],
    ["https://", /is no origin/],
    ["https://example.com/", /has more than an origin: write "https:\/\/example\.com"/],
    ["https://example.com/path", /write "https:\/\/example\.com"/],
    ["https://example.com?query=value", /write "https:\/\/example\.com"/],
    ["https://example.com#fragment", /write "https:\/\/example\.com"/],
    ["https://ex ample.com", /is no origin/],
    ["", /has no scheme/],
    ["null", /sandboxed frame/],
    ["*", /has no scheme/],
    ["https://*.example.com", /without wildcards/],
    ["https://Example.com", /browsers send "https:\/\/example\.com": write that/],
    ["https://example.com:443", /browsers send "https:\/\/example\.com": write that/],
    ["https://user@example.com", /is no origin/],
    ["https://exämple.com", /is no origin/],
  ];
  for (const [origin, remedy] of ORIGINS) {
    test(`trustedOrigins: ${JSON.stringify(origin)} is ${remedy === undefined ? "one" : "refused with the remedy"}`, () => {
      const make = () => csrf({ trustedOrigins: [origin] });
      if (remedy === undefined) assert.doesNotThrow(make);
      else assert.throws(make, (error) => error instanceof TypeError && remedy.test(error.message));
    });
  }

  test("paths, types and unknown names", () => {
    const cases: [options: unknown, message: RegExp][] = [
      [{ except: ["webhooks"] }, /"webhooks" is no plain path/],
      [{ except: ["/a/../b"] }, /is no plain path/],
      [{ except: ["/a/*"] }, /is no plain path/],
      [{ except: ["/a?b"] }, /is no plain path/],
      [{ except: "/webhooks" }, /except must be a list of strings/],
      [{ except: [/a/] }, /except must be a list of strings/],
      [{ trustedOrigins: "https://example.com" }, /trustedOrigins must be a list of strings/],
      [{ trustedOrigins: [new URL("https://example.com")] }, /trustedOrigins must be a list of strings/],
      [{ strict: "yes" }, /strict must be true or false/],
      [{ trustedOrigin: [] }, /csrf\(\{ trustedOrigin \}\) is not an option: the options are trustedOrigins/],
      [null, /options must be an object/],
    ];
    for (const [options, message] of cases)
      assert.throws(() => Reflect.apply(csrf, undefined, [options]), { name: "TypeError", message });
  });
});

test("a request of a mock that has no headers of the kind passes, as one of a program does", () => {
  const calls: unknown[] = [];
  const req = { method: "POST", headers: {}, url: "/" };
  Reflect.apply(csrf(), undefined, [req, {}, (error?: unknown) => calls.push(error)]);
  assert.deepEqual(calls, [undefined]);
});
