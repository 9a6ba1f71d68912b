import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { type CookieOptions, cookieSettings, deleteCookie, pathMatches, setCookie } from "../../src/http/cookies.ts";
import { CookieTransport } from "../../src/http/transports.ts";
import { parseSetCookie, whyBrowsersDrop } from "../support/set-cookie.ts";

const NOW = Date.UTC(2050, 0, 1);
const VALUE = "AAAAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
const DAY = 24 * 60 * 60 * 1000;

/** What a configuration sends over a channel, and whether the library knows that it can arrive. */
function sent(t: TestContext, options: unknown, name: string | undefined, channel: "http" | "https") {
  const socket = new Socket();
  t.after(() => socket.destroy());
  if (channel === "https") Object.defineProperty(socket, "encrypted", { value: true });
  const req = new IncomingMessage(socket);
  const res = new ServerResponse(req);
  const transport: CookieTransport = Reflect.construct(CookieTransport, [{ cookie: options, name }]);
  const way = transport.carrierFor(req);
  way.send(res, "V", { now: NOW, expires: undefined });
  const [line] = [res.getHeader("set-cookie") ?? []].flat();
  return { line: String(line), deliverable: way.deliverable };
}

test("what travels for each configuration, over HTTPS and over HTTP", (t) => {
  const host = "__Host-sid";
  const none = Object.fromEntries(
    ["httpOnly", "sameSite", "secure", "path", "domain", "partitioned", "priority"].map((key) => [key, undefined]),
  );
  const table: [unknown, string | undefined, https: string, http: string][] = [
    [{}, undefined, `${host}=V; Path=/; HttpOnly; SameSite=Lax; Secure`, "sid=V; Path=/; HttpOnly; SameSite=Lax"],
    [none, undefined, `${host}=V; Path=/; HttpOnly; SameSite=Lax; Secure`, "sid=V; Path=/; HttpOnly; SameSite=Lax"],
    [{ secure: true }, undefined, `${host}=V; Path=/; HttpOnly; SameSite=Lax; Secure`, "never"],
    [{ secure: false }, undefined, "sid=V; Path=/; HttpOnly; SameSite=Lax", "sid=V; Path=/; HttpOnly; SameSite=Lax"],
    [
      { sameSite: "strict" },
      undefined,
      `${host}=V; Path=/; HttpOnly; SameSite=Strict; Secure`,
      "sid=V; Path=/; HttpOnly; SameSite=Strict",
    ],
    [{ sameSite: "none" }, undefined, `${host}=V; Path=/; HttpOnly; SameSite=None; Secure`, "never"],
    [{ partitioned: true }, undefined, `${host}=V; Path=/; HttpOnly; SameSite=Lax; Secure; Partitioned`, "never"],
    [
      { sameSite: "none", secure: true, partitioned: true },
      undefined,
      `${host}=V; Path=/; HttpOnly; SameSite=None; Secure; Partitioned`,
      "never",
    ],
    [{ httpOnly: false }, undefined, `${host}=V; Path=/; SameSite=Lax; Secure`, "sid=V; Path=/; SameSite=Lax"],
    [
      { path: "/app" },
      undefined,
      "sid=V; Path=/app; HttpOnly; SameSite=Lax; Secure",
      "sid=V; Path=/app; HttpOnly; SameSite=Lax",
    ],
    [
      { domain: "example.com" },
      undefined,
      "sid=V; Path=/; Domain=example.com; HttpOnly; SameSite=Lax; Secure",
      "sid=V; Path=/; Domain=example.com; HttpOnly; SameSite=Lax",
    ],
    [
      { priority: "high" },
      undefined,
      `${host}=V; Path=/; HttpOnly; SameSite=Lax; Priority=High; Secure`,
      "sid=V; Path=/; HttpOnly; SameSite=Lax; Priority=High",
    ],
    [
      { priority: "low" },
      "a",
      "a=V; Path=/; HttpOnly; SameSite=Lax; Priority=Low; Secure",
      "a=V; Path=/; HttpOnly; SameSite=Lax; Priority=Low",
    ],
    [{}, "shop", "shop=V; Path=/; HttpOnly; SameSite=Lax; Secure", "shop=V; Path=/; HttpOnly; SameSite=Lax"],
    [{}, "__Secure-shop", "__Secure-shop=V; Path=/; HttpOnly; SameSite=Lax; Secure", "never"],
    [
      { path: "/a", domain: "a.b" },
      "__Secure-shop",
      "__Secure-shop=V; Path=/a; Domain=a.b; HttpOnly; SameSite=Lax; Secure",
      "never",
    ],
    [{}, "__Host-shop", "__Host-shop=V; Path=/; HttpOnly; SameSite=Lax; Secure", "never"],
    [{}, "__HOST-shop", "__HOST-shop=V; Path=/; HttpOnly; SameSite=Lax; Secure", "never"],
    [{ path: "/a" }, "__Http-shop", "__Http-shop=V; Path=/a; HttpOnly; SameSite=Lax; Secure", "never"],
    [{ secure: true }, "__Host-Http-shop", "__Host-Http-shop=V; Path=/; HttpOnly; SameSite=Lax; Secure", "never"],
    [
      {},
      "__proto__",
      "__proto__=V; Path=/; HttpOnly; SameSite=Lax; Secure",
      "__proto__=V; Path=/; HttpOnly; SameSite=Lax",
    ],
  ];
  for (const [options, name, https, http] of table) {
    for (const [channel, expected] of [
      ["https", https],
      ["http", http],
    ] as const) {
      const { line, deliverable } = sent(t, options, name, channel);
      const label = `${channel}: ${JSON.stringify(options)} ${name}: ${line}`;
      assert.equal(deliverable, expected !== "never", label);
      if (!deliverable) continue;
      assert.equal(line, expected);
      assert.equal(whyBrowsersDrop(line, channel), undefined, label);
    }
  }
});

test("what no browser would accept is refused at construction, by name and with a remedy", () => {
  const table: [unknown, unknown, RegExp][] = [
    [null, undefined, /cookie must be an object/],
    ["lax", undefined, /cookie must be an object/],
    [{ sameSite: "none", secure: false }, undefined, /cookie\.sameSite "none" needs cookie\.secure/],
    [{ partitioned: true, secure: false }, undefined, /cookie\.partitioned needs cookie\.secure/],
    [{ sameSite: true }, undefined, /cookie\.sameSite must be/],
    [{ sameSite: "Lax" }, undefined, /cookie\.sameSite must be/],
    [{ sameSite: "toString" }, undefined, /cookie\.sameSite must be/],
    [{ sameSite: false }, undefined, /cookie\.sameSite must be/],
    [{ secure: "yes" }, undefined, /cookie\.secure must be/],
    [{ secure: 1 }, undefined, /cookie\.secure must be/],
    [{ httpOnly: "true" }, undefined, /cookie\.httpOnly must be/],
    [{ partitioned: 1 }, undefined, /cookie\.partitioned must be/],
    [{ priority: "High" }, undefined, /cookie\.priority must be/],
    [{ path: "" }, undefined, /cookie\.path must begin with/],
    [{ path: "app" }, undefined, /cookie\.path must begin with/],
    [{ path: "/a;b" }, undefined, /cookie\.path must begin with/],
    [{ path: "/a\r\nSet-Cookie: x=y" }, undefined, /cookie\.path must begin with/],
    [{ path: "/a\n" }, undefined, /cookie\.path must begin with/],
    [{ path: "/\0" }, undefined, /cookie\.path must begin with/],
    [{ path: "/ä" }, undefined, /cookie\.path must begin with/],
    [{ path: `/${"a".repeat(1024)}` }, undefined, /cookie\.path must begin with/],
    [{ path: 5 }, undefined, /cookie\.path must begin with/],
    [{ domain: "" }, undefined, /cookie\.domain must be/],
    [{ domain: "exa mple.com" }, undefined, /cookie\.domain must be/],
    [{ domain: "example.com; Secure" }, undefined, /cookie\.domain must be/],
    [{ domain: "example.com\r\n" }, undefined, /cookie\.domain must be/],
    [{ domain: "-example.com" }, undefined, /cookie\.domain must be/],
    [{ domain: "example..com" }, undefined, /cookie\.domain must be/],
    [{ domain: "https://example.com" }, undefined, /cookie\.domain must be/],
    [{ domain: "example.com:443" }, undefined, /cookie\.domain must be/],
    [{ domain: `${"a.".repeat(127)}com` }, undefined, /cookie\.domain must be/],
    [{ domain: "bücher.example" }, undefined, /cookie\.domain must be/],
    [{ domain: null }, undefined, /cookie\.domain must be/],
    [{ maxAge: 1000 }, undefined, /cookie\.maxAge is not an option: .*idleTimeout/],
    [{ expires: new Date() }, undefined, /cookie\.expires is not an option: .*persist/],
    [{ Secure: true }, undefined, /cookie\.Secure is not an option; the options are httpOnly/],
    [{}, "", /name must be a cookie name/],
    [{}, "a b", /name must be a cookie name/],
    [{}, "a=b", /name must be a cookie name/],
    [{}, "a;b", /name must be a cookie name/],
    [{}, "a\r\nb", /name must be a cookie name/],
    [{}, "sid\n", /name must be a cookie name/],
    [{}, "ä", /name must be a cookie name/],
    [{}, "a".repeat(257), /name must be a cookie name/],
    [{}, 5, /name must be a cookie name/],
    [{}, null, /name must be a cookie name/],
    [{ secure: false }, "__Secure-a", /must be Secure/],
    [{ secure: false }, "__Host-a", /must be Secure/],
    [{ secure: false }, "__hOST-a", /must be Secure/],
    [{ path: "/a" }, "__Host-a", /must have the path "\/"/],
    [{ domain: "a.b" }, "__Host-a", /must have no domain/],
    [{ domain: "a.b" }, "__Host-Http-a", /must have no domain/],
    [{ httpOnly: false }, "__Http-a", /must be HttpOnly/],
    [{ httpOnly: false }, "__Host-Http-a", /must be HttpOnly/],
    [{ secure: false }, "__http-a", /must be Secure/],
  ]; // biome-ignore format: a table
  for (const [options, name, message] of table) {
    assert.throws(
      () => Reflect.apply(cookieSettings, undefined, [options, name]),
      (error: unknown) => error instanceof TypeError && message.test(error.message),
      `accepted ${JSON.stringify(options)} under ${JSON.stringify(name)}`,
    );
  }
});

test("property: any configuration is refused, or becomes exactly that cookie, which browsers keep", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.constantFrom("a\r\nX: y", "a;b", "a,b", 'a"b', "a\0b", "/", "/a b"),
  );
  const options = fc.record(
    {
      httpOnly: fc.boolean(),
      sameSite: fc.constantFrom("lax", "strict", "none"),
      secure: fc.constantFrom(true, false, "auto"),
      path: fc.oneof(
        text,
        text.map((one) => `/${one}`),
        fc.constantFrom("/", "/app", "/a/b"),
      ),
      domain: fc.oneof(
        text,
        fc.domain(),
        fc.domain().map((one) => `.${one}`),
      ),
      partitioned: fc.boolean(),
      priority: fc.constantFrom("low", "medium", "high"),
    },
    { requiredKeys: [] },
  );
  const prefix = fc.constantFrom("", "__Host-", "__Secure-", "__http-", "__Host-Http-");
  const name = fc.oneof(
    fc.constantFrom(undefined, "sid"),
    fc.tuple(prefix, fc.oneof(text, fc.constant("sid"))).map((parts) => parts.join("")),
  );
  let accepted = 0;
  fc.assert(
    fc.property(options, name, fc.boolean(), (given, wanted, persistent) => {
      let settings: ReturnType<typeof cookieSettings>;
      try {
        settings = Reflect.apply(cookieSettings, undefined, [given, wanted]);
      } catch (error) {
        assert.ok(error instanceof TypeError);
        return;
      }
      accepted += 1;
      const secure = settings.secure !== false;
      const sentName = secure ? settings.secureName : settings.plainName;
      const expires = persistent ? NOW + DAY : undefined;
      for (const line of [
        setCookie(sentName, VALUE, settings, { secure, now: NOW, expires }),
        deleteCookie(sentName, settings, { secure }),
      ]) {
        assert.equal(whyBrowsersDrop(line, "https"), undefined, line);
        const parsed = parseSetCookie(line);
        assert.equal(parsed.name, sentName);
        assert.ok(parsed.value === VALUE || parsed.value === "");
        assert.equal(parsed.attributes.get("path"), (given.path ?? "/").trimEnd());
        assert.equal(parsed.attributes.get("domain"), given.domain);
        assert.equal(parsed.attributes.has("httponly"), given.httpOnly ?? true);
        assert.equal(parsed.attributes.has("secure"), secure);
        assert.equal(parsed.attributes.has("partitioned"), secure && (given.partitioned ?? false));
      }
    }),
    { numRuns: 800 },
  );
  assert.ok(accepted > 40, `only ${accepted} configurations were accepted`);
});

test("a response has one Set-Cookie of the session's name, and all others stay unchanged", (t) => {
  const others = ["theme=dark; Path=/", "sid2=x", "xsid=sid=y", "SID=z"];
  for (const there of ["sid=theirs", "sid=; Max-Age=0", "sid=theirs; Path=/; HttpOnly", ["sid=a", "sid=b"]]) {
    const socket = new Socket();
    t.after(() => socket.destroy());
    const res = new ServerResponse(new IncomingMessage(socket));
    const channel = new CookieTransport({ ring: undefined }).carrierFor(res.req);
    const lines = () => [res.getHeader("set-cookie") ?? []].flat().map(String);
    res.setHeader("Set-Cookie", [...others, there].flat());
    channel.send(res, VALUE, { now: NOW, expires: undefined });
    assert.deepEqual(lines(), [...others, `sid=${VALUE}; Path=/; HttpOnly; SameSite=Lax`]);
    channel.clear(res);
    assert.equal(lines().length, others.length + 1);
    assert.match(lines().at(-1) ?? "", /^sid=;/);
  }
  const socket = new Socket();
  t.after(() => socket.destroy());
  const res = new ServerResponse(new IncomingMessage(socket));
  res.setHeader("Set-Cookie", "sid=theirs");
  new CookieTransport({ ring: undefined }).carrierFor(res.req).send(res, VALUE, { now: NOW, expires: undefined });
  assert.deepEqual(res.getHeader("set-cookie"), [`sid=${VALUE}; Path=/; HttpOnly; SameSite=Lax`]);
});

test("a lifetime is written twice, from one reading of the clock", () => {
  const settings = cookieSettings({});
  for (const ms of [1, 999, 1_000, 1_999, 60_000, 30 * DAY]) {
    const { attributes } = parseSetCookie(
      setCookie("sid", "V", settings, { secure: false, now: NOW + 7, expires: NOW + 7 + ms }),
    );
    // Rounded up: the cookie must not end before the session.
    const seconds = Math.ceil(ms / 1000);
    assert.equal(attributes.get("max-age"), String(seconds));
    assert.equal(attributes.get("expires"), new Date(NOW + 7 + seconds * 1000).toUTCString());
  }
});

test("no lifetime is longer than the 400 days that browsers allow, and none is negative", () => {
  const settings = cookieSettings({});
  const maxAge = (expires: number) =>
    parseSetCookie(setCookie("sid", "V", settings, { secure: false, now: NOW, expires })).attributes.get("max-age");
  assert.equal(maxAge(NOW + 400 * DAY - 1000), String(400 * 24 * 60 * 60 - 1));
  assert.equal(maxAge(NOW + 400 * DAY), "34560000");
  assert.equal(maxAge(NOW + 401 * DAY), "34560000");
  assert.equal(maxAge(NOW + 3_650 * DAY), "34560000");
  assert.equal(maxAge(253_402_300_799_000), "34560000");
  assert.equal(maxAge(Number.POSITIVE_INFINITY), "34560000");
  assert.equal(maxAge(NOW - DAY), "0");
  const line = setCookie("sid", "V", settings, { secure: false, now: NOW, expires: Number.POSITIVE_INFINITY });
  assert.equal(parseSetCookie(line).attributes.get("expires"), new Date(NOW + 400 * DAY).toUTCString());
});

test("the deleting cookie has the attributes of the one that it deletes", () => {
  const table: [CookieOptions, string | undefined][] = [
    [{}, undefined],
    [{ secure: false }, undefined],
    [{ path: "/app", domain: "example.com" }, undefined],
    [{ sameSite: "none", secure: true, partitioned: true }, undefined],
    [{ httpOnly: false, sameSite: "strict", priority: "medium" }, "shop"],
    [{}, "__Host-Http-shop"],
  ];
  for (const [options, name] of table) {
    const settings = cookieSettings(options, name);
    for (const secure of [true, false]) {
      const set = parseSetCookie(setCookie("n", VALUE, settings, { secure, now: NOW, expires: NOW + DAY }));
      const deleted = parseSetCookie(deleteCookie("n", settings, { secure }));
      assert.equal(deleted.name, set.name);
      assert.equal(deleted.value, "");
      assert.equal(deleted.attributes.get("max-age"), "0");
      assert.ok(Date.parse(String(deleted.attributes.get("expires"))) < NOW);
      for (const attributes of [set.attributes, deleted.attributes]) {
        attributes.delete("max-age");
        attributes.delete("expires");
      }
      assert.deepEqual(deleted.attributes, set.attributes);
    }
  }
});

test("a cookie's path covers whole segments (RFC 6265 5.1.4)", () => {
  const table: [string, string, boolean][] = [
    ["/", "/", true],
    ["/anything", "/", true],
    ["/app", "/app", true],
    ["/app/", "/app", true],
    ["/app/x", "/app", true],
    ["/application", "/app", false],
    ["/app%2fx", "/app", false],
    ["/app;x", "/app", false],
    ["/App", "/app", false],
    ["/ap", "/app", false],
    ["/", "/app", false],
    ["", "/app", false],
    ["/app/", "/app/", true],
    ["/app/x", "/app/", true],
    ["/app", "/app/", false],
    ["//app", "/app", false],
    ["/x/app", "/app", false],
    ["/app//", "/app", true],
  ];
  for (const [path, cookiePath, matches] of table)
    assert.equal(pathMatches(path, cookiePath), matches, `${path} in ${cookiePath}`);
});
