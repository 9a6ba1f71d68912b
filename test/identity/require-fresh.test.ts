import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { requireFresh, returnTo } from "../../src/index.ts";
import { isFresh } from "../../src/session/freshness.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Cleanup, type SiteOptions, site, type Visitor } from "../support/site.ts";

const MINUTE = 60_000;
const SECRET = "a secret of a test, long enough for all";
const PAGE = { accept: "text/html,*/*;q=0.8" };

test("how fresh an authentication is", () => {
  const table: [at: number | null, methods: string[], wanted: string[] | undefined, isEnough: boolean][] = [
    [null, [], undefined, false],
    [null, ["pwd"], ["pwd"], false],
    [1_000, [], undefined, true],
    [901, [], undefined, true],
    [900, [], undefined, true],
    [899, [], undefined, false],
    // Clocks differ.
    [1_500, [], [], true],
    [1_000, [], ["otp"], false],
    [1_000, ["pwd"], ["otp"], false],
    [1_000, ["pwd", "otp"], ["otp"], true],
    [1_000, ["pwd", "otp"], ["otp", "pwd"], true],
    [1_000, ["otp"], ["otp", "pwd"], false],
    [899, ["otp"], ["otp"], false],
  ];
  for (const [at, methods, wanted, isEnough] of table) {
    const fresh = isFresh({ at, methods }, { withinMs: 100, methods: wanted }, 1_000);
    assert.equal(fresh, isEnough, JSON.stringify([at, methods, wanted]));
  }
});

test("what can't be demanded is refused by the option's name", () => {
  const refused: [options: unknown, message: RegExp][] = [
    [{}, /^requireFresh\(\{ within \}\) must be a positive number/],
    [{ within: "soon" }, /within/],
    [{ within: "10 minutes" }, /within/],
    [{ within: 0 }, /within/],
    [{ within: false }, /within/],
    [{ within: "10m", methods: ["password"] }, /^requireFresh\(\{ methods \}\).*RFC 8176/],
    [{ within: "10m", methods: "otp" }, /RFC 8176/],
    [{ within: "10m", redirect: "confirm" }, /^requireFresh\(\{ redirect \}\): .*such as "\/confirm"/],
    [{ within: "10m", redirect: "//evil.example" }, /redirect/],
    [{ within: "10m", redirect: "https://evil.example/" }, /redirect/],
    [{ within: "10m", redirect: "/a\nb" }, /redirect/],
    [{ within: "10m", redirect: 5 }, /redirect/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => Reflect.apply(requireFresh, undefined, [options]), { name: "TypeError", message });
  }
});

/** `/guarded` needs a login of the last ten minutes, `/otp` one by a one-time password; `/page` leads to `/confirm?step=1`. */
function start(t: Cleanup, options: SiteOptions) {
  const guards = new Map([
    ["/guarded", requireFresh({ within: "10m" })],
    ["/otp", requireFresh({ within: "10m", methods: ["otp"] })],
    ["/page", requireFresh({ within: "10m", redirect: "/confirm?step=1#form" })],
  ]);
  return site(t, options, async (req, res) => {
    const path = req.url?.split("?")[0] ?? "";
    if (path === "/login") await req.session.login("ada", { methods: ["pwd"] });
    if (path === "/confirm") await req.session.confirm({ methods: ["otp"] });
    if (path === "/end") Reflect.set(req, "session", null);
    const guard = guards.get(path);
    if (guard === undefined) return void res.end(returnTo(req));
    await new Promise<void>((resolve, reject) => {
      res.on("finish", resolve);
      guard(req, res, (error) => {
        if (error !== undefined) return reject(error);
        res.end("passed");
      });
    });
  });
}

for (const kind of ["node", "express4", "express5"] as const) {
  for (const [name, options] of [
    ["a store", (clock: ManualClock) => ({ store: new MemoryStore({ clock }) })],
    [
      "an asynchronous store",
      (clock: ManualClock) => ({ store: new ProbeStore(new MemoryStore({ clock }), { async: true }).store }),
    ],
    ["sealed cookies", () => ({ store: new SealedStore({ secret: SECRET }) })],
  ] as const) {
    test(`only a fresh login passes, others get a challenge: ${kind}, ${name}`, async (t) => {
      const clock = new ManualClock();
      const one = await start(t, { kind, clock, ...options(clock) });
      const visitor = one.visitor();
      const anonymous = await visitor.get("/guarded");
      assert.equal(anonymous.status, 401);
      assert.equal(anonymous.headers["content-type"], "application/problem+json");
      assert.match(anonymous.headers["cache-control"] ?? "", /no-store/);
      const challenge =
        'Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="600"';
      assert.equal(anonymous.headers["www-authenticate"], challenge);
      assert.partialDeepStrictEqual(JSON.parse(anonymous.text), { status: 401, code: "NOT_LOGGED_IN" });
      assert.deepEqual(anonymous.setCookies, []);

      await visitor.get("/login");
      clock.advance(10 * MINUTE);
      assert.equal((await visitor.get("/guarded")).text, "passed");
      assert.equal((await visitor.get("/otp")).status, 401);
      clock.advance(1);
      const stale = await visitor.post("/guarded");
      assert.equal(stale.status, 401);
      assert.equal(stale.headers["www-authenticate"], challenge);
      assert.partialDeepStrictEqual(JSON.parse(stale.text), { status: 401, code: "NOT_FRESH" });
      const token = visitor.token;
      assert.equal((await visitor.post("/confirm")).status, 200);
      assert.notEqual(visitor.token, token);
      for (const path of ["/guarded", "/otp"]) assert.equal((await visitor.get(path)).text, "passed");
      clock.advance(10 * MINUTE + 1);
      for (const path of ["/guarded", "/otp"]) assert.equal((await visitor.get(path)).status, 401);
    });
  }
}

describe("a page that needs a fresh login", () => {
  const redirected = async (
    visitor: Visitor,
    method: string,
    headers: Record<string, string>,
    path = "/page?a=1&b=ü",
  ) => {
    const answer = await visitor.request(method, encodeURI(path), headers);
    return [answer.status, answer.headers.location];
  };
  const AWAY = [303, "/confirm?step=1&returnTo=%2Fpage%3Fa%3D1%26b%3D%25C3%25BC#form"];
  const REFUSED = [401, undefined];

  test("redirects a browser's page view, and nothing else", async (t) => {
    const clock = new ManualClock();
    const one = await start(t, { clock, store: new MemoryStore({ clock }) });
    const table: [method: string, headers: Record<string, string>, expected: unknown[]][] = [
      ["GET", PAGE, AWAY],
      ["HEAD", PAGE, AWAY],
      ["GET", { accept: "application/xhtml+xml, Text/HTML" }, AWAY],
      ["GET", { "sec-fetch-mode": "navigate", accept: "*/*" }, AWAY],
      ["GET", { "sec-fetch-mode": "cors", ...PAGE }, REFUSED],
      ["GET", { "sec-fetch-mode": "no-cors", ...PAGE }, REFUSED],
      ["GET", { "sec-fetch-mode": "same-origin", ...PAGE }, REFUSED],
      ["GET", {}, REFUSED],
      ["GET", { accept: "*/*" }, REFUSED],
      ["GET", { accept: "application/json" }, REFUSED],
      ["GET", { accept: "text/htmlx" }, REFUSED],
      ["POST", { "sec-fetch-mode": "navigate", ...PAGE }, REFUSED],
      ["DELETE", PAGE, REFUSED],
    ];
    for (const [method, headers, expected] of table) {
      assert.deepEqual(await redirected(one.visitor(), method, headers), expected, JSON.stringify([method, headers]));
    }
  });

  test("brings the way back, through a confirmation, and passes then", async (t) => {
    const clock = new ManualClock();
    const one = await start(t, { clock, store: new MemoryStore({ clock }) });
    const visitor = one.visitor();
    await visitor.get("/login");
    assert.equal((await visitor.get("/page", PAGE)).text, "passed");
    clock.advance(11 * MINUTE);
    const away = await visitor.get("/page?a=1&b=%C3%BC", PAGE);
    assert.match(away.headers["cache-control"] ?? "", /no-store/);
    const location = away.headers.location ?? "";
    const back = await visitor.post(location.replace(/#.*/, ""));
    assert.equal(back.text, "/page?a=1&b=%C3%BC");
    assert.equal((await visitor.get(back.text, PAGE)).text, "passed");
  });

  test("knows the address from before a router took its part of it", async (t) => {
    const guard = requireFresh({ within: "1m", redirect: "/confirm" });
    const one = await site(t, { kind: "express5", configure: (app) => app.set("x-powered-by", false) }, (req, res) => {
      const { url } = req;
      req.url = "/inner";
      Object.assign(req, { originalUrl: url });
      guard(req, res, () => res.end("passed"));
    });
    const answer = await one.visitor().get("/outer/inner?x", PAGE);
    assert.equal(answer.headers.location, "/confirm?returnTo=%2Fouter%2Finner%3Fx");
  });
});

describe("the way back", () => {
  const backOf = (address: string) => Reflect.apply(returnTo, undefined, [{ url: address, headers: {} }]);
  const through = (target: string) => backOf(`/confirm?returnTo=${encodeURIComponent(target)}`);

  test("is a path of this site", () => {
    for (const path of ["/", "/a", "/a/b?c=d&e=//f", "/a?returnTo=%2Fb", "/a#b", "/a%2f%2fevil", "/:80", "/@evil"]) {
      assert.equal(through(path), path);
    }
    assert.equal(through("/ü ö"), "/%C3%BC%20%C3%B6");
    assert.equal(through("/a/../b"), "/b");
  });

  test("is / for anything that could lead elsewhere", () => {
    const elsewhere = [
      "", " ", "a", "evil.example", "?a", "#a", "//evil", "///evil", "////evil", "/\\evil", "\\/evil", "\\\\evil", "/a\\b", "https://evil", "https:evil",
      "https:/evil", "HTTPS://evil", "javascript:alert(1)", "data:,", "blob:x", " //evil", "\t//evil", "/\t/evil", "/\n/evil", "/\r/evil", "/\0/evil",
      "\u0000//evil", "/a\r\nSet-Cookie: sid=x", "/a\u007f", "/..//evil", "/.//evil", "/a/..//evil", "/%2e%2e//evil", "/%2e//evil", "http://localhost",
      "http://localhost/a", "\u00a0//evil",
    ]; // biome-ignore format: a list of small values
    for (const target of elsewhere) assert.equal(through(target), "/", JSON.stringify(target));
    for (const address of ["/confirm", "/confirm?returnto=/a", "/confirm?x=1", "", "*", "http://[", "//"]) {
      assert.equal(backOf(address), "/", address);
    }
    assert.equal(backOf("/confirm?returnTo=//evil&returnTo=/a"), "/");
  });

  test("property: whatever the query holds, a browser that follows it stays here", () => {
    const piece = fc.constantFrom(
      "/",
      "\\",
      "//",
      ".",
      "..",
      "%2e",
      "%2f",
      "%5c",
      "@",
      ":",
      "?",
      "#",
      "evil",
      "http",
      "\t",
      "\n",
      " ",
      "ü",
      "\u3002",
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(piece).map((all) => all.join("")),
    );
    const check = (target: string) => {
      const back = through(target);
      assert.match(back, /^\/(?![/\\])[\x21-\x7e]*$/);
      assert.equal(new URL(back, "https://shop.example/confirm").host, "shop.example");
      assert.equal(through(back), back);
    };
    fc.assert(
      fc.property(text, (target) => {
        // What is no Unicode can't be in an address.
        if (!target.isWellFormed()) return;
        check(target);
        check(`/${target}`);
      }),
      { numRuns: 3_000 },
    );
  });
});

test("without a session of Sojourn it is the application's mistake, and one that was ended is none", async (t) => {
  const guard = requireFresh({ within: "1m" });
  for (const session of [undefined, {}, { userId: "ada" }]) {
    const errors: unknown[] = [];
    Reflect.apply(guard, undefined, [{ session, headers: {} }, {}, (error: unknown) => errors.push(error)]);
    assert.ok(errors[0] instanceof TypeError && /app\.use\(sessions\)/.test(errors[0].message));
  }
  const clock = new ManualClock();
  const one = await site(t, { clock, store: new MemoryStore({ clock }) }, async (req, res) => {
    if (req.url === "/login") await req.session.login("ada");
    if (req.url === "/login") return void res.end();
    Reflect.set(req, "session", null);
    guard(req, res, () => res.end("passed"));
  });
  const visitor = one.visitor();
  await visitor.get("/login");
  assert.equal((await visitor.get("/")).status, 401);
});

test("while the store is down nobody passes", async (t) => {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
  const one = await start(t, { clock, store: probe.store });
  const visitor = one.visitor();
  await visitor.get("/login");
  probe.fail(new Error("down"));
  assert.equal((await visitor.get("/guarded")).status, 503);
  probe.heal();
  assert.equal((await visitor.get("/guarded")).text, "passed");
});
