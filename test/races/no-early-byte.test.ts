import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryStore } from "../../src/index.ts";
import { faulty, gated } from "../../src/testing/index.ts";
import { type Client, handleOf, tokenOf } from "../support/client.ts";
import { exchange } from "./raw.ts";
import { rest } from "./steps.ts";
import { everyWay, onExpress, onHttp1 } from "./ways.ts";
import { startExpress, startPlain } from "./ways-server.ts";

/** No byte of a response is on the wire before the store has confirmed its session, however the response is sent. */

const servers = {
  "node:http": { start: startPlain, ways: onHttp1 },
  "Express 5": { start: startExpress, ways: onExpress },
} as const;

for (const [name, { start, ways }] of Object.entries(servers)) {
  test(`${name}: nothing leaves before the commit`, async (t) => {
    const inner = new MemoryStore();
    const { store, hold } = gated(inner, { synchronousLoad: false });
    const { port, client } = await start(t, store);
    for (const { way, method } of everyWay(ways)) {
      await t.test(`${way}, ${method}`, async () => {
        const token = await newSession(client);
        const mark = `${method} ${way}`;
        const gate = hold("update", "after");
        const raw = exchange(port, request(method, way, token), () => assertStored(inner, token, mark));
        await gate.reached;
        await elsewhere(client);
        assert.equal(raw.received(), "");
        gate.release();
        const answer = await raw.ended;
        assert.match(answer, /^HTTP\/1\.1 [23]\d\d /);
        assert.doesNotMatch(answer, /set-cookie: sid=/i);
      });
    }
  });

  test(`${name}: a session that begins is stored before its cookie leaves`, async (t) => {
    const inner = new MemoryStore();
    const { store, hold } = gated(inner, { synchronousLoad: false });
    const { port, client } = await start(t, store);
    for (const { way, method } of everyWay(ways)) {
      await t.test(`${way}, ${method}`, async () => {
        const gate = hold("create", "after");
        const raw = exchange(port, request(method, way));
        await gate.reached;
        await elsewhere(client);
        assert.equal(raw.received(), "");
        gate.release();
        const answer = await raw.ended;
        const [, token = ""] = /\r\nset-cookie: sid=([^;]+);/i.exec(answer) ?? [];
        assertStored(inner, token, `${method} ${way}`);
        assert.equal(answer.split(/\r\nset-cookie: sid=/i).length, 2, "the cookie is set once");
      });
    }
  });

  test(`${name}: a commit that fails is the error handler's answer, without a cookie`, async (t) => {
    const { store, fail, heal } = faulty(new MemoryStore(), { synchronousLoad: false });
    const { port, client } = await start(t, store);
    for (const { way, method } of everyWay(ways)) {
      await t.test(`${way}, ${method}`, async () => {
        const token = await newSession(client);
        for (const shown of [token, undefined]) {
          fail(shown === undefined ? "create" : "update", { kind: "error" }, Number.POSITIVE_INFINITY);
          const answer = await exchange(port, request(method, way, shown)).ended;
          heal();
          assert.match(answer, /^HTTP\/1\.1 503 /);
          assert.doesNotMatch(answer, /set-cookie: sid=/i);
          assert.doesNotMatch(answer, /the answer|\r\nlocation:/i);
          if (method === "GET") assert.match(answer, /STORE_UNAVAILABLE/);
        }
      });
    }
  });

  test(`${name}: with a store that takes 300 ms, all ways at once`, async (t) => {
    const inner = new MemoryStore();
    const { store, fail } = faulty(inner, { synchronousLoad: false });
    const { port, client } = await start(t, store);
    fail("any", { kind: "delay", ms: 300 }, Number.POSITIVE_INFINITY);
    await Promise.all(
      everyWay(ways).map(async ({ way, method }) => {
        const token = await newSession(client);
        const raw = exchange(port, request(method, way, token), () => assertStored(inner, token, `${method} ${way}`));
        assert.match(await raw.ended, /^HTTP\/1\.1 [23]\d\d /);
      }),
    );
  });
}

for (const [name, { start }] of Object.entries(servers)) {
  test(`${name}: a stream flows after the commit, and ends after that of what changed meanwhile`, async (t) => {
    const inner = new MemoryStore();
    const { store, hold } = gated(inner, { synchronousLoad: false });
    const { port, client } = await start(t, store);
    const token = await newSession(client);
    const first = hold("update", "after");
    const raw = exchange(port, ["GET /events HTTP/1.1", `Cookie: sid=${token}`], () =>
      assertStored(inner, token, "before"),
    );
    await first.reached;
    await elsewhere(client);
    assert.equal(raw.received(), "");
    first.release();
    await raw.saw("data: first");
    const second = hold("update", "after");
    await client.send("/go-on", { method: "POST" });
    await raw.saw("data: second");
    await second.reached;
    await elsewhere(client);
    assert.doesNotMatch(raw.received(), /\r\n0\r\n\r\n$/, "the stream ended before its commit");
    second.release();
    assert.match(await raw.ended, /\r\n0\r\n\r\n$/);
    assertStored(inner, token, "meanwhile");
  });
}

function request(method: string, way: string, token?: string): string[] {
  const mark = encodeURIComponent(`${method} ${way}`);
  return [
    `${method} /answer?way=${encodeURIComponent(way)}&mark=${mark} HTTP/1.1`,
    ...(token === undefined ? [] : [`Cookie: sid=${token}`]),
  ];
}

async function newSession(client: Client): Promise<string> {
  return tokenOf(await client.send("/begin", { method: "POST" }));
}

/** A whole exchange on another connection: whatever was on its way to a client has arrived. */
async function elsewhere(client: Client): Promise<void> {
  await rest();
  await client.send("/nothing");
}

function assertStored(store: MemoryStore, token: string, mark: string): void {
  const record = store.load(handleOf(token));
  assert.ok(record, "not stored");
  assert.ok(record.payload.includes(JSON.stringify(mark)), "the client has a byte before the store has the change");
}
