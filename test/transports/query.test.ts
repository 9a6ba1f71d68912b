import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect, createServer } from "node:http2";
import { type TestContext, test } from "node:test";
import type { Express } from "express";
import fc from "fast-check";
import { bearer, cookie, query, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { KINDS, type Kind, type SiteOptions, site } from "../support/site.ts";

const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const links = () => query({ iUnderstandThatAddressesLeak: true });

async function shop(t: TestContext, options: SiteOptions = {}) {
  const seen: string[] = [];
  const one = await site(t, { transport: [cookie(), links()], secret, ...options }, (req, res) => {
    const { url, originalUrl = "", query = {} } = req as typeof req & { originalUrl?: string; query?: object };
    seen.push(`${url} ${originalUrl} ${JSON.stringify(query)}`);
    res.end(String(req.session.userId));
  });
  return { ...one, seen };
}

for (const kind of KINDS) {
  test(`a link signs in once, and leaves no trace in any address: ${kind}`, async (t) => {
    const one = await shop(t, { kind: kind satisfies Kind });
    const token = one.sessions.urlToken("alice");
    const visitor = one.visitor();
    const first = await visitor.get(`/welcome?a=1&session=${token}&b=2`);
    assert.equal(first.status, 303);
    assert.equal(first.headers.location, "/welcome?a=1&b=2");
    assert.equal(first.headers["referrer-policy"], "no-referrer");
    assert.equal(first.headers["cache-control"], "no-store");
    assert.equal(first.setCookies.length, 1);
    assert.doesNotMatch(first.setCookies.join(), new RegExp(token), "the cookie's token is another one");
    assert.equal((await visitor.get(first.headers.location ?? "")).text, "alice");
    const second = one.visitor();
    const again = await second.get(`/welcome?session=${token}`);
    assert.deepEqual([again.status, again.setCookies.length], [303, 0]);
    assert.equal((await second.get("/welcome")).text, "null");
    await visitor.post(`/form?session=${token}`);
    assert.doesNotMatch(one.seen.join("\n"), new RegExp(token));
    assert.equal((await one.sessions.list("alice")).length, 1);
    assert.deepEqual(one.errors, []);
  });
}

test("a link ends within minutes, is not used up by a HEAD, and signs nobody over who is signed in", async (t) => {
  const one = await shop(t);
  const late = one.sessions.urlToken("alice", { expiresIn: "5m" });
  one.clock.advance(5 * 60_000);
  const visitor = one.visitor();
  await visitor.get(`/?session=${late}`);
  assert.equal((await visitor.get("/")).text, "null");
  const alice = one.sessions.urlToken("alice");
  assert.equal((await visitor.request("HEAD", `/?session=${alice}`)).status, 303);
  await visitor.get(`/?session=${alice}`);
  await visitor.get(`/?session=${one.sessions.urlToken("bob")}`);
  assert.equal((await visitor.get("/")).text, "alice");
  assert.throws(() => one.sessions.urlToken("alice", { expiresIn: "6m" }), TypeError);
});

test("works with sealed sessions that have a list of endings, and by bearer token", async (t) => {
  const store = new SealedStore({ secret, revocations: new MemoryStore() });
  const one = await shop(t, { store, transport: [bearer(), links()] });
  const token = one.sessions.urlToken("alice");
  const first = await one.visitor().get(`/?session=${token}`);
  const authorization = `Bearer ${first.headers["x-session-token"]}`;
  assert.equal((await one.visitor().get("/", { authorization })).text, "alice");
  assert.equal((await one.visitor().get(`/?session=${token}`)).headers["x-session-token"], undefined);
});

test("neither the redirect nor the address can lead elsewhere or keep the token, however it is spelt", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  for (const path of ["//evil.example/x", "/\\evil.example/x", "///evil.example", "http://evil.example/x"]) {
    const { headers } = await visitor.get(`${path}?session=${one.sessions.urlToken("alice")}`);
    assert.match(headers.location ?? "", /^\/(?![/\\])/, path);
  }
  const token = one.sessions.urlToken("alice");
  const spelt = [
    `/?%73ession=${token}`, `/?session[]=${token}`, `/?session[a]=${token}`, `/?x&session=${token}&session=1`, `/?session=${token}#f`,
    `/?session=${token}&%=1`, `/?%2573ession=${token}`, `/?next=%2Fa%3Fsession%3D${token}`, `/?next=%252Fa%253F%252573ession%253D${token}`, `/?+session=${token}`, `/?session%5B%5D=${token}`,
  ]; // biome-ignore format: a list of addresses
  for (const path of spelt) {
    const { headers, status } = await one.visitor().get(path);
    assert.equal(status, 303, path);
    assert.doesNotMatch(headers.location ?? "", new RegExp(token), path);
  }
  assert.doesNotMatch(one.seen.join("\n"), new RegExp(token));
});

test("each link works for itself: neither another one's use nor a HEAD uses it up", async (t) => {
  const one = await shop(t);
  const links = ["alice", "alice", "bob"].map((user) => ({ user, token: one.sessions.urlToken(user) }));
  for (const { token } of links) {
    const program = one.visitor();
    const { status, setCookies } = await program.request("HEAD", `/?session=${token}`);
    assert.deepEqual([status, setCookies], [303, []]);
  }
  for (const { user, token } of links) {
    const visitor = one.visitor();
    await visitor.get(`/?session=${token}`);
    assert.equal((await visitor.get("/")).text, user);
  }
});

test("a link of one parameter is none of another one's", async (t) => {
  const one = await shop(t);
  const other = await shop(t, {
    transport: [cookie(), query({ iUnderstandThatAddressesLeak: true, name: "invitation" })],
  });
  for (const [of, at, name] of [
    [one, other, "invitation"],
    [other, one, "session"],
  ] as const) {
    const visitor = at.visitor();
    await visitor.get(`/?${name}=${of.sessions.urlToken("alice")}`);
    assert.equal((await visitor.get("/")).text, "null");
  }
});

test("what others have made of the address already is without the token, too", async (t) => {
  const seen: unknown[] = [];
  const configure = (app: Express): void => {
    app.use((req, _res, next) => {
      const copy = { href: req.url, query: String(req.url) };
      Object.assign(req, { _parsedUrl: { ...copy }, _parsedOriginalUrl: { ...copy } });
      next();
    });
  };
  const one = await site(t, { kind: "express4", configure, transport: [cookie(), links()], secret }, (req, res) => {
    seen.push(
      req.url,
      Reflect.get(req, "query"),
      Reflect.get(req, "_parsedUrl"),
      Reflect.get(req, "_parsedOriginalUrl"),
    );
    res.end();
  });
  for (const value of [one.sessions.urlToken("alice"), "short"]) {
    seen.length = 0;
    // A POST reaches the application as it is.
    await one.visitor().post(`/form?a=1&session=${value}`);
    assert.deepEqual(seen.slice(0, 2), ["/form?a=1", { a: "1" }]);
    assert.doesNotMatch(JSON.stringify(seen), new RegExp(`session|${value}`));
  }
});

test("of an address with several links' tokens none counts, and none is used up", async (t) => {
  const one = await shop(t);
  const [first, second] = [one.sessions.urlToken("alice"), one.sessions.urlToken("bob")];
  for (const target of [
    `/?session=${first}&session=${second}`,
    `/?session=${first}&session=${first}`,
    `/?session=${first}&session=`,
    `/?session=junk&x=1&session[]=${first}`,
    `/?session=${first}?session=${second}`,
  ]) {
    const visitor = one.visitor();
    const { status, setCookies, headers } = await visitor.get(target);
    assert.deepEqual([status, setCookies], [303, []], target);
    assert.doesNotMatch(headers.location ?? "", /session/);
    assert.equal((await visitor.get("/")).text, "null");
  }
  const visitor = one.visitor();
  await visitor.get(`/?session=${first}`);
  assert.equal((await visitor.get("/")).text, "alice");
});

test("a bound link works for its own client alone, and another's try does not use it up", async (t) => {
  const bind = (req: IncomingMessage) => req.headers["user-agent"] ?? "";
  let mint = (_req: IncomingMessage): string => assert.fail();
  const transport = [cookie(), query({ iUnderstandThatAddressesLeak: true, bind })];
  const one = await site(t, { transport, secret }, (req, res) => {
    res.end(req.url === "/link" ? mint(req) : String(req.session.userId));
  });
  mint = (req) => one.sessions.urlToken("alice", { for: req });
  const [hers, another] = [{ "user-agent": "Her app/1.0" }, { "user-agent": "Mallory/6.6" }];
  const { text } = await one.visitor().get("/link", hers);
  const visitor = one.visitor();
  for (const headers of [another, {}]) {
    assert.deepEqual((await visitor.get(`/?session=${text}`, headers)).setCookies, []);
  }
  await visitor.get(`/?session=${text}`, hers);
  assert.equal((await visitor.get("/")).text, "alice");
  assert.throws(() => one.sessions.urlToken("alice"), /for: req/);
  const plain = await shop(t);
  assert.throws(() => Reflect.apply(plain.sessions.urlToken, undefined, ["alice", { for: {} }]), /needs query/);
  assert.throws(() => Reflect.apply(query, undefined, [{ iUnderstandThatAddressesLeak: true, bind: "ua" }]), TypeError);
});

test("a log that another module writes shows no token, whether before or after the session's middleware", async (t) => {
  for (const kind of ["express4", "express5"] as const) {
    const log: string[] = [];
    const configure = (app: Express): void => {
      app.use((req, res, next) => {
        res.on("finish", () => log.push(`${req.method} ${req.originalUrl} ${req.url} ${JSON.stringify(req.query)}`));
        next();
      });
    };
    const one = await shop(t, { kind, configure });
    for (const path of ["/a?session=", "/a?x=1?session=", "/a;session=", "/a?b%5Bsession%5D=1&session="]) {
      const token = one.sessions.urlToken("alice");
      assert.equal((await one.visitor().get(path + token)).status, 303, path);
      assert.doesNotMatch(log.join("\n"), new RegExp(token));
    }
    assert.equal(log.length, 4);
  }
});

test("any text for a token is one or none, and never an error", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  const check = async (text: string) => {
    const { status, setCookies } = await visitor.get(`/?session=${encodeURIComponent(text)}`);
    assert.deepEqual([status, setCookies.length], [303, 0]);
  };
  await fc.assert(fc.asyncProperty(fc.string(), check), { numRuns: 50 });
  for (const other of ["", "A".repeat(200), new SealedStore({ secret }).sealing.name]) await check(other);
  assert.deepEqual(one.errors, []);
});

test("needs the flag, a key, another transport, and a memory of what was used", () => {
  assert.throws(() => Reflect.apply(query, undefined, [{}]), /addresses, which leak/);
  assert.throws(() => query({ iUnderstandThatAddressesLeak: true, name: "a b" }), TypeError);
  assert.throws(() => session({ transport: links(), secret }), /another transport/);
  assert.throws(() => session({ transport: [cookie(), links()] }), /needs a key/);
  assert.throws(() => session({ transport: [cookie(), links()], store: new SealedStore({ secret }) }), /remembers/);
  assert.throws(() => session().urlToken("alice"), TypeError);
});

test("over HTTP/2 no header of the request holds the token when a handler sees it", async (t) => {
  const sessions = session({ transport: [cookie(), links()], secret });
  const seen: string[] = [];
  const server = createServer((req, res) => {
    // The compatibility API's objects, which imitate those of HTTP/1.1.
    Reflect.apply(sessions, undefined, [
      req,
      res,
      () => {
        seen.push(JSON.stringify([req.url, req.headers, req.rawHeaders]));
        res.end();
      },
    ]);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = connect(`http://127.0.0.1:${address.port}`);
  t.after(async () => {
    client.destroy();
    server.close();
    await sessions.close();
  });
  const token = sessions.urlToken("alice");
  for (const method of ["GET", "POST"]) {
    const stream = client.request({ ":path": `/a?b=1&session=${token}`, ":method": method }).end();
    const [headers] = await once(stream, "response");
    stream.resume();
    if (method === "GET") assert.deepEqual([headers[":status"], headers["location"]], [303, "/a?b=1"]);
  }
  assert.equal(seen.length, 1);
  assert.ok(!seen[0]?.includes(token), seen[0]);
  assert.ok(seen[0]?.includes('":path":"/a?b=1"') && seen[0].includes('":path","/a?b=1"'), seen[0]);
});
