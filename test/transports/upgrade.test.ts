import assert from "node:assert/strict";
import { once } from "node:events";
import http, { createServer, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { bearer, cookie, type SessionOptions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { hasSession } from "../support/site.ts";

const MINUTE = 60_000;
const A = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");

/** A server with a login, an event stream and upgrades to a protocol that says who is there, and when the session has ended. */
async function server(t: TestContext, options: SessionOptions & { clock: ManualClock }) {
  const sessions = session({ transport: [cookie(), bearer()], ...options });
  const listener = createServer((req, res) => {
    if (req.url === "/events") {
      sessions.authenticateUpgrade(req).then((found) => {
        res.writeHead(found === undefined ? 401 : 200, { "Content-Type": "text/event-stream" });
        res.write(`data: ${found?.userId}\n\n`);
        const stop = found?.onEnd(() => res.end("data: ended\n\n"));
        res.on("close", () => stop?.());
      });
      return;
    }
    sessions(req, res, (error) => {
      assert.equal(error, undefined);
      hasSession(req);
      const work =
        req.url === "/login"
          ? req.session.login("alice")
          : req.url === "/logout"
            ? req.session.logout()
            : req.session.save();
      work.then(() => res.end(req.session.id));
    });
  });
  const open = new Set<Duplex>();
  listener.on("upgrade", (req: IncomingMessage, socket: Duplex) => {
    open.add(socket);
    sessions.authenticateUpgrade(req, { origins: ["https://friend.example"] }).then((found) => {
      if (found === undefined) {
        socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
        return;
      }
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n${found.userId};`);
      const stop = found.onEnd(() => socket.end("4401"));
      socket.on("close", stop);
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  assert.ok(typeof address === "object" && address !== null);
  const { port } = address;
  t.after(async () => {
    for (const socket of open) socket.destroy();
    listener.closeAllConnections();
    listener.close();
    await sessions.close();
  });

  async function get(path: string, headers: http.OutgoingHttpHeaders = {}) {
    const res: IncomingMessage = await new Promise((resolve, reject) => {
      http.get({ host: "127.0.0.1", port, path, headers, agent: false }, resolve).on("error", reject);
    });
    return res;
  }

  async function login(): Promise<{ cookie: string; handle: string }> {
    const res = await get("/login");
    return { cookie: res.headers["set-cookie"]?.[0]?.split(";")[0] ?? "", handle: (await textOf(res)).trim() };
  }

  /** The first words of an upgraded connection, and all of them once it ends. */
  async function connect(headers: http.OutgoingHttpHeaders): Promise<{ greeting: string; ended: Promise<string> }> {
    const req = http.request({
      host: "127.0.0.1", port, agent: false, headers: { Connection: "Upgrade", Upgrade: "test", ...headers },
    }); // biome-ignore format: one request
    req.end();
    return new Promise((resolve, reject) => {
      req.on("error", reject);
      req.on("response", (res) => resolve({ greeting: String(res.statusCode), ended: textOf(res) }));
      req.on("upgrade", (_res, socket, head) => {
        let text = head.toString();
        const done = () => resolve({ greeting: text, ended });
        const ended = new Promise<string>((resolveEnd) => socket.on("close", () => resolveEnd(text)));
        socket.on("data", (chunk) => {
          text += chunk;
          done();
        });
        socket.on("end", () => socket.end());
        if (text !== "") done();
      });
    });
  }

  return { sessions, get, login, connect, port };
}

async function textOf(res: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of res.setEncoding("utf8")) text += chunk;
  return text;
}

const setUp = (t: TestContext, options: Omit<SessionOptions, "clock"> = {}) => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  return { clock, store, open: () => server(t, { clock, store, secret: A, ...options }) };
};

test("an upgrade gets the session by cookie or bearer token, and nothing without", async (t) => {
  const one = await setUp(t).open();
  const { cookie } = await one.login();
  assert.equal((await one.connect({ cookie })).greeting, "alice;");
  assert.equal((await one.connect({})).greeting, "401");
  assert.equal((await one.connect({ cookie: `${cookie}x` })).greeting, "401");
  const api = await one.get("/login", { "x-session-transport": "bearer" });
  const token = String(api.headers["x-session-token"]);
  assert.equal((await one.connect({ authorization: `Bearer ${token}` })).greeting, "alice;");
  assert.equal((await one.connect({ cookie, authorization: `Bearer ${token}` })).greeting, "401", "two sessions");
  assert.equal((await one.sessions.openToken(token))?.userId, "alice");
  assert.equal(await one.sessions.openToken(`${token}x`), undefined);
  assert.equal(await one.sessions.openToken(cookie.slice(4)), undefined, "a cookie's token is none here");
});

test("another site's page can't use the cookie", async (t) => {
  const one = await setUp(t).open();
  const { cookie } = await one.login();
  const origins: [string, boolean][] = [
    [`http://127.0.0.1:${one.port}`, true],
    ["https://friend.example", true],
    ["https://friend.example.evil.example", false],
    [`http://127.0.0.1:${one.port + 1}`, false],
    ["https://evil.example", false],
    ["null", false],
    ["", false],
  ];
  for (const [origin, allowed] of origins) {
    assert.equal((await one.connect({ cookie, origin })).greeting, allowed ? "alice;" : "401", origin);
  }
});

const ways = {
  logout: (one: Awaited<ReturnType<typeof server>>, cookie: string) => one.get("/logout", { cookie }),
  "login under a new name": (one: Awaited<ReturnType<typeof server>>, cookie: string) => one.get("/login", { cookie }),
  "revocation of all": (one: Awaited<ReturnType<typeof server>>) => one.sessions.revokeAll("alice"),
};
for (const [name, end] of Object.entries(ways)) {
  test(`this process's ${name} closes sockets and event streams at once`, async (t) => {
    const one = await setUp(t).open();
    const { cookie } = await one.login();
    const socket = await one.connect({ cookie });
    const stream = await one.get("/events", { cookie });
    await end(one, cookie);
    assert.equal(await socket.ended, "alice;4401");
    assert.equal(await textOf(stream), "data: alice\n\ndata: ended\n\n");
  });
}

test("another process's revocation, and the session's time, close them within a second", async (t) => {
  const { clock, open } = setUp(t, { idleTimeout: "10m" });
  const [one, other] = [await open(), await open()];
  const first = await one.login();
  const second = await one.login();
  const [revoked, expiring] = [await one.connect(first), await one.connect(second)];
  await other.sessions.revoke(first.handle);
  clock.advance(1_000);
  assert.equal(await revoked.ended, "alice;4401");
  await settled();
  clock.advance(10 * 60_000);
  await settled();
  clock.advance(1_000);
  assert.equal(await expiring.ended, "alice;4401");
});

test("a sealed session's socket ends with the seal, and with a list of endings on revocation", async (t) => {
  const clock = new ManualClock();
  const revocations = new MemoryStore({ clock });
  const make = () => server(t, { clock, store: new SealedStore({ secret: A, revocations }), idleTimeout: "10m" });
  const [one, other] = [await make(), await make()];
  const [first, second] = [await one.login(), await one.login()];
  const [revoked, expiring] = [await one.connect(first), await one.connect(second)];
  await other.sessions.revoke(first.handle);
  clock.advance(1_000);
  assert.equal(await revoked.ended, "alice;4401");
  await settled();
  clock.advance(10 * 60_000);
  await settled();
  clock.advance(1_000);
  assert.equal(await expiring.ended, "alice;4401");
});

/** The look that is under way sets the timer of the next one when it is done. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a listener that stopped is not called, and openToken needs a transport of its kind", async (t) => {
  const clock = new ManualClock();
  const sessions = session({ clock, transport: cookie() });
  t.after(() => sessions.close());
  await assert.rejects(sessions.openToken("x"), TypeError);
  const one = await setUp(t).open();
  const api = await one.get("/login", { "x-session-transport": "bearer" });
  const found = await one.sessions.openToken(String(api.headers["x-session-token"]));
  assert.ok(found !== undefined);
  const called: string[] = [];
  found.onEnd(() => called.push("stays"));
  found.onEnd(() => called.push("stopped"))();
  await one.sessions.revoke(found.handle);
  await settled();
  assert.deepEqual(called, ["stays"]);
});

test("what an onEnd listener throws or rejects with is a warning, and the others are told", async (t) => {
  const one = await setUp(t).open();
  const told: string[] = [];
  const listen = (warning: Error) => told.push(warning.message);
  process.on("warning", listen);
  t.after(() => process.off("warning", listen));
  const { handle, cookie } = await one.login();
  const req = new http.IncomingMessage(new Socket());
  req.headers.cookie = cookie;
  const session = await one.sessions.authenticateUpgrade(req);
  assert.ok(session !== undefined);
  const called: string[] = [];
  session.onEnd(() => {
    throw new Error("thrown");
  });
  session.onEnd(async () => {
    throw new Error("rejected");
  });
  session.onEnd(() => called.push("told"));
  await one.sessions.revoke(handle);
  await settled();
  await settled();
  assert.deepEqual(called, ["told"]);
  assert.equal(told.length, 2);
  assert.match(
    told.join(),
    /a listener of "onEnd" failed: Error: thrown.*a listener of "onEnd" failed: Error: rejected/s,
  );
});

for (const kind of ["at once", "later"] as const) {
  test(`asking for a session is no use of it unless told, and touch() is one: a store that responds ${kind}`, async (t) => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const options = {
      clock,
      secret: A,
      store: kind === "at once" ? store : new ProbeStore(store, { async: true }).store,
    };
    const one = await server(t, { ...options, idleTimeout: "10m" });
    const ask = async (cookie: string, touch?: boolean) => {
      const req = new http.IncomingMessage(new Socket());
      req.headers.cookie = cookie;
      return one.sessions.authenticateUpgrade(req, touch === undefined ? {} : { touch });
    };
    const polled = await one.login();
    for (let minutes = 0; minutes < 9; minutes += 3) {
      clock.advance(3 * MINUTE);
      assert.equal((await ask(polled.cookie))?.userId, "alice");
    }
    clock.advance(1 * MINUTE);
    assert.equal(await ask(polled.cookie), undefined, "polling keeps nothing alive");

    const used = await one.login();
    for (let minutes = 0; minutes < 30; minutes += 6) {
      clock.advance(6 * MINUTE);
      assert.equal((await ask(used.cookie, true))?.userId, "alice");
    }

    const busy = await ask((await one.login()).cookie);
    assert.ok(busy !== undefined);
    const ended: string[] = [];
    busy.onEnd(() => ended.push("ended"));
    const step = async (duration: number) => {
      clock.advance(duration);
      await settled();
      clock.advance(1_000);
      await settled();
    };
    for (let minutes = 0; minutes < 30; minutes += 6) {
      await step(6 * MINUTE);
      await busy.touch();
      assert.equal(busy.expiresAt.getTime(), clock.now() + 10 * MINUTE);
      assert.equal(busy.lastUsedAt.getTime(), clock.now());
      assert.deepEqual(ended, []);
    }
    await step(10 * MINUTE);
    assert.deepEqual(ended, ["ended"]);
    busy.touch();
    await assert.rejects(busy.touch(), { code: "SESSION_GONE" });
  });
}

test("touch() goes by what the session says of its end by then, and revives none", async (t) => {
  const clock = new ManualClock();
  const one = await server(t, {
    clock,
    secret: A,
    store: new MemoryStore({ clock }),
    idleTimeout: "10m",
    absoluteTimeout: "1h",
  });
  const { cookie, handle } = await one.login();
  const req = new http.IncomingMessage(new Socket());
  req.headers.cookie = cookie;
  const session = await one.sessions.authenticateUpgrade(req);
  assert.ok(session !== undefined);
  for (let minutes = 0; minutes < 56; minutes += 8) {
    clock.advance(8 * MINUTE);
    await session.touch();
  }
  assert.equal(
    (await one.sessions.get(handle))?.expiresAt.getTime(),
    clock.now() + 4 * MINUTE,
    "the absolute timeout holds",
  );
  await one.sessions.revoke(handle);
  await assert.rejects(session.touch(), { code: "SESSION_GONE" });
  assert.equal(await one.sessions.get(handle), undefined);
});

test("touch() on a sealed session, whose deadline is in its cookie, says that it can't", async (t) => {
  const one = await setUp(t, { store: new SealedStore({ secret: A }) }).open();
  const req = new http.IncomingMessage(new Socket());
  req.headers.cookie = (await one.login()).cookie;
  const session = await one.sessions.authenticateUpgrade(req);
  assert.ok(session !== undefined);
  session.touch();
  await assert.rejects(session.touch(), { code: "HEADERS_SENT" });
});

test("a cookie that can't be made of a request is an error of next and of authenticateUpgrade", async (t) => {
  const sessions = session({ cookie: (req) => ({ domain: req.headers.host ?? "" }) });
  t.after(() => sessions.close());
  const req = new http.IncomingMessage(new Socket());
  req.headers.host = "-evil-";
  const errors: unknown[] = [];
  sessions(req, new http.ServerResponse(req), (error) => errors.push(error));
  assert.deepEqual(errors.map(String), ["TypeError: cookie.domain must be a host name, such as example.com"]);
  await assert.rejects(sessions.authenticateUpgrade(req), TypeError);
});
