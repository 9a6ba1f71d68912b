import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { test } from "node:test";
import express from "express";
import { isLocalhost, ProxyTrust, type TrustProxy } from "../../src/http/secure.ts";

const express4: typeof express = createRequire(import.meta.url)("express4");

/** A request as Node hands it over, without a server: what decides here are its headers, its socket and its application. */
function request(
  t: { after(action: () => void): void },
  { headers = {}, encrypted = false, app }: { headers?: Record<string, string>; encrypted?: boolean; app?: object },
) {
  const socket = new Socket();
  t.after(() => socket.destroy());
  Object.defineProperty(socket, "remoteAddress", { value: "10.0.0.7", configurable: true });
  if (encrypted) Object.defineProperty(socket, "encrypted", { value: true });
  const req = new IncomingMessage(socket);
  Object.assign(req.headers, headers);
  return Object.assign(req, app === undefined ? {} : { app });
}

const isSecure = (req: IncomingMessage, option?: TrustProxy) => new ProxyTrust(option).judge(req) === true;

/** A header's value, and whether one, two or three trusted proxies say by it that the client came over HTTPS. */
const FORWARDED: [value: string, byOne: boolean, byTwo?: boolean, byThree?: boolean][] = [
  ["https", true],
  ["HTTPS", true],
  [" https ", true],
  ["http, https", true, false],
  ["http,https", true, false],
  ["https, http", false, true],
  ["https,http", false, true],
  ["https, https, http", false, true, true],
  ["https, http, https", true, false, true],
  ["http", false],
  ["", false],
  [",", false],
  ["https,", false, true],
  ["https, ", false, true],
  ["httpss", false],
  ["https;", false],
  ["wss", true],
  ["ws", false],
  ['"https"', false],
  ["on", false],
];

test("without trust, no forwarded header makes a request secure", (t) => {
  for (const [value] of FORWARDED) {
    const req = request(t, { headers: { "x-forwarded-proto": value } });
    for (const option of [undefined, false, 0, () => false]) assert.equal(isSecure(req, option), false, value);
  }
});

test("with trust, the value that the nearest proxy added decides, or the farthest of several trusted ones", (t) => {
  for (const [value, byOne, byTwo = byOne, byThree = byTwo] of FORWARDED) {
    const req = request(t, { headers: { "x-forwarded-proto": value } });
    assert.deepEqual(
      [true, 1, 2, 3].map((option) => isSecure(req, option)),
      [byOne, byOne, byTwo, byThree],
      value,
    );
  }
});

test("a function is asked about the nearest proxy, and Express's own will do", (t) => {
  const app = express();
  app.set("trust proxy", "10.0.0.0/8");
  const req = request(t, { headers: { "x-forwarded-proto": "https" } });
  assert.equal(isSecure(req, app.get("trust proxy fn")), true);
  assert.equal(
    isSecure(req, (address, hop) => address === "10.0.0.7" && hop === 0),
    true,
  );
  app.set("trust proxy", "192.168.0.0/16");
  assert.equal(isSecure(req, app.get("trust proxy fn")), false);
});

test("what is no way to trust is refused by name", () => {
  for (const option of ["loopback", -1, 1.5, Number.NaN, null, {}, []]) {
    assert.throws(() => Reflect.construct(ProxyTrust, [option]), /TypeError: trustProxy must be/);
  }
});

test("TLS of its own is secure whatever a header says", (t) => {
  for (const trust of [true, false, undefined]) {
    assert.equal(isSecure(request(t, { encrypted: true }), trust), true);
    assert.equal(isSecure(request(t, { encrypted: true, headers: { "x-forwarded-proto": "http" } }), trust), true);
  }
});

test("other headers say nothing", (t) => {
  const headers = {
    forwarded: "proto=https",
    "x-forwarded-ssl": "on",
    "x-forwarded-protocol": "https",
    "x-url-scheme": "https",
    "front-end-https": "on",
  };
  assert.equal(isSecure(request(t, { headers }), true), false);
});

for (const [name, create] of [
  ["4", express4],
  ["5", express],
] as const) {
  const table: [unknown, boolean][] = [
    [undefined, false],
    [false, false],
    [true, true],
    [1, true],
    [2, true],
    [0, false],
    ["loopback", false],
    ["10.0.0.0/8", true],
    ["192.168.0.0/16", false],
    ["uniquelocal", true],
    [(address: string) => address === "10.0.0.7", true],
    [(address: string, hop: number) => address === "10.0.0.7" && hop > 0, false],
  ];

  test(`Express ${name}: its setting "trust proxy" decides where the option doesn't`, (t) => {
    for (const [setting, trusted] of table) {
      const app = create();
      if (setting !== undefined) app.set("trust proxy", setting);
      const req = request(t, { app, headers: { "x-forwarded-proto": "https" } });
      assert.equal(isSecure(req, undefined), trusted, String(setting));
      assert.equal(isSecure(req, true), true, "the option says yes");
      assert.equal(isSecure(req, false), false, "the option says no");
    }
  });

  test(`Express ${name}: where it knows the hops, a page is as secure as req.secure says`, (t) => {
    for (const [setting, values] of [
      [true, FORWARDED.map(([value]) => value)],
      [1, FORWARDED.map(([value]) => value).filter((value) => !value.includes(","))],
      [2, ["https", "http", "https,http", "http,https", "http, http", "https, https"]],
      [false, FORWARDED.map(([value]) => value)],
      ["10.0.0.0/8", ["https, http", "http, https"]],
    ] as const) {
      for (const value of values.filter((one) => one !== "wss" && one !== "HTTPS")) {
        const app = create();
        app.set("trust proxy", setting);
        const headers = { "x-forwarded-proto": value, "x-forwarded-for": "1.2.3.4, 10.0.0.8" };
        const req = request(t, { headers });
        Object.setPrototypeOf(req, app.request);
        assert.equal(isSecure(req, undefined), Reflect.get(req, "secure"), `${setting} ${value}`);
      }
    }
  });

  test(`Express ${name}: beyond the hops it trusts, the header is the client's own`, (t) => {
    for (const setting of [1, "10.0.0.0/8", (address: string) => address.startsWith("10.")]) {
      const app = create();
      app.set("trust proxy", setting);
      const headers = { "x-forwarded-proto": "https, http", "x-forwarded-for": "9.9.9.9, 1.2.3.4" };
      assert.equal(isSecure(request(t, { headers, app })), false);
      assert.equal(isSecure(request(t, { headers: { "x-forwarded-proto": "https, http" }, app })), false);
    }
  });
}

test("what passes no application is judged by the one that served the last page", (t) => {
  const trust = new ProxyTrust(undefined);
  const [trusting, strict] = [express(), express()];
  trusting.set("trust proxy", 1);
  const raw = request(t, { headers: { "x-forwarded-proto": "wss" } });
  assert.deepEqual([trust.judge(raw), trust.isUndecided], ["claimed", true]);
  trust.learn(request(t, {}));
  assert.deepEqual([trust.judge(raw), trust.isUndecided], ["claimed", false], "pages came, through no application");
  trust.learn(request(t, { app: trusting }));
  assert.equal(trust.judge(raw), true);
  trust.learn(request(t, {}));
  assert.equal(trust.judge(raw), true, "what has no application tells nothing");
  trust.learn(request(t, { app: strict }));
  assert.equal(trust.judge(raw), false);
});

test("the remedy names what is missing, and nothing that is there", (t) => {
  const app = express();
  app.set("trust proxy", 2);
  const told = (option: TrustProxy | undefined, headers: Record<string, string>, served?: object) => {
    const trust = new ProxyTrust(option);
    assert.notEqual(trust.judge(request(t, { headers, ...(served !== undefined && { app: served }) })), true);
    return trust.remedy;
  };
  const https = { "x-forwarded-proto": "https" };
  assert.match(told(undefined, {}), /let the proxy send X-Forwarded-Proto.*trust proxy.*"always".*"auto"/);
  assert.match(told(undefined, https), /not trusted.*app\.set\("trust proxy", 1\)/);
  assert.match(told(false, https), /not trusted/);
  assert.match(told(undefined, { "x-forwarded-proto": "http, https" }, app), /of your proxies says HTTP/);
  assert.match(told(1, { "x-forwarded-proto": "https, http" }), /of your proxies says HTTP.*number of proxies/);
});

test("localhost is a name of this machine, asked from this machine, with no proxy in between", (t) => {
  const ask = (host: string, from = "127.0.0.1", headers = {}) => {
    const req = request(t, { headers: { host, ...headers } });
    Object.defineProperty(req.socket, "remoteAddress", { value: from });
    return isLocalhost(req);
  };
  for (const host of ["localhost", "LOCALHOST:3000", "app.localhost:80", "127.0.0.1:3000", "127.8.9.1", "[::1]:3000"]) {
    for (const from of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) assert.equal(ask(host, from), true, host);
    assert.equal(ask(host, "192.168.1.2"), false, host);
    for (const header of ["x-forwarded-for", "x-forwarded-proto", "via", "forwarded"]) {
      assert.equal(ask(host, "127.0.0.1", { [header]: "x" }), false, header);
    }
  }
  for (const host of [
    "example.com",
    "localhost.example.com",
    "notlocalhost",
    "128.0.0.1",
    "127.0.0.1.example.com",
    "",
  ]) {
    assert.equal(ask(host), false, host);
  }
});

test("a request without a socket, or with an application that is none, is judged and not crashed on", (t) => {
  const req = request(t, { headers: { "x-forwarded-proto": "https" }, app: { get: "no function" } });
  for (const app of [{ get: () => undefined }, { get: () => "yes" }, {}]) {
    assert.equal(isSecure(request(t, { app, headers: { "x-forwarded-proto": "https" } }), undefined), false);
  }
  Reflect.set(req, "socket", null);
  Reflect.deleteProperty(req, "app");
  assert.equal(isSecure(req, undefined), false);
});
