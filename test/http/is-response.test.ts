import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { holdResponse, isResponse } from "../../src/http/held-response.ts";

const METHODS = { setHeader() {}, getHeader() {}, writeHead() {}, end() {} };
const whole: Record<string, object> = {
  "Node's own": new ServerResponse(new IncomingMessage(new Socket())),
  "one with a status, without events": { ...METHODS, statusCode: 200 },
  "a stream that has no status yet": Object.assign(new PassThrough(), METHODS),
  "a stream of another maker": { ...METHODS, writable: true },
};
const halves: Record<string, object> = {
  "an end alone": { end() {} },
  "a head alone": { writeHead() {} },
  "no headers": { end() {}, writeHead() {}, statusCode: 200 },
  "a stream that has no head": new Writable(),
};
const handshake = Object.assign(new EventEmitter(), METHODS);

test("half a response is reported once in a process; a whole one, a handshake's and none are not", async () => {
  const warnings: string[] = [];
  const listener = (warning: Error & { code?: string }) => warnings.push(`${warning.code} ${warning.message}`);
  process.on("warning", listener);
  for (const [name, res] of Object.entries(whole)) assert.equal(isResponse(res), true, name);
  for (const res of [undefined, null, {}, Object({ req: {} }), handshake]) assert.equal(isResponse(res), false);
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
  for (const [name, res] of Object.entries(halves)) assert.equal(isResponse(res), false, name);
  await new Promise(setImmediate);
  process.off("warning", listener);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^SOJOURN .*has no method writeHead, setHeader, getHeader: .*req\.session\.save\(\)/);
});

test("a mock's own headersSent says true while the head waits, and what the mock says afterwards", async () => {
  let commit = () => {};
  const committed = new Promise<void>((resolve) => {
    commit = resolve;
  });
  const res = { ...METHODS, write() {}, statusCode: 200, headersSent: false };
  const hooks = { beforeHeaders: () => committed, writeHeaders() {}, beforeEnd() {}, failed() {} };
  holdResponse(Object(res), hooks);
  res.end();
  assert.equal(res.headersSent, true);
  commit();
  await new Promise(setImmediate);
  assert.equal(res.headersSent, false);
});
