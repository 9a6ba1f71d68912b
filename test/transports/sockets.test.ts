import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { socketSite } from "./socket-site.ts";

const secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

/** A client of one server: what a browser or an application does with it. */
class Client {
  readonly #port: number;
  constructor(port: number) {
    this.#port = port;
  }

  async get(path: string, headers: http.OutgoingHttpHeaders = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      http.get({ host: "127.0.0.1", port: this.#port, path, headers, agent: false }, resolve).on("error", reject);
    });
  }

  /** A page that nobody reads: of interest is what it does. */
  async visit(path: string, headers: http.OutgoingHttpHeaders = {}): Promise<IncomingMessage> {
    const res = await this.get(path, headers);
    await textOf(res);
    return res;
  }

  async login(): Promise<{ cookie: string; handle: string }> {
    const res = await this.get("/login");
    return { cookie: res.headers["set-cookie"]?.[0]?.split(";")[0] ?? "", handle: await textOf(res) };
  }

  /** An open WebSocket that was answered once; `closed` is the code and the reason of its end. */
  async socket(headers: Record<string, string>, path = "/") {
    const ws = new WebSocket(`ws://127.0.0.1:${this.#port}${path}`, { headers });
    const closed = new Promise<string>((resolve) => {
      ws.on("close", (code, reason) => resolve(`${code} ${reason}`));
    });
    await once(ws, "open");
    /** The answer, or how the connection ended instead. */
    const ask = async (text: string): Promise<string> => {
      ws.send(text);
      return Promise.race([once(ws, "message").then(([answer]) => String(answer)), closed]);
    };
    return { said: await ask("hello"), ask, closed };
  }

  /** What an event stream says until it ends. */
  async events(headers: http.OutgoingHttpHeaders): Promise<{ ended: Promise<string> }> {
    const res = await this.get("/events", headers);
    assert.equal(res.statusCode, 200);
    return { ended: textOf(res) };
  }
}

async function textOf(res: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of res.setEncoding("utf8")) text += chunk;
  return text;
}

const STREAM = "data: alice\n\nevent: end\ndata: session ended\n\n";

async function start(t: TestContext, options: Parameters<typeof socketSite>[0]) {
  const { server, sessions } = socketSite({ secret, ...options });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await sessions.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { client: new Client(address.port), sessions };
}

/** The look that is under way sets the timer of the next one when it is done. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a WebSocket of ws and an event stream in one process close at once when their session ends", async (t) => {
  for (const [way, code] of [
    ["/logout", 4_401],
    ["/login", 1_008],
    ["/revoke-all", 4_401],
    ["/revoke", 1_008],
  ] as const) {
    const { client } = await start(t, {});
    const { cookie, handle } = await client.login();
    const other = await client.login();
    const socket = await client.socket({ cookie }, `/?code=${code}`);
    const stream = await client.events({ cookie });
    const bystander = await client.socket({ cookie: other.cookie });
    assert.equal(socket.said, "alice: hello");
    await client.visit(`${way}?handle=${handle}`, { cookie });
    assert.equal(await socket.closed, `${code} session ended`, way);
    assert.equal(await stream.ended, STREAM);
    const spared = way !== "/revoke-all";
    if (spared) await client.visit("/logout", { cookie: other.cookie });
    assert.equal(await bystander.closed, "4401 session ended", "not before its own end");
  }
});

test("without a session, of another origin, or with two sessions, there is no socket", async (t) => {
  const { client } = await start(t, {});
  const { cookie } = await client.login();
  const api = await client.visit("/login", { "x-session-transport": "bearer" });
  const authorization = `Bearer ${api.headers["x-session-token"]}`;
  const socket = await client.socket({ authorization });
  assert.equal(socket.said, "alice: hello");
  const refused: Record<string, string>[] = [
    {},
    { cookie: `${cookie}x` },
    { cookie, origin: "https://evil.example" },
    { cookie, authorization },
  ];
  for (const headers of refused) {
    await assert.rejects(client.socket(headers), /401/);
    assert.equal((await client.visit("/events", headers)).statusCode, 401);
  }
  await client.visit("/revoke-all");
  assert.equal(await socket.closed, "4401 session ended");
});

test("the session's time closes them, of a store's and of a sealed session", async (t) => {
  for (const kind of ["store", "sealed", "overflowing"] as const) {
    const clock = new ManualClock();
    const overflow = new MemoryStore({ clock });
    const store =
      kind === "store" ? new MemoryStore({ clock }) : new SealedStore(kind === "sealed" ? {} : { overflow });
    const { client } = await start(t, { clock, store, idleTimeout: "10m" });
    const { cookie } = await client.login();
    const socket = await client.socket({ cookie });
    const stream = await client.events({ cookie });
    clock.advance(10 * 60_000 - 1);
    await settled();
    clock.advance(1_000);
    assert.equal(await socket.closed, "4401 session ended", kind);
    assert.equal(await stream.ended, STREAM);
  }
});

test("an end that comes between the upgrade and its listener is noticed at the next look", async (t) => {
  const clock = new ManualClock();
  const { client, sessions } = await start(t, { clock, store: new MemoryStore({ clock }) });
  const api = await client.visit("/login", { "x-session-transport": "bearer" });
  const found = await sessions.openToken(String(api.headers["x-session-token"]));
  assert.ok(found !== undefined);
  await sessions.revoke(found.handle);
  const ended = new Promise<void>((resolve) => found.onEnd(resolve));
  clock.advance(1_000);
  await ended;
});

test("a sealed session that is used elsewhere keeps the connections that its newer seal opened", async (t) => {
  const clock = new ManualClock();
  const { client } = await start(t, { clock, store: new SealedStore(), idleTimeout: "10m" });
  const { cookie } = await client.login();
  const older = await client.socket({ cookie });
  clock.advance(9 * 60_000);
  const used = await client.visit("/", { cookie });
  const newer = await client.socket({ cookie: used.headers["set-cookie"]?.[0]?.split(";")[0] ?? "" });
  await settled();
  clock.advance(2 * 60_000);
  await settled();
  clock.advance(1_000);
  await settled();
  assert.equal(await newer.ask("still there?"), "alice: still there?", "the older seal has died, the session has not");
  clock.advance(8 * 60_000);
  await settled();
  clock.advance(1_000);
  assert.deepEqual(await Promise.all([older.closed, newer.closed]), ["4401 session ended", "4401 session ended"]);
});

describe("in several processes", { concurrency: true }, () => {
  const { folder, remove } = temporaryFolder();
  const { url, skip } = sharedRedis;
  const children: ChildProcess[] = [];
  let sites: Record<string, number>[] = [];

  before(async () => {
    const places = [
      join(folder, "sessions.db"),
      join(folder, "endings.db"),
      ...(skip === undefined ? [url, keyPrefix()] : []),
    ];
    for (let count = 0; count < 2; count += 1)
      children.push(fork(join(import.meta.dirname, "socket-process.ts"), places));
    sites = (await Promise.all(children.map((child) => once(child, "message")))).map(([ports]) => ports);
  });
  after(async () => {
    for (const child of children) {
      const exit = once(child, "exit");
      child.kill();
      await exit;
    }
    remove();
    if (skip === undefined) await removeKeys(url);
  });

  for (const kind of ["sqlite", "sealed", "redis"]) {
    test(`what one ends is closed by the other, over ${kind}`, { skip: kind === "redis" && skip }, async () => {
      const [one, other] = sites.map((ports) => new Client(ports[kind] ?? assert.fail()));
      assert.ok(one !== undefined && other !== undefined);
      const sessions = await Promise.all([one.login(), one.login(), one.login()]);
      const connections = await Promise.all(
        sessions.map(async ({ cookie }) => ({
          socket: await one.socket({ cookie }),
          stream: await one.events({ cookie }),
        })),
      );
      await other.visit(`/revoke?handle=${sessions[0]?.handle}`);
      await other.visit("/logout", { cookie: sessions[1]?.cookie });
      for (const { socket, stream } of connections.slice(0, 2)) {
        assert.equal(await socket.closed, "4401 session ended");
        assert.equal(await stream.ended, STREAM);
      }
      await other.visit("/revoke-all");
      assert.equal(await connections[2]?.socket.closed, "4401 session ended");
      assert.equal(await connections[2]?.stream.ended, STREAM);
    });
  }
});
