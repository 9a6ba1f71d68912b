import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { parse as parseQuery } from "node:querystring";
import { test } from "node:test";
import { parse as parseLegacy } from "node:url";
import express from "express";
import fc from "fast-check";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { TokenSource } from "../../src/crypto/token.ts";
import { HeaderTransport } from "../../src/http/header-transport.ts";
import { UrlTokens } from "../../src/http/url-tokens.ts";
import { Events } from "../../src/session/events.ts";
import { StoredSessions } from "../../src/session/stored.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

const clock = new ManualClock();
const ring = new KeyRing("0123456789abcdefghijklmnopqrstuvwxyzABCDEF", { production: true, warn: assert.fail });
const backend = new StoredSessions({
  store: new MemoryStore({ clock }),
  clock,
  limits: timeouts({}),
  deadlines: { readMs: 1_000, commitMs: 1_000 },
  tokens: new TokenSource(),
  events: new Events(),
  maxBytes: 9_999,
  deviceOf: () => ({}),
});
const links = new UrlTokens({ parameter: "session", bind: undefined }, ring, backend);
const token = links.mint("alice", 1_000);

function request(url: string, more: object = {}) {
  const req = new IncomingMessage(new Socket());
  return Object.assign(req, { url, originalUrl: `/mounted${url}`, query: {} }, more);
}

/** What is left of an address, and what was found in it. */
function strip(url: string): { rest: string; brought: string | undefined } {
  const req = request(url);
  const brought = links.take(req);
  const rest = req.url ?? assert.fail();
  assert.equal(req.originalUrl, `/mounted${rest}`);
  return { rest, brought };
}

/** As every parser that we know of reads a query: whether one finds a parameter of this name. */
const extended = express().set("query parser", "extended").get("query parser fn") as (text: string) => object;
const parsers: [string, (url: string) => string[]][] = [
  ["WHATWG", (url) => [...new URL(`http://x${url}`).searchParams.keys()]],
  ["url.parse", (url) => Object.keys(parseLegacy(`http://x${url}`, true).query)],
  ["querystring", (url) => Object.keys(parseQuery(url.slice(url.indexOf("?") + 1)))],
  ["qs", (url) => Object.keys(extended(url.includes("?") ? url.slice(url.indexOf("?") + 1) : ""))],
  ["after the last ?", (url) => [...new URLSearchParams(url.slice(url.lastIndexOf("?") + 1)).keys()]],
  ["with semicolons", (url) => [...new URLSearchParams(url.replaceAll(/[;?]/g, "&")).keys()]],
];
const isOurs = (key: string) => /^\s*session\s*(\[|$)/.test(key);

function assertGone(url: string): void {
  let text = strip(url).rest;
  for (const [name, parse] of parsers) assert.deepEqual(parse(text).filter(isOurs), [], `${name} finds it in ${text}`);
  for (let times = 0; times < 4; times += 1) {
    assert.ok(!text.includes(token), `${url} keeps it`);
    text = text.replaceAll(/%[0-7][0-9a-f]/gi, (byte) => decodeURIComponent(byte));
  }
}

const spelt = fc.constantFrom(
  "session",
  "%73ession",
  "sessio%6E",
  "session[]",
  "session[a]",
  "session%5B%5D",
  "+session",
  "%20session",
  "%2573ession",
);
const plain = fc.stringMatching(/^[a-z0-9._~-]{0,6}$/);
const other = fc.tuple(plain, fc.oneof(plain, fc.constantFrom("%2F", "%", "%zz", "a+b", "é", "[]", "sessions", "x=session")))
  .map(([key, value]) => `${key}=${value}`); // biome-ignore format: two lists
const carrying = fc
  .tuple(spelt, fc.constantFrom("=", "%3D", "%3d", "%253D"))
  .map(([key, equals]) => `${key}${equals}${token}`);
const border = fc.constantFrom("?", "&", ";", "#", "%3F", "%26", "%3b", "%253F", "%2526", "??", "&&", "?&");
const path = fc.array(fc.constantFrom("", "a", "%2f", "..", "session", ";jsessionid=1", "@x", ":80", "\\"), { maxLength: 4 })
  .map((segments) => `/${segments.join("/")}`); // biome-ignore format: one list
const address = fc.tuple(path, fc.array(fc.tuple(border, fc.oneof(other, carrying)), { maxLength: 6 }))
  .map(([start, parts]) => start + parts.flat().join("")); // biome-ignore format: one address

test("property: no parser finds a token in an address afterwards, wherever and however it was spelt", () => {
  fc.assert(fc.property(address, assertGone), { numRuns: 1_500 });
  for (const url of [
    `/a?x=1?session=${token}`, `/a;session=${token}`, `/a;jsessionid=1;session=${token}?b=2`, `/a%3Fsession=${token}`,
    `/a%3fsession%3d${token}%26b%3D2`, `/login?next=%2Fa%3Fsession%3D${token}`, `/login?next=%252Fa%253Fsession%253D${token}`,
    `//x/?session=${token}`, `?session=${token}`, `/?session=1&session=${token}`, `/#?session=${token}`,
    `/?a[session]=1&session=${token}`, `/?%73%65%73sion=${token}`, `/?session==${token}`, `/a%2fb?c=%2f&session=${token}#d`,
  ]) assertGone(url); // biome-ignore format: a list of addresses
});

test("property: an address without a token stays as it is, and nothing but the token goes", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), address), (url) => {
      const { rest, brought } = strip(url);
      if (brought === undefined) assert.equal(rest, url);
      assert.deepEqual(strip(rest), { rest, brought: undefined }, "a second time there is nothing to find");
    }),
    { numRuns: 1_500 },
  );
  fc.assert(
    fc.property(fc.array(other, { maxLength: 4 }), fc.nat(4), (others, at) => {
      const parts = [...others.slice(0, at), `session=${token}`, ...others.slice(at)];
      const { rest, brought } = strip(`/a?${parts.join("&")}`);
      assert.equal(brought, token);
      assert.equal(rest, others.length === 0 ? "/a" : `/a?${others.join("&")}`);
    }),
  );
  assert.equal(strip("/search?q=session&sessions=1&mysession=2").brought, undefined);
});

test("addresses of 16 KiB that are all borders and codes are read like any other", () => {
  for (const piece of [
    "%25",
    "?session",
    "%3Fsession=",
    "&session[=%",
    ";%2573ession",
    "?",
    "%2525253F",
    "session=&",
  ]) {
    const { rest } = strip(`/${piece.repeat(16_384 / piece.length)}&session=${token}`);
    assert.ok(!rest.includes(token), piece);
    assert.deepEqual(strip(rest), { rest, brought: undefined });
  }
});

test("copies that others made of the address lose the token, too, and nothing else", () => {
  const url = `/a?b=2&session=${token}`;
  const query = { b: "2", session: token, nested: { a: [`/x?session=${token}`] }, "session[x]": "1", page: "1" };
  const req = request(url, { query, _parsedUrl: parseLegacy(url), _parsedOriginalUrl: parseLegacy(url) });
  assert.equal(links.take(req), token);
  assert.deepEqual(req.query, { b: "2", page: "1" });
  assert.deepEqual([Reflect.get(req, "_parsedUrl"), Reflect.get(req, "_parsedOriginalUrl")], [undefined, undefined]);
  const other = request("/?session=1", { query: { session: "1", page: "1" } });
  assert.equal(links.take(other), "1");
  assert.deepEqual(other.query, { page: "1" }, "a short text may be part of something else");
});

test("headers that hold the address again lose the token, too: HTTP/2's, and proxies'", () => {
  const url = `/a?b=2&session=${token}`;
  const full = `https://shop.example${url}`;
  const req = request(url);
  req.rawHeaders.push(":path", url, "X-Original-URL", url, "X-Forwarded-Uri", full, "Authorization", `Bearer ${token}`);
  Object.assign(req.headers, { ":path": url, "x-original-url": url, "x-forwarded-uri": full, cookie: `a=${token}` });
  assert.equal(links.take(req), token);
  assert.equal(req.headers[":path"], "/a?b=2");
  assert.equal(req.headers["x-original-url"], "/a?b=2");
  assert.equal(req.headers["x-forwarded-uri"], "https://shop.example/a?b=2");
  assert.equal(req.headers.cookie, `a=${token}`, "what is no parameter of an address stays");
  const [path, original, forwarded, authorization] = [1, 3, 5, 7].map((position) => req.rawHeaders.at(position));
  assert.deepEqual([path, original, forwarded], ["/a?b=2", "/a?b=2", "https://shop.example/a?b=2"]);
  assert.equal(authorization, `Bearer ${token}`);
  const short = request("/?session=1");
  Object.assign(short.headers, { ":path": "/?session=1", "x-other": "/?session=1&a" });
  assert.equal(links.take(short), "1");
  assert.deepEqual(short.headers, { ":path": "/", "x-other": "/?session=1&a" });
});

/** RFC 6750 2.1 and RFC 9110 11.4, character by character, as far from the tested code as can be. */
function bearerOf(values: readonly string[]): string | undefined {
  const [value, ...more] = values;
  if (value === undefined || more.length > 0) return undefined;
  const text = value.trim();
  if (text.length > 4_096 || text.slice(0, 6).toLowerCase() !== "bearer" || text[6] !== " ") return undefined;
  let at = 6;
  while (text[at] === " ") at += 1;
  const begin = at;
  const isTokenCharacter = (character: string) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/".includes(character);
  while (at < text.length && isTokenCharacter(text[at] ?? "")) at += 1;
  if (at === begin) return undefined;
  while (text[at] === "=") at += 1;
  return at === text.length ? text.slice(begin) : undefined;
}

test("property: an Authorization header is read as RFC 6750 says, whatever and however often it comes", () => {
  const { carrier } = new HeaderTransport({ header: "authorization", ring });
  const scheme = fc.constantFrom(
    "Bearer",
    "Bearer",
    "bearer",
    "BEARER",
    "Bearer:",
    "Basic",
    "Digest",
    "",
    "Bear",
    "Bearer\u00a0",
  );
  const space = fc.constantFrom(" ", " ", " ", "", "  ", "\t", " \t", "\u00a0");
  const credentials = fc.oneof(
    fc.constantFrom(token, `${token}=`, `${token}==`, `"${token}"`, `${token},${token}`, `${token} x`, "", "=", "a=b", "A".repeat(4_090)),
    fc.base64String(),
    fc.string(),
  ); // biome-ignore format: a list
  const value = fc.oneof(
    { arbitrary: fc.string(), weight: 1 },
    { weight: 9, arbitrary: fc.tuple(space, scheme, space, credentials, space).map((parts) => parts.join("")) },
  );
  const name = fc.constantFrom(
    "Authorization",
    "Authorization",
    "authorization",
    "AUTHORIZATION",
    "Proxy-Authorization",
    "X-Authorization",
  );
  let [found, none] = [0, 0];
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 3 }), (fields) => {
      const req = new IncomingMessage(new Socket());
      req.rawHeaders = fields.flat();
      const ours = fields.filter(([field]) => field.toLowerCase() === "authorization").map(([, text]) => text);
      const expected = bearerOf(ours);
      assert.deepEqual(carrier.read(req), expected === undefined ? [] : [expected]);
      if (expected === undefined) none += 1;
      else found += 1;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(found > 100 && none > 1_000, `${found} of ${none}`);
});
