import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, mock, test } from "node:test";
import cookieSession, { type CookieSessionOptions } from "../../src/compat/cookie-session.ts";
import { type Cleanup, load, type Middleware, pairOf, serve } from "./world.ts";

type Handler = (
  req: { url?: string; session: ReturnType<typeof Object> },
  res: Parameters<Parameters<typeof serve>[2]>[1],
) => unknown;

function site(t: Cleanup, options: CookieSessionOptions, handler: Handler, errors: unknown[] = []) {
  const middleware = cookieSession({ keys: ["a"], ...options }) as Middleware;
  return serve(t, middleware, (req, res) => handler(Object(req), res), errors);
}

const write: Handler = (req, res) => {
  req.session.views = (req.session.views ?? 0) + 1;
  res.end(`${req.session.views}`);
};

const cookies = (setCookies: readonly string[]) => setCookies.map(pairOf).join("; ");

test("required, the function itself; imported, the same", async () => {
  assert.equal(load("../../src/compat/cookie-session.ts"), cookieSession);
  assert.equal((await import("../../src/compat/cookie-session.ts")).cookieSession, cookieSession);
});

describe("the methods that Passport calls", () => {
  const app: Handler = async (req, res) => {
    const { session } = req;
    switch (req.url) {
      case "/regenerate":
        return void session.regenerate((error: unknown) => res.end(`${error} ${JSON.stringify(req.session)}`));
      case "/regenerate-and-write":
        await session.regenerate();
        req.session.fresh = true;
        return res.end(String(session !== req.session));
      case "/save":
        session.saved = true;
        return void session.save((error: unknown) => res.end(`${error}`));
      case "/save-loop":
        session.loop = session;
        await session.save();
        return res.end("unreachable");
      case "/save-late":
        res.write("late ");
        return void session.save((error: unknown) => res.end(Object(error).code));
      case "/reload":
        session.views = "dropped";
        await session.reload();
        return res.end(`${req.session.views}`);
      case "/destroy":
        return void session.destroy((error: unknown) => res.end(`${error} ${req.session}`));
      default:
        return write(req, res);
    }
  };

  const expected: [path: string, status: number, text: string, sets: RegExp][] = [
    ["/regenerate", 200, "undefined {}", /^session=; path=\/; expires=Thu, 01 Jan 1970.*session\.sig=/],
    ["/regenerate-and-write", 200, "true", /^session=eyJmcmVzaCI6dHJ1ZX0=; /],
    ["/save", 200, "undefined", /^session=eyJ2aWV3cyI6MSwic2F2ZWQiOnRydWV9; /],
    ["/save-loop", 500, "circular", /^$/],
    ["/save-late", 200, "late HEADERS_SENT", /^$/],
    ["/reload", 200, "1", /^$/],
    ["/destroy", 200, "undefined null", /^session=; path=\/; expires=Thu, 01 Jan 1970/],
  ];
  for (const [path, status, text, sets] of expected) {
    test(path, async (t) => {
      const { get } = await site(t, {}, app);
      const cookie = cookies((await get("/")).setCookies);
      const answer = await get(path, { cookie });
      assert.equal(answer.status, status);
      assert.ok(answer.text.includes(text), answer.text);
      assert.match(answer.setCookies.join(", "), sets);
    });
  }

  test("a session of a stranger is regenerated without a cookie", async (t) => {
    const { get } = await site(t, {}, app);
    assert.deepEqual((await get("/regenerate")).setCookies, []);
  });

  test("data of the methods' names, which the original stores, is still read", async (t) => {
    const { get } = await site(t, {}, (req, res) => {
      if (req.url === "/set") Object.assign(req.session, { save: "me", destroy: 1 });
      res.end(JSON.stringify(req.session));
    });
    const cookie = cookies((await get("/set")).setCookies);
    assert.equal((await get("/", { cookie })).text, '{"save":"me","destroy":1}');
  });
});

test("a session that JSON can't hold is an error, not a session that is lost", async (t) => {
  const errors: unknown[] = [];
  const { get } = await site(
    t,
    {},
    (req, res) => {
      req.session.big = 1n;
      res.end("never");
    },
    errors,
  );
  assert.equal((await get("/")).status, 500);
  assert.match(String(errors[0]), /BigInt/);
});

test("all cookies of one name are tried, with all signatures", async (t) => {
  const { get } = await site(t, {}, write);
  const [value, signature] = (await get("/")).setCookies.map(pairOf);
  for (const cookie of [
    `session=junk; session.sig=junk; ${value}; ${signature}`,
    `${value}; session.sig=junk; ${signature}; session=junk`,
  ]) {
    const { text, setCookies } = await get("/", { cookie });
    assert.equal(text, "2");
    assert.equal(setCookies.length, 2);
  }
});

test("a signature by an older key is renewed with the session's own attributes", async (t) => {
  const old = await site(t, { keys: ["old"] }, write);
  const cookie = cookies((await old.get("/")).setCookies);
  const options = { keys: ["new", "old"], domain: "example.com", sameSite: "lax" as const };
  const { get } = await site(t, options, (req, res) => res.end(`${req.session.views}`));
  const { text, setCookies } = await get("/", { cookie });
  assert.equal(text, "1");
  assert.equal(setCookies.length, 1);
  assert.match(setCookies[0] ?? "", /^session\.sig=[\w-]+; path=\/; domain=example\.com; samesite=lax; httponly$/);
});

test("a Keygrip of one's own signs", async (t) => {
  const keys = {
    sign: (text: string) => `${text.length}`,
    index: (text: string, by: string) => (by === `${text.length}` ? 0 : -1),
  };
  const { get } = await site(t, { keys }, write);
  const { setCookies } = await get("/");
  assert.match(setCookies[1] ?? "", /^session\.sig=24;/);
  assert.equal((await get("/", { cookie: cookies(setCookies) })).text, "2");
});

test("a cookie that is too long for browsers is told of, once", async (t) => {
  const warnings: string[] = [];
  const listener = (warning: Error) => warnings.push(warning.message);
  process.on("warning", listener);
  t.after(() => process.off("warning", listener));
  const { get } = await site(t, { name: "long" }, (req, res) => {
    req.session.text = "x".repeat(5000);
    res.end();
  });
  await get("/");
  await get("/");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /"long" is longer than 4096 bytes/);
  assert.doesNotMatch(warnings[0] ?? "", /xxx|eHh4/);
});

test("a cookie that can't be sent is told of", async (t) => {
  const warned = mock.method(process, "emitWarning", () => {});
  t.after(() => warned.mock.restore());
  const { get } = await site(t, { name: "insecure", secure: true }, write);
  assert.deepEqual((await get("/")).setCookies, []);
  assert.match(String(warned.mock.calls[0]?.arguments[0]), /"insecure" was not sent: Cannot send secure cookie/);
});

test("a payload that is a text and no object is an empty session", async (t) => {
  const { get } = await site(t, {}, (req, res) => res.end(JSON.stringify(req.session)));
  const value = `session=${Buffer.from('"text"').toString("base64")}`;
  const cookie = `${value}; session.sig=${createHmac("sha1", "a").update(value).digest("base64url")}`;
  assert.equal((await get("/", { cookie })).text, "{}");
});

test("a session that is first read after the headers left is a session all the same", async (t) => {
  const { get } = await site(t, { keys: ["b", "a"] }, (req, res) => {
    res.write("streamed ");
    res.end(`${Object.keys(req.session)}`);
  });
  const cookie = "session=eyJtZXNzYWdlIjoiaGkifQ==; session.sig=vdp2-kj-91tgzbWcV1QzofT3hu0";
  assert.equal((await get("/", { cookie })).text, "streamed message");
  assert.equal((await get("/", { cookie: `${cookie}x` })).text, "streamed ");
});
