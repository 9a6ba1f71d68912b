import assert from "node:assert/strict";
import { createHmac, KeyObject, sign as signBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { describe, test } from "node:test";
import express from "express";
import { exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";
import { backchannelLogout } from "../../src/identity/oidc.ts";
import { MemoryStore, session } from "../../src/index.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { faulty } from "../../src/testing/faulty-store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Cleanup, listen } from "../support/site.ts";
import {
  application,
  CLIENT,
  curve,
  EVENT,
  encode,
  goodClaims,
  ISSUER,
  type Pair,
  publicJwk,
  rsa,
  START,
  sign,
  twoUsers,
} from "./logout-endpoint.ts";

const other: Pair = await generateKeyPair("RS256", { extractable: true });

describe("a good logout token ends its sessions, and no other", () => {
  test("by sid: the sessions of that login, whoever's they are by sub", async (t) => {
    const provider = await twoUsers(t);
    await provider.login("carol", "sid-1");
    assert.deepEqual(await provider.post(await sign(goodClaims())), { status: 200, body: "", cache: "no-store" });
    assert.deepEqual(await provider.users(), ["bob"]);
  });

  test("by sub alone: all sessions of that user", async (t) => {
    const provider = await twoUsers(t);
    await provider.login("alice");
    const { sid: _, ...claims } = goodClaims();
    assert.equal((await provider.post(await sign(claims))).status, 200);
    assert.deepEqual(await provider.users(), ["bob"]);
  });

  test("by sub alone: userIdOf says whose, and undefined that nobody's are meant", async (t) => {
    const ids = new Map([["sub-of-bob", "bob"]]);
    const provider = await twoUsers(t, { options: { userIdOf: async (sub) => ids.get(sub) } });
    const { sid: _, ...claims } = goodClaims();
    assert.equal((await provider.post(await sign({ ...claims, sub: "sub-of-bob" }))).status, 200);
    assert.deepEqual(await provider.users(), ["alice"]);
    assert.equal((await provider.post(await sign({ ...claims, jti: "j2", sub: "unknown" }))).status, 200);
    assert.deepEqual(await provider.users(), ["alice"]);
  });

  test("linkOf keeps the sessions of two providers apart", async (t) => {
    const provider = await application(t, { options: { linkOf: (sid) => `example ${sid}` } });
    await provider.login("alice", "example sid-1");
    await provider.login("bob", "sid-1");
    assert.equal((await provider.post(await sign(goodClaims()))).status, 200);
    assert.deepEqual(await provider.users(), ["bob"]);
  });

  test("nothing to end is a success", async (t) => {
    const provider = await application(t);
    assert.equal((await provider.post(await sign(goodClaims()))).status, 200);
    assert.deepEqual(provider.refusals, []);
  });

  const VARIANTS: [name: string, make: () => Promise<string>][] = [
    ["several audiences", () => sign({ ...goodClaims(), aud: ["other", CLIENT] })],
    ["typ logout+jwt", () => sign(goodClaims(), { typ: "logout+jwt" })],
    ["typ application/logout+jwt", () => sign(goodClaims(), { typ: "application/Logout+JWT" })],
    ["typ JWT", () => sign(goodClaims(), { typ: "JWT" })],
    ["ES256", () => sign(goodClaims(), { alg: "ES256", kid: "curve" }, curve)],
    ["PS256 without a kid", () => signPs256()],
    ["no kid", () => sign(goodClaims(), { kid: undefined })],
    ["a clock that is 50 s ahead", () => sign({ ...goodClaims(START + 50_000) })],
    ["a clock that is 50 s behind at the end", () => sign({ ...goodClaims(), exp: START / 1_000 - 50 })],
    ["an event with members", () => sign({ ...goodClaims(), events: { [EVENT]: { a: 1 }, "urn:other": {} } })],
    ["no sub", () => sign({ ...goodClaims(), sub: undefined })],
  ];
  for (const [name, make] of VARIANTS) {
    test(`as some providers make it: ${name}`, async (t) => {
      const provider = await twoUsers(t);
      const answer = await provider.post(await make());
      assert.deepEqual([answer.status, answer.body], [200, ""]);
      assert.deepEqual(await provider.users(), ["bob"]);
    });
  }

  async function signPs256(): Promise<string> {
    const { importPKCS8, exportPKCS8 } = await import("jose");
    const key = await importPKCS8(await exportPKCS8(rsa.privateKey), "PS256");
    return new SignJWT(goodClaims()).setProtectedHeader({ alg: "PS256" }).sign(key);
  }

  test("several keys of the provider fit a token without a kid: one of them signed it", async (t) => {
    const keys = [await publicJwk(other), await publicJwk(rsa)];
    const provider = await twoUsers(t, { options: { jwks: { keys } } });
    assert.equal((await provider.post(await sign(goodClaims(), { kid: undefined }))).status, 200);
    const stranger = await generateKeyPair("RS256");
    const forged = await provider.post(await sign({ ...goodClaims(), sid: "sid-2" }, { kid: undefined }, stranger));
    assert.equal(forged.status, 400);
    assert.deepEqual(await provider.users(), ["bob"]);
  });
});

describe("a token that differs from a good one in one respect is refused, and ends nothing", () => {
  const past = START / 1_000;
  const CASES: [name: string, reason: string, make: () => Promise<string>][] = [
    ["another issuer", "issuer", () => sign({ ...goodClaims(), iss: "https://evil.example" })],
    ["an issuer with a slash more", "issuer", () => sign({ ...goodClaims(), iss: `${ISSUER}/` })],
    ["no issuer", "issuer", () => sign({ ...goodClaims(), iss: undefined })],
    ["another audience", "audience", () => sign({ ...goodClaims(), aud: "other" })],
    ["an audience that begins alike", "audience", () => sign({ ...goodClaims(), aud: `${CLIENT}2` })],
    ["no audience", "audience", () => sign({ ...goodClaims(), aud: undefined })],
    ["expired", "expired", () => sign({ ...goodClaims(), exp: past - 61 })],
    ["no exp", "claims", () => sign({ ...goodClaims(), exp: undefined })],
    ["exp as a text", "claims", () => sign({ ...goodClaims(), exp: String(past + 60) })],
    ["iat in the future", "issued-in-future", () => sign({ ...goodClaims(), iat: past + 61 })],
    ["no iat", "claims", () => sign({ ...goodClaims(), iat: undefined })],
    ["nbf in the future", "not-yet-valid", () => sign({ ...goodClaims(), nbf: past + 61 })],
    ["a nonce", "nonce", () => sign({ ...goodClaims(), nonce: "n" })],
    ["a nonce that is null", "nonce", () => sign({ ...goodClaims(), nonce: null })],
    ["no events", "events", () => sign({ ...goodClaims(), events: undefined })],
    ["events as a list", "events", () => sign({ ...goodClaims(), events: [EVENT] })],
    ["another event", "events", () => sign({ ...goodClaims(), events: { "urn:other": {} } })],
    ["an event that is no object", "events", () => sign({ ...goodClaims(), events: { [EVENT]: true } })],
    ["an event of the prototype", "events", () => sign({ ...goodClaims(), events: { ["__proto__"]: {} } })],
    ["no sid and no sub", "claims", () => sign({ ...goodClaims(), sid: undefined, sub: undefined })],
    ["an empty sid", "claims", () => sign({ ...goodClaims(), sid: "" })],
    ["a sid that is a number", "claims", () => sign({ ...goodClaims(), sid: 1 })],
    ["a sub that is a list", "claims", () => sign({ ...goodClaims(), sid: undefined, sub: ["alice"] })],
    ["a sid of 256 characters", "claims", () => sign({ ...goodClaims(), sid: "s".repeat(256) })],
    ["no jti", "claims", () => sign({ ...goodClaims(), jti: undefined })],
    ["an empty jti", "claims", () => sign({ ...goodClaims(), jti: "" })],
    ["typ of an access token", "type", () => sign(goodClaims(), { typ: "at+jwt" })],
    ["typ of a security event", "type", () => sign(goodClaims(), { typ: "secevent+jwt" })],
    ["another key of the same kid", "signature", () => sign(goodClaims(), {}, other)],
    ["an unknown kid", "signature", () => sign(goodClaims(), { kid: "unknown" })],
    ["the key of another algorithm", "signature", () => sign(goodClaims(), { kid: "curve" })],
    ["its own key in the header", "signature", async () => sign(goodClaims(), { jwk: await publicJwk(other) }, other)],
    ["its own key's address", "signature", () => sign(goodClaims(), { jku: "https://evil.example/jwks" }, other)],
    ["an extension that nobody knows", "malformed", () => signCritical()],
    ["an unencoded payload (RFC 7797)", "malformed", () => signUnencoded()],
    ["alg none", "algorithm", async () => `${encode({ alg: "none" })}.${encode(goodClaims())}.`],
    ["alg nOnE", "algorithm", async () => `${encode({ alg: "nOnE" })}.${encode(goodClaims())}.`],
    ["no alg", "algorithm", async () => `${encode({ typ: "JWT" })}.${encode(goodClaims())}.`],
    [
      "alg none with the good signature",
      "algorithm",
      async () => withHeader(await sign(goodClaims()), { alg: "none" }),
    ],
    ["HS256 by the public key's text", "algorithm", async () => hs256(await exportSPKI(rsa.publicKey))],
    ["HS256 by the public key's JSON", "algorithm", async () => hs256(JSON.stringify(await publicJwk(rsa, "rsa")))],
    ["HS256 by an empty key", "algorithm", async () => hs256("")],
    ["no signature", "signature", async () => (await sign(goodClaims())).replace(/[^.]*$/, "")],
    ["no third part", "malformed", async () => (await sign(goodClaims())).replace(/\.[^.]*$/, "")],
    ["a signature cut short", "signature", async () => (await sign(goodClaims())).slice(0, -4)],
    ["a signature with one bit turned over", "signature", async () => flipped(await sign(goodClaims()))],
    ["ES256, a signature of zeros (CVE-2022-21449)", "signature", async () => es256(Buffer.alloc(64))],
    ["ES256, a signature in DER", "signature", async () => es256(Buffer.from("30060201010201013006", "hex"))],
    ["another payload under a good signature", "signature", async () => otherPayload()],
    ["a part too many", "malformed", async () => `${await sign(goodClaims())}.e30`],
    ["the JSON form of a signature", "malformed", async () => jsonForm(await sign(goodClaims()))],
    ["padding within", "malformed", async () => (await sign(goodClaims())).replace(".", "=.")],
    ["a header that is no JSON", "malformed", async () => `AAAA.${encode(goodClaims())}.AAAA`],
    ["a payload that is a list", "malformed", async () => withPayload([])],
    ["an encrypted token", "malformed", async () => "e30.e30.e30.e30.e30"],
    ["an empty text", "malformed", async () => ""],
    ["a line break", "malformed", async () => "a\nb.c.d"],
    ["a token of 10,000 dots", "malformed", async () => ".".repeat(10_000)],
  ];

  function withHeader(token: string, header: object): string {
    return token.replace(/^[^.]*/, encode(header));
  }
  async function withPayload(payload: unknown): Promise<string> {
    return (await sign(goodClaims())).replace(/\.[^.]*\./, `.${encode(payload)}.`);
  }
  async function otherPayload(): Promise<string> {
    return withPayload({ ...goodClaims(), sid: "sid-2" });
  }
  function hs256(key: string): string {
    const text = `${encode({ alg: "HS256", kid: "rsa" })}.${encode(goodClaims())}`;
    return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
  }
  function es256(signature: Buffer): string {
    return `${encode({ alg: "ES256", kid: "curve" })}.${encode(goodClaims())}.${signature.toString("base64url")}`;
  }
  function flipped(token: string): string {
    const at = token.lastIndexOf(".") + 20;
    return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
  }
  function jsonForm(token: string): string {
    const [header, payload, signature] = token.split(".");
    return JSON.stringify({ protected: header, payload, signature });
  }
  function signCritical(): Promise<string> {
    const header = { alg: "RS256", kid: "rsa", crit: ["exp"], exp: 1 };
    return new SignJWT(goodClaims()).setProtectedHeader(header).sign(rsa.privateKey, { crit: { exp: true } });
  }
  /** Signed well: what is signed is the payload as it stands there, which happens to be base64url. */
  async function signUnencoded(): Promise<string> {
    const text = `${encode({ alg: "RS256", kid: "rsa", crit: ["b64"], b64: false })}.${encode(goodClaims())}`;
    return `${text}.${signBytes("sha256", Buffer.from(text), KeyObject.from(rsa.privateKey)).toString("base64url")}`;
  }

  for (const [name, reason, make] of CASES) {
    test(`${name}: ${reason}`, async (t) => {
      const provider = await twoUsers(t);
      await provider.login("carol", "s".repeat(255));
      const answer = await provider.post(await make());
      assert.equal(answer.status, 400);
      assert.equal(answer.cache, "no-store");
      assert.deepEqual(Object.keys(JSON.parse(answer.body)), ["error", "error_description"]);
      assert.equal(JSON.parse(answer.body).error, "invalid_request");
      assert.deepEqual(provider.refusals, [{ issuer: ISSUER, reason }]);
      assert.deepEqual(await provider.users(), ["alice", "bob", "carol"]);
      assert.deepEqual(provider.errors, []);
    });
  }

  test("used before: the second time it is refused, and ends no login made since", async (t) => {
    const provider = await twoUsers(t);
    const token = await sign(goodClaims());
    assert.equal((await provider.post(token)).status, 200);
    await provider.login("alice", "sid-1");
    assert.equal((await provider.post(token)).status, 400);
    assert.deepEqual(provider.refusals, [{ issuer: ISSUER, reason: "replayed" }]);
    // The same jti in a newer token is the same logout.
    const { jti } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    assert.equal((await provider.post(await sign({ ...goodClaims(), jti, iat: past + 1 }))).status, 400);
    assert.deepEqual(await provider.users(), ["alice", "bob"]);
  });

  test("a jti of another issuer is another logout, in the same store", async (t) => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const claims = goodClaims();
    const first = await application(t, { store });
    assert.equal((await first.post(await sign(claims))).status, 200);
    const issuer = "https://other.example.com";
    const other = await twoUsers(t, { store, options: { issuer } });
    assert.equal((await other.post(await sign({ ...claims, iss: issuer }))).status, 200);
    assert.deepEqual(await other.users(), ["bob"]);
  });

  test("a used token stays used for an hour after it expired, by a clock that goes back", async (t) => {
    const provider = await twoUsers(t);
    const token = await sign(goodClaims());
    assert.equal((await provider.post(token)).status, 200);
    provider.clock.set(START + 3_600_000);
    await provider.login("alice", "sid-1");
    provider.clock.set(START);
    assert.equal((await provider.post(token)).status, 400);
    assert.deepEqual(provider.refusals, [{ issuer: ISSUER, reason: "replayed" }]);
  });
});

describe("the form", () => {
  const PARSERS: [name: string, parser: express.RequestHandler | undefined][] = [
    ["no parser", undefined],
    ["express.urlencoded()", express.urlencoded()],
    ["express.urlencoded({ extended: true })", express.urlencoded({ extended: true })],
    ["express.text()", express.text({ type: "*/*" })],
    ["express.raw()", express.raw({ type: "*/*" })],
    ["express.json()", express.json()],
  ];
  for (const [name, parser] of PARSERS) {
    const setUp = parser === undefined ? {} : { parser };
    test(`is read with ${name} above`, async (t) => {
      const provider = await twoUsers(t, setUp);
      assert.equal((await provider.post(await sign(goodClaims()))).status, 200);
      assert.deepEqual(await provider.users(), ["bob"]);
    });

    test(`has exactly one token, and is a form, with ${name} above`, async (t) => {
      const provider = await twoUsers(t, setUp);
      const token = await sign(goodClaims());
      const bodies: [body: string, headers?: Record<string, string>][] = [
        [""],
        ["token=a"],
        [`logout_token=${token}&logout_token=${token}`],
        [`logout_token[]=${token}`],
        [`logout_token[a]=${token}`],
      ];
      for (const [body, headers] of bodies)
        assert.equal((await provider.send(body, headers)).status, 400, body.slice(0, 40));
      assert.ok(provider.refusals.every(({ reason }) => reason === "request" || reason === "malformed"));
      assert.deepEqual(await provider.users(), ["alice", "bob"]);
    });
  }

  test("of another type, too long or compressed is none", async (t) => {
    const provider = await twoUsers(t);
    const body = new URLSearchParams({ logout_token: await sign(goodClaims()) }).toString();
    assert.equal((await provider.send(body, { "content-type": "text/plain" })).status, 400);
    assert.equal((await provider.send(body, { "content-encoding": "gzip" })).status, 400);
    assert.equal((await provider.send(`a=${"a".repeat(16_384)}&${body}`)).status, 400);
    assert.equal((await fetch(`${provider.url}/backchannel-logout?${body}`)).status, 400);
    assert.deepEqual(await provider.users(), ["alice", "bob"]);
    assert.equal(
      (await provider.send(body, { "content-type": "application/x-www-form-urlencoded; charset=utf-8" })).status,
      200,
    );
  });

  test("too long without a length is refused before it ends", async (t) => {
    const provider = await application(t);
    const req = request(`${provider.url}/backchannel-logout`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", "transfer-encoding": "chunked" },
    });
    req.on("error", () => {});
    req.write("a".repeat(20_000));
    const [response] = await once(req, "response");
    assert.equal(response.statusCode, 400);
    req.destroy();
  });
});

describe("a failure is no refusal: the same token works later", () => {
  test("of the store", async (t) => {
    const clock = new ManualClock();
    const { store, fail } = faulty(new MemoryStore({ clock }), { clock });
    const provider = await twoUsers(t, { store });
    for (const operation of ["load", "deleteAll", "create"] as const) {
      await provider.login("alice", "sid-1");
      const token = await sign(goodClaims());
      fail(operation, { kind: "error" });
      const failed = await provider.post(token);
      assert.deepEqual([failed.status, failed.body], [503, "STORE_UNAVAILABLE"], operation);
      assert.equal((await provider.post(token)).status, 200, operation);
      assert.deepEqual(await provider.users(), ["bob"], operation);
    }
    assert.deepEqual(provider.refusals, []);
  });
});

interface Documents {
  status: number;
  issuer: string;
  jwksUri: string;
  keys: JWK[];
  /** The paths that were asked for. */
  asked: string[];
}

/** A provider's two documents, which a test can change or take away. */
async function documents(t: Cleanup): Promise<{ issuer: string; site: Documents }> {
  const site: Documents = { status: 200, issuer: "", jwksUri: "", keys: [], asked: [] };
  const server = createServer((req, res) => {
    const { url = "" } = req;
    site.asked.push(url);
    res.statusCode = site.status;
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify(url === "/keys" ? { keys: site.keys } : { issuer: site.issuer, jwks_uri: site.jwksUri }));
  });
  const { port } = await listen(t, server, { close: async () => {} });
  const issuer = `http://127.0.0.1:${port}`;
  site.issuer = issuer;
  site.jwksUri = `${issuer}/keys`;
  site.keys = [await publicJwk(rsa, "rsa")];
  return { issuer, site };
}

describe("the provider's keys", () => {
  const discovery = "/.well-known/openid-configuration";

  test("are found by its discovery document, once, and not for a token that is wrong anyway", async (t) => {
    const { issuer, site } = await documents(t);
    const provider = await twoUsers(t, { options: { issuer, jwks: undefined } });
    await provider.post(await sign(goodClaims()));
    assert.deepEqual(site.asked, [], "the issuer is another one");
    assert.equal((await provider.post(await sign({ ...goodClaims(), iss: issuer }))).status, 200);
    assert.equal((await provider.post(await sign({ ...goodClaims(), iss: issuer }))).status, 200);
    assert.deepEqual(site.asked, [discovery, "/keys"]);
    assert.deepEqual(await provider.users(), ["bob"]);
  });

  test("are fetched from their address if that is given", async (t) => {
    const { issuer, site } = await documents(t);
    const provider = await twoUsers(t, { options: { jwks: `${issuer}/keys` } });
    assert.equal((await provider.post(await sign(goodClaims()))).status, 200);
    assert.deepEqual(site.asked, ["/keys"]);
  });

  test("forged tokens of unknown keys make it ask once, not each time", async (t) => {
    const { issuer, site } = await documents(t);
    const provider = await twoUsers(t, { options: { issuer, jwks: undefined } });
    const forge = async (kid: string) => provider.post(await sign({ ...goodClaims(), iss: issuer }, { kid }, other));
    for (let n = 0; n < 20; n += 1) assert.equal((await forge(`kid-${n}`)).status, 400);
    assert.deepEqual(site.asked, [discovery, "/keys"]);
  });

  test("that can't be fetched are an error of 503, asked for again after a pause", async (t) => {
    const { issuer, site } = await documents(t);
    const provider = await twoUsers(t, { options: { issuer, jwks: undefined } });
    site.status = 500;
    const token = await sign({ ...goodClaims(), iss: issuer });
    for (let n = 0; n < 5; n += 1) {
      const answer = await provider.post(token);
      assert.deepEqual([answer.status, answer.body], [503, "PROVIDER_UNAVAILABLE"]);
    }
    assert.deepEqual(site.asked, [discovery]);
    site.status = 200;
    provider.clock.advance(10_000);
    assert.equal((await provider.post(token)).status, 200);
    assert.deepEqual(await provider.users(), ["bob"]);
    assert.deepEqual(provider.refusals, []);
  });

  test("of another issuer's document, or of an unsafe address, are not used", async (t) => {
    for (const change of [
      { issuer: "https://evil.example" },
      { jwksUri: "http://evil.example/keys" },
      { jwksUri: "" },
    ]) {
      const { issuer, site } = await documents(t);
      const provider = await twoUsers(t, { options: { issuer, jwks: undefined } });
      Object.assign(site, change);
      const answer = await provider.post(await sign({ ...goodClaims(), iss: issuer }));
      assert.deepEqual([answer.status, answer.body], [503, "PROVIDER_UNAVAILABLE"], JSON.stringify(change));
      assert.deepEqual(await provider.users(), ["alice", "bob"]);
    }
  });
});

test("options that can't work are refused with the remedy", () => {
  const sessions = session();
  const sealed = session({ store: new SealedStore({ secret: "0123456789abcdefghijklmnopqrstuvwxyzABCDEF" }) });
  const good = { sessions, issuer: ISSUER, clientId: CLIENT };
  const oct = { keys: [{ kty: "oct", k: "AAAA" }] };
  const cases: [options: unknown, message: RegExp][] = [
    [undefined, /options must be an object/],
    [{ ...good, sessions: undefined }, /sessions must be what session\(\) returned/],
    [{ ...good, sessions: () => {} }, /sessions must be what session\(\) returned/],
    [{ ...good, sessions: sealed }, /in a store that can list them/],
    [{ ...good, issuer: "login.example.com" }, /issuer must be the provider's issuer/],
    [{ ...good, issuer: "http://login.example.com" }, /plain http only on this machine/],
    [{ ...good, issuer: `${ISSUER}?a` }, /issuer must be/],
    [{ ...good, clientId: "" }, /clientId must be/],
    [{ ...good, jwks: {} }, /jwks must be an object \{ keys/],
    [{ ...good, jwks: oct }, /of public keys/],
    [{ ...good, jwks: "http://evil.example/keys" }, /an address over HTTPS/],
    [{ ...good, algorithms: [] }, /algorithms must be some of RS256/],
    [{ ...good, algorithms: ["RS256", "HS256"] }, /symmetric ones and "none" prove nothing/],
    [{ ...good, algorithms: ["none"] }, /symmetric ones and "none" prove nothing/],
    [{ ...good, algorithms: "RS256" }, /must be a list of strings/],
    [{ ...good, userIdOf: "sub" }, /userIdOf must be a function/],
    [{ ...good, linkOf: "sid" }, /linkOf must be a function/],
    [{ ...good, clockTolerance: "a while" }, /clockTolerance/],
    [{ ...good, clientID: "shop" }, /clientID \}\) is not an option: the options are sessions/],
  ];
  for (const [options, message] of cases)
    assert.throws(() => Reflect.apply(backchannelLogout, undefined, [options]), { name: "TypeError", message });
});
