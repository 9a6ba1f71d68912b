import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { startExample, Visitor } from "./site.ts";

/** Each example is started as its README says, and visited. */
test("rest-bearer: a token logs in, keeps every note of a crowd, is listed, and is revoked", async (t) => {
  const { url } = await startExample(t, "rest-bearer");
  const ask = async (path: string, init: { method?: string; token?: string; body?: object } = {}) => {
    const response = await fetch(url + path, {
      method: init.method ?? "GET",
      headers: {
        "content-type": "application/json",
        ...(init.token !== undefined && { authorization: `Bearer ${init.token}` }),
      },
      ...(init.body && { body: JSON.stringify(init.body) }),
    });
    assert.deepEqual(response.headers.getSetCookie(), []);
    return {
      status: response.status,
      token: response.headers.get("x-session-token") ?? "",
      text: await response.text(),
    };
  };
  const login = (device: string) =>
    ask("/tokens", { method: "POST", body: { name: "ada", password: "open sesame", device } });

  assert.equal((await ask("/notes")).status, 401);
  assert.equal((await ask("/tokens", { method: "POST", body: { name: "ada", password: "no" } })).status, 401);
  const { status, token } = await login("laptop");
  assert.equal(status, 201);
  const texts = Array.from({ length: 8 }, (_, i) => `note ${i}`);
  await Promise.all(texts.map((text) => ask("/notes", { method: "POST", token, body: { text } })));
  assert.deepEqual(JSON.parse((await ask("/notes", { token })).text).sort(), texts);

  const { token: second } = await login("phone");
  const devices: { label: string; handle: string }[] = JSON.parse((await ask("/tokens", { token })).text);
  assert.deepEqual(devices.map(({ label }) => label).sort(), ["laptop", "phone"]);
  const phone = devices.find(({ label }) => label === "phone")?.handle;
  assert.equal((await ask(`/tokens/${phone}`, { method: "DELETE", token })).status, 204);
  assert.equal((await ask("/notes", { token: second })).status, 401);
});

test("chat-socketio: a visitor is heard under their name, a stranger is refused, a logout closes the chat", async (t) => {
  const site = await startExample(t, "chat-socketio");
  const visitor = new Visitor(site);
  await visitor.post("/login", { name: "ada" });
  assert.match((await visitor.get("/")).text, /socket\.io\.js/);
  const connect = (cookie: string) => {
    const socket = io(site.url, { extraHeaders: { cookie }, reconnection: false, forceNew: true });
    t.after(() => socket.disconnect());
    return socket;
  };
  const heard = (emitter: ReturnType<typeof connect>, event: string) =>
    new Promise<unknown>((resolve) => emitter.once(event, resolve));

  const refused = await heard(connect(""), "connect_error");
  assert.match(String(refused), /log in first/);
  const socket = connect([...visitor.jar].map(([name, value]) => `${name}=${value}`).join("; "));
  await heard(socket, "connect");
  const said = heard(socket, "said");
  socket.emit("say", "hello");
  assert.deepEqual(await said, { from: "ada", text: "hello" });
  const closed = heard(socket, "disconnect");
  await visitor.post("/logout");
  assert.equal(await closed, "io server disconnect");
});

test("passport-local: a wrong password is told once, the right one logs in and counts devices", async (t) => {
  const site = await startExample(t, "passport-local");
  const visitor = new Visitor(site);
  await visitor.post("/login", { username: "ada", password: "no" });
  assert.match((await visitor.get("/")).text, /Wrong name or password/);
  assert.doesNotMatch((await visitor.get("/")).text, /Wrong/);
  for (const [count, device] of [visitor, new Visitor(site)].entries()) {
    await device.post("/login", { username: "ada", password: "open sesame" });
    assert.match((await device.get("/")).text, new RegExp(`Hello ada, logged in on ${count + 1} device`));
  }
  await visitor.post("/logout");
  assert.doesNotMatch((await visitor.get("/")).text, /Hello/);
});

test("openid-connect: a stranger logs in at the provider and keeps their views, and logs out", async (t) => {
  const site = await startExample(t, "openid-connect");
  const issuer = /its provider at (\S+)/.exec(site.output())?.[1] ?? "";
  const visitor = new Visitor(site);
  const atProvider = new Visitor({ ...site, url: issuer });
  const who = (address: URL) => (address.origin === issuer ? atProvider : visitor);
  assert.match((await visitor.get("/")).text, /Hello stranger, view 1/);

  let at = new URL("/login", site.url);
  for (let steps = 0; at.href !== new URL("/", site.url).href && steps < 20; steps++) {
    const path = at.pathname + at.search;
    let answer = await who(at).get(path);
    const form = /action="([^"]+)"/.exec(answer.text)?.[1];
    if (answer.location === null && form !== undefined) {
      const prompt = /name="prompt" value="(\w+)"/.exec(answer.text)?.[1] ?? "";
      const { pathname } = new URL(form, at);
      answer = await who(at).post(pathname, { prompt, login: "ada", password: "any" });
    }
    assert.ok(answer.location, `${at.href}: ${answer.status} ${answer.text}`);
    at = new URL(answer.location, at);
  }
  assert.match((await visitor.get("/")).text, /Hello ada, view 2/);
  assert.equal((await new Visitor(site).get("/callback?code=planted&state=planted")).status, 400);
  await visitor.post("/logout");
  assert.match((await visitor.get("/")).text, /Hello stranger/);
});

test("sealed: the basket survives the server, and nothing but the cookie", async (t) => {
  const first = await startExample(t, "sealed");
  const visitor = new Visitor(first);
  for (const item of ["book", "<b>lamp"]) await visitor.post("/basket", { item });
  await first.end("SIGKILL");
  const again = new Visitor(await startExample(t, "sealed"), visitor.jar);
  assert.match((await again.get("/")).text, /Basket: book, &lt;b>lamp\./);
  await again.post("/empty");
  assert.match((await again.get("/")).text, /Basket: empty/);
});

test("two-processes: both know a visitor, no click is lost, a logout holds at once", {
  skip: sharedRedis.skip ?? false,
}, async (t) => {
  t.after(() => removeKeys(sharedRedis.url));
  const site = await startExample(t, "two-processes", { REDIS_URL: sharedRedis.url, PREFIX: keyPrefix() });
  const visitor = new Visitor(site);
  await visitor.post("/login");
  const clicks = await Promise.all(Array.from({ length: 12 }, () => visitor.post("/visit")));
  // A busy machine may answer one with an error, and have counted it or not.
  const acknowledged = clicks.filter(({ status }) => status === 303).length;
  assert.ok(acknowledged > 0);
  const [ofA = "", ofB = ""] = [(await visitor.get("/")).text, (await visitor.get("/")).text].sort();
  assert.match(ofA, /^Process A: ada, /);
  assert.equal(ofA.replace("Process A", "Process B"), ofB);
  const counted = Number(/(\d+) visits counted/.exec(ofA)?.[1]);
  assert.ok(counted >= acknowledged && counted <= clicks.length, `${counted} of ${acknowledged}`);
  const stolen = [...visitor.jar];
  await visitor.post("/logout");
  for (let i = 0; i < 2; i++) assert.match((await new Visitor(site, stolen).get("/")).text, /stranger/);
  await site.end("SIGTERM");
});

test("migrate: who was logged in on express-session stays so on Sojourn, with their data", async (t) => {
  const site = await startExample(t, "migrate");
  const visitor = new Visitor(site);
  await visitor.get("/");
  await visitor.post("/login", { name: "ada" });
  assert.match((await visitor.get("/")).text, /On express-session: hello ada, visit 2/);
  await visitor.post("/deploy");
  assert.match((await visitor.get("/")).text, /On Sojourn: hello ada, visit 3/);
  assert.ok(!visitor.jar.has("connect.sid"), "the old cookie is gone");
  await visitor.post("/logout");
  assert.match((await visitor.get("/")).text, /hello stranger/);
  const newcomer = new Visitor(site);
  await newcomer.post("/login", { name: "bob" });
  assert.match((await newcomer.get("/")).text, /On Sojourn: hello bob, visit 1/);
});

test("an example that does not exist is answered with the names of those that do", async (t) => {
  await assert.rejects(startExample(t, "nothing"), /one of: chat-socketio, login, migrate, /);
});
