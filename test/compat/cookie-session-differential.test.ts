import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { selfSigned } from "../support/certificate.ts";
import { type Cleanup, load, type Middleware, pairOf, serve } from "./world.ts";

/** One script of requests, run against cookie-session itself and against ours: status, body and Set-Cookie byte for byte are the same. */
let now = Date.UTC(2030, 0, 1);
Date.now = () => now;
// Only now, because the clock is taken when it is loaded.
const ours = await import("../../src/compat/cookie-session.ts");

type Options = Record<string, unknown>;
type CookieSession = (options: Options) => Middleware;
const theirs: CookieSession = load("cookie-session");

type Request = IncomingMessage & { session: Record<string, unknown>; sessionOptions: Options };

/** What an argument of `end` or `write` does with the session. */
function page(req: Request): string {
  req.session["pages"] = Number(req.session["pages"] ?? 0) + 1;
  return `page ${req.session["pages"]}`;
}

const actions: Record<string, (req: Request, res: ServerResponse) => unknown> = {
  "/untouched": (_req, res) => res.end("untouched"),
  "/read": (req, res) => res.end(`${JSON.stringify(req.session)} ${req.session["isNew"]} ${req.session["isChanged"]}`),
  "/write": (req, res) => {
    req.session["views"] = Number(req.session["views"] ?? 0) + 1;
    res.end(`${req.session["isPopulated"]}`);
  },
  "/text": (req, res) => {
    req.session["message"] = "é; snowman ☃";
    res.end("text");
  },
  "/clear": (req, res) => {
    for (const name of Object.keys(req.session)) delete req.session[name];
    res.end(`${req.session["isPopulated"]}`);
  },
  "/null": (req, res) => {
    Object.assign(req, { session: null });
    res.end(`${req.session}`);
  },
  "/empty-object": (req, res) => {
    Object.assign(req, { session: {} });
    res.end(JSON.stringify(req.session));
  },
  "/object": (req, res) => {
    Object.assign(req, { session: { a: "b", isNew: "dropped", isChanged: 1, isPopulated: 2 } });
    res.end(JSON.stringify(req.session));
  },
  "/number": (req, res) => {
    Object.assign(req, { session: 42 });
    res.end("unreachable");
  },
  "/max-age": (req, res) => {
    req.sessionOptions["maxAge"] = 60_000;
    req.session["age"] = 60;
    res.end("older");
  },
  "/unsigned": (req, res) => {
    req.sessionOptions["signed"] = false;
    req.session["unsigned"] = true;
    res.end("unsigned");
  },
  "/other-cookies": (req, res) => {
    res.setHeader("Set-Cookie", ["session=old; path=/", "session.sig=old; path=/", "a=b"]);
    req.session["other"] = Number(req.session["other"] ?? 0) + 1;
    res.writeHead(200, { "Content-Type": "text/plain" });
    res.end("others");
  },
  "/argument-of-end": (req, res) => res.end(page(req)),
  "/argument-of-write": (req, res) => {
    res.write(page(req));
    res.end(page(req));
  },
  "/argument-of-write-head": (req, res) => {
    res.writeHead(200, { "X-Other": page(req) });
    res.end();
  },
  "/or-empty": (req, res) => {
    Object.assign(req, { session: req.session || {} });
    req.session["or"] = "empty";
    res.end("or");
  },
  "/undefined": (req, res) => {
    Object.assign(req, { session: undefined });
    res.end(`${req.session}`);
  },
  "/false": (req, res) => {
    Object.assign(req, { session: false });
    res.end("unreachable");
  },
  "/array": (req, res) => {
    Object.assign(req, { session: ["a"] });
    res.end(JSON.stringify(req.session));
  },
  "/delete": (req, res) => {
    Reflect.deleteProperty(req, "session");
    res.end(`${req.session}`);
  },
  "/null-then-object": (req, res) => {
    Object.assign(req, { session: null });
    Object.assign(req, { session: { again: true } });
    res.end(JSON.stringify(req.session));
  },
  "/copies": (req, res) => {
    res.end(JSON.stringify([Object.hasOwn(req, "session"), { ...req }.session, { ...req.session }]));
  },
  "/accessor": (req, res) => {
    const { get, set, ...flags } = Object.getOwnPropertyDescriptor(req, "session") ?? {};
    res.end(
      JSON.stringify([typeof get, typeof set, flags, Object.keys(req.sessionOptions), req.sessionOptions["httpOnly"]]),
    );
  },
  "/after-the-headers": (req, res) => {
    req.session["before"] = true;
    res.write("a");
    req.session["after"] = true;
    res.end("b");
  },
  "/keys": (req, res) => res.end(Object.keys(req.session).join() + ("isNew" in req.session)),
};

interface Step {
  path: string;
  cookie?: string;
  /** Milliseconds that pass before. */
  after?: number;
}

async function transcript(
  t: Cleanup,
  which: CookieSession,
  options: Options,
  steps: readonly Step[],
): Promise<string[]> {
  now = Date.UTC(2030, 0, 1);
  const client = await serve(t, which({ ...options }), (req, res) => actions[req.url ?? ""]?.(req as Request, res));
  const lines: string[] = [];
  const jar = new Map<string, string>();
  for (const { path, cookie, after = 1000 } of steps) {
    now += after;
    const own = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const sent = cookie ?? own;
    const { status, text, setCookies } = await client.get(path, sent === "" ? {} : { cookie: sent });
    lines.push(`${path}: ${status} ${text} ${JSON.stringify(setCookies)}`);
    for (const line of setCookies) {
      const pair = pairOf(line);
      const name = pair.slice(0, pair.indexOf("="));
      if (line.includes("1970")) jar.delete(name);
      else jar.set(name, pair.slice(name.length + 1));
    }
  }
  return lines;
}

const everyPath = Object.keys(actions).map((path) => ({ path }));
const HI = "session=eyJtZXNzYWdlIjoiaGkifQ==";
const script: Step[] = [
  ...everyPath,
  { path: "/write" },
  ...everyPath.toReversed(),
  { path: "/read", cookie: `${HI}; session.sig=vdp2-kj-91tgzbWcV1QzofT3hu0` },
  { path: "/read", cookie: `${HI}; session.sig="vdp2-kj-91tgzbWcV1QzofT3hu0"` },
  { path: "/read", cookie: `${HI}; session.sig=vdp2-kj-91tgzbWcV1QzofT3hu1` },
  { path: "/untouched", cookie: `${HI}; session.sig=vdp2-kj-91tgzbWcV1QzofT3hu1` },
  { path: "/write", cookie: `${HI}; session.sig=wrong` },
  { path: "/read", cookie: HI },
  { path: "/read", cookie: "session=%%%; session.sig=x" },
  { path: "/read", cookie: "session=; session.sig=S5xzvvfka05Z8JWDc8Tqj40wqBw" },
  { path: "/read", cookie: "session=e30=; session.sig=8ryvNgg8q6BXGIAl3pmG2syWtWo" },
  // Signed with the second key, and payloads that are no object: null, 5, a list, broken ones.
  ...["bnVsbA==", "NQ==", "W10=", "e30", "!!!!"].map((value) => ({ path: "/read", cookie: signedBy("b", value) })),
  { path: "/write", cookie: signedBy("b", "eyJ2aWV3cyI6N30=") },
];

function signedBy(key: string, value: string): string {
  return `session=${value}; session.sig=${load("node:crypto").createHmac("sha1", key).update(`session=${value}`).digest("base64url")}`;
}

const optionSets: Options[] = [
  { keys: ["a", "b"] },
  { secret: "a" },
  { keys: ["a"], name: "my.session" },
  { signed: false },
  { keys: ["a", "b"], signed: false },
  { keys: ["a", "b"], overwrite: false },
  { keys: ["a"], maxAge: 5000, httpOnly: false },
  { keys: ["a"], expires: new Date(Date.UTC(2031, 0, 1)), path: "/", domain: "example.com" },
  { keys: ["a"], sameSite: true, priority: "high", partitioned: true },
  { keys: ["a"], sameSite: "Lax", path: "/write" },
  { keys: ["a"], secure: true },
  { keys: ["a"], secure: false, path: "" },
  { keys: ["a"], domain: "exa\u0001mple" },
  { keys: ["a"], sameSite: "nowhere" },
  { keys: ["a"], priority: "nowhere" },
  { keys: ["a"], maxAge: "1000" },
  { keys: ["a"], name: "no=name" },
];

for (const options of optionSets) {
  test(`as cookie-session with ${JSON.stringify(options)}`, async (t) => {
    const expected = await transcript(t, theirs, options, script);
    assert.deepEqual(await transcript(t, ours.cookieSession as CookieSession, options, script), expected);
  });
}

test("both refuse to begin without keys", () => {
  for (const cookieSession of [theirs, ours.cookieSession as CookieSession]) {
    for (const options of [{}, { keys: null }, { signed: true }]) {
      assert.throws(() => cookieSession(options), /\.keys required\./);
    }
  }
});

for (const options of [{}, { secure: true }, { secure: false }, { sameSite: "none" }]) {
  test(`as cookie-session over TLS with ${JSON.stringify(options)}`, async (t) => {
    const seen: unknown[] = [];
    for (const cookieSession of [theirs, ours.cookieSession as CookieSession]) {
      const middleware = cookieSession({ keys: ["a"], ...options });
      const server = createServer(selfSigned(), (req, res) =>
        middleware(req, res, () => actions["/write"]?.(req as Request, res)),
      );
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      t.after(() => server.close());
      const { port } = server.address() as AddressInfo;
      const sent = request({ port, host: "127.0.0.1", agent: false, rejectUnauthorized: false }).end();
      const [response] = await once(sent, "response");
      response.resume();
      seen.push(response.headers["set-cookie"]);
      await once(response, "end");
    }
    assert.ok(Array.isArray(seen[0]));
    assert.deepEqual(seen[1], seen[0]);
  });
}

test("both complete the options that they are given", () => {
  const [first, second]: Options[] = [{ keys: ["a"] }, { keys: ["a"] }];
  theirs(first ?? {});
  (ours.cookieSession as CookieSession)(second ?? {});
  assert.deepEqual(second, first);
  assert.equal(first?.["overwrite"], true);
});
