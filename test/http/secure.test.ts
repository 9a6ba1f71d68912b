import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { test } from "node:test";
import express from "express";
import { isSecure } from "../../src/http/secure.ts";

const express4: typeof express = createRequire(import.meta.url)("express4");

/** A request as Node hands it over, without a server: what decides here are its headers, its socket and its application. */
function request(
  t: { after(action: () => void): void },
  { headers = {}, encrypted = false, app }: { headers?: Record<string, string>; encrypted?: boolean; app?: object },
) {
  const socket = new Socket();
  t.after(() => socket.destroy());
  Object.defineProperty(socket, "remoteAddress", { value: "10.0.0.7" });
  if (encrypted) Object.defineProperty(socket, "encrypted", { value: true });
  const req = new IncomingMessage(socket);
  Object.assign(req.headers, headers);
  return Object.assign(req, app === undefined ? {} : { app });
}

const FORWARDED: [value: string, isHttps: boolean][] = [
  ["https", true],
  ["HTTPS", true],
  [" https ", true],
  ["http, https", true],
  ["http,https", true],
  ["https, http", false],
  ["https,http", false],
  ["https, https, http", false],
  ["http", false],
  ["", false],
  [",", false],
  ["https,", false],
  ["https, ", false],
  ["httpss", false],
  ["https;", false],
  ["wss", false],
  ['"https"', false],
  ["on", false],
];

test("without trust, no forwarded header makes a request secure", (t) => {
  for (const [value] of FORWARDED) {
    assert.equal(isSecure(request(t, { headers: { "x-forwarded-proto": value } }), undefined), false, value);
    assert.equal(isSecure(request(t, { headers: { "x-forwarded-proto": value } }), false), false, value);
  }
});

test("with trust, the value that the nearest proxy added decides, not those that came from the client", (t) => {
  for (const [value, isHttps] of FORWARDED) {
    assert.equal(isSecure(request(t, { headers: { "x-forwarded-proto": value } }), true), isHttps, value);
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
  test(`Express ${name}: its setting "trust proxy" decides where the option doesn't`, (t) => {
    const table: [unknown, boolean][] = [
      [undefined, false],
      [false, false],
      [true, true],
      [1, true],
      [0, false],
      ["loopback", false],
      ["10.0.0.0/8", true],
      ["192.168.0.0/16", false],
      ["uniquelocal", true],
      [(address: string) => address === "10.0.0.7", true],
      [(address: string, hop: number) => address === "10.0.0.7" && hop > 0, false],
    ];
    for (const [setting, trusted] of table) {
      const app = create();
      if (setting !== undefined) app.set("trust proxy", setting);
      const req = request(t, { app, headers: { "x-forwarded-proto": "https" } });
      assert.equal(isSecure(req, undefined), trusted, String(setting));
      assert.equal(isSecure(req, true), true, "the option says yes");
      assert.equal(isSecure(req, false), false, "the option says no");
    }
  });
}

test("a request without a socket, or with an application that is none, is judged and not crashed on", (t) => {
  const req = request(t, { headers: { "x-forwarded-proto": "https" }, app: { get: "no function" } });
  for (const app of [{ get: () => undefined }, { get: () => "yes" }, {}]) {
    assert.equal(isSecure(request(t, { app, headers: { "x-forwarded-proto": "https" } }), undefined), false);
  }
  Reflect.set(req, "socket", null);
  Reflect.deleteProperty(req, "app");
  assert.equal(isSecure(req, undefined), false);
});
