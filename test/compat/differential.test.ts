import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { type Answer, type Any, type Cleanup, hasSession, load, type Middleware, recorded, serve } from "./world.ts";

/**
 * One script of requests, run against express-session itself and against ours: status, body, Set-Cookie byte for byte and the
 * order of the store's operations are the same. The time stands still, and IDs are counted.
 */
let now = Date.UTC(2030, 0, 1);
Date.now = () => now;
// Only now, because the clock is taken when it is loaded.
const ours = await import("../../src/compat/express-session.ts");
const theirs = load("express-session");

type Options = Record<string, unknown>;
type Session = (options: Options) => Middleware;
interface Package {
  session: Session;
  MemoryStore: new () => object;
}

const packages: Record<"theirs" | "ours", Package> = {
  theirs: { session: theirs, MemoryStore: theirs.MemoryStore },
  ours: { session: ours.session as Session, MemoryStore: ours.MemoryStore },
};

/** What an argument of `end` or `write` does with the session. */
function page(req: IncomingMessage): string {
  hasSession(req);
  req.session["pages"] = Number(req.session["pages"] ?? 0) + 1;
  return `page ${req.session["pages"]}`;
}

/** What the application does, by path. */
const actions: Record<string, (req: IncomingMessage, res: ServerResponse) => unknown> = {
  "/read": (req, res) => {
    hasSession(req);
    res.end(JSON.stringify(req.session));
  },
  "/write": (req, res) => {
    hasSession(req);
    req.session["views"] = Number(req.session["views"] ?? 0) + 1;
    res.end(`views ${req.session["views"]}`);
  },
  "/nested": (req, res) => {
    hasSession(req);
    req.session["user"] = { cookie: `${req.session["views"]}` };
    res.end("nested");
  },
  "/save": (req, res) => {
    hasSession(req);
    req.session["saved"] = "yes";
    req.session.save((error) => res.end(`saved ${error}`));
  },
  "/save-twice": (req, res) => {
    hasSession(req);
    const { session } = req;
    session["saved"] = "once";
    session.save(() => {
      session["saved"] = "twice";
      session.save(() => res.end("saved"));
    });
  },
  "/reload": (req, res) => {
    hasSession(req);
    const before = req.session;
    req.session.reload((error) => {
      hasSession(req);
      res.end(`${error} ${before === req.session}`);
    });
  },
  "/regenerate": (req, res) => {
    hasSession(req);
    req.session.regenerate((error) => {
      hasSession(req);
      req.session["fresh"] = true;
      res.end(`${error} ${req.sessionID}`);
    });
  },
  "/regenerate-and-save": (req, res) => {
    hasSession(req);
    req.session.regenerate(() => {
      hasSession(req);
      req.session["fresh"] = true;
      req.session.save(() => res.end("saved"));
    });
  },
  "/destroy": (req, res) => {
    hasSession(req);
    req.session.destroy((error) => res.end(`${error} ${"session" in req}`));
  },
  "/null": (req, res) => {
    hasSession(req);
    Object.assign(req, { session: null });
    res.end("null");
  },
  "/delete": (req, res) => {
    Reflect.deleteProperty(req, "session");
    res.end("deleted");
  },
  "/max-age": (req, res) => {
    hasSession(req);
    req.session.cookie.maxAge = 5000;
    res.end(`${req.session.cookie.maxAge}`);
  },
  "/max-age-and-write": (req, res) => {
    hasSession(req);
    req.session["views"] = "many";
    req.session.cookie.maxAge = 7000;
    res.end("both");
  },
  "/expires-null": (req, res) => {
    hasSession(req);
    req.session["views"] = "browser";
    req.session.cookie.expires = null;
    res.end("browser");
  },
  "/expires-false": (req, res) => {
    hasSession(req);
    req.session["views"] = "false";
    req.session.cookie.expires = false;
    res.end(JSON.stringify(req.session.cookie));
  },
  "/attributes": (req, res) => {
    hasSession(req);
    req.session["views"] = "attributes";
    Object.assign(req.session.cookie, { domain: "example.com", path: "/", priority: "high", partitioned: true });
    Object.assign(req.session.cookie, { sameSite: "lax", httpOnly: false });
    res.end();
  },
  "/bad-id": (req, res) => {
    hasSession(req);
    Object.assign(req, { sessionID: 42 });
    res.end("42");
  },
  "/redirect": (req, res) => {
    hasSession(req);
    req.session["to"] = "there";
    res.statusCode = 302;
    res.setHeader("Location", "/there");
    res.setHeader("Content-Length", 5);
    res.end("there");
  },
  "/empty": (req, res) => {
    hasSession(req);
    req.session["empty"] = true;
    res.end();
  },
  "/no-content": (req, res) => {
    hasSession(req);
    req.session["none"] = true;
    res.statusCode = 204;
    res.end();
  },
  "/end-null": (req, res) => {
    hasSession(req);
    req.session["null"] = true;
    res.end(null);
  },
  "/pieces": (req, res) => {
    hasSession(req);
    req.session["pieces"] = 2;
    res.setHeader("Content-Length", 12);
    res.write("hello, ");
    res.end("world");
  },
  "/read-in-pieces": (_req, res) => {
    res.write("read, ");
    res.end(Buffer.from("only"));
  },
  "/encoding": (req, res) => {
    hasSession(req);
    req.session["hex"] = true;
    res.end("68656c6c6f", "hex");
  },
  "/write-head": (req, res) => {
    hasSession(req);
    req.session["head"] = true;
    res.writeHead(200, "Fine", { "Set-Cookie": ["a=1", "b=2"], "X-Other": "1" });
    res.end("head");
  },
  "/argument-of-end": (req, res) => res.end(page(req)),
  "/argument-of-write": (req, res) => {
    res.write(page(req));
    res.end("written");
  },
  "/argument-of-write-head": (req, res) => {
    res.writeHead(200, { "X-Other": page(req) });
    res.end();
  },
  "/argument-of-set-header": (req, res) => {
    res.setHeader("X-Other", page(req)).end("header");
  },
  "/or-empty": (req, res) => {
    hasSession(req);
    Object.assign(req, { session: req.session || {} });
    req.session["or"] = "empty";
    res.end("or");
  },
  "/put-back": (req, res) => {
    hasSession(req);
    const { session } = req;
    Reflect.deleteProperty(req, "session");
    session["back"] = true;
    Object.assign(req, { session });
    res.end(`${"session" in req}`);
  },
  "/copies": (req, res) => {
    hasSession(req);
    const { id, cookie, ...data } = req.session;
    res.end(JSON.stringify([Object.hasOwn(req, "session"), { ...req }.session === req.session, id, cookie, data]));
  },
  "/clear": (req, res) => {
    hasSession(req);
    for (const name of Object.keys(req.session)) if (name !== "cookie") delete req.session[name];
    res.end(JSON.stringify(req.session));
  },
  "/plain-cookie": (req, res) => {
    hasSession(req);
    req.session.cookie = Object({ path: "/", originalMaxAge: 5000 });
    req.session["plain"] = Number(req.session["plain"] ?? 0) + 1;
    res.end(JSON.stringify(req.session));
  },
  "/original-max-age": (req, res) => {
    hasSession(req);
    req.session.cookie.originalMaxAge = 3000;
    req.session["age"] = 3000;
    res.end("3 s");
  },
  "/garbage-and-touch": (req, res) => {
    hasSession(req);
    req.session["_garbage"] = `${now}`;
    (req as Any).session.touch();
    res.end("touched");
  },
  "/generate": (req, res) => {
    (req as Any).sessionStore.generate(req);
    hasSession(req);
    req.session["generated"] = true;
    res.end(req.sessionID);
  },
  "/destroyed-by-the-store": (req, res) => {
    hasSession(req);
    const { sessionStore, sessionID } = req as Any;
    sessionStore.destroy(sessionID, (error: unknown) => res.end(`${error}`));
  },
  "/null-then-regenerate": (req, res) => {
    hasSession(req);
    const { session } = req;
    Object.assign(req, { session: null });
    session.regenerate(() => {
      hasSession(req);
      req.session["again"] = true;
      res.end("again");
    });
  },
  "/other-cookie": (req, res) => {
    hasSession(req);
    req.session["other"] = true;
    res.setHeader("Set-Cookie", "other=1; Path=/");
    res.end("other");
  },
};

interface Step {
  path: string;
  /** Which cookie to send: the client's own (default), none, or this. */
  cookie?: string;
  headers?: Record<string, string>;
  /** Milliseconds that pass before. */
  after?: number;
}

async function transcript(t: Cleanup, which: Package, options: Options, steps: readonly Step[]): Promise<string[]> {
  now = Date.UTC(2030, 0, 1);
  const { store, operations } = recorded(new which.MemoryStore());
  let ids = 0;
  const middleware = which.session({ secret: "keyboard cat", store, genid: () => `id${++ids}`, ...options });
  const client = await serve(t, middleware, (req, res) => actions[req.url ?? ""]?.(req, res));
  const lines: string[] = [];
  let jar = "";
  for (const { path, cookie = jar, headers, after = 1000 } of steps) {
    now += after;
    const answer = await client.get(path, { ...headers, ...(cookie !== "" && { cookie }) });
    lines.push(`${path}: ${asText(answer)} | ${operations.splice(0).join(", ")}`);
    const own = answer.setCookies.find((line) => line.startsWith("connect.sid="));
    if (own !== undefined) jar = own.split(";", 1)[0] ?? "";
  }
  return lines;
}

function asText({ status, text, setCookies, headers }: Answer): string {
  return `${status} ${text} ${JSON.stringify(setCookies)} ${headers["x-other"] ?? ""}`;
}

/** The signature that "keyboard cat" makes for "apple", and one that it doesn't. */
const APPLE = "connect.sid=s%3Aapple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCU";
const FORGED = "connect.sid=s%3Aapple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCV";

const everyPath = Object.keys(actions).map((path) => ({ path }));
const script: Step[] = [
  { path: "/read" },
  { path: "/write" },
  ...everyPath,
  { path: "/write" },
  ...everyPath.toReversed(),
  { path: "/write" },
  { path: "/read", after: 5000 },
  { path: "/read", after: 60_000 },
  { path: "/read", cookie: APPLE },
  { path: "/write", cookie: FORGED },
  { path: "/read", cookie: "connect.sid=apple" },
  { path: "/read", cookie: "connect.sid=s:apple" },
  { path: "/read", cookie: `"; =; ${APPLE}; connect.sid=x` },
];

const choices: Record<string, readonly Options[]> = {
  resave: [{ resave: false }, { resave: true }],
  saveUninitialized: [{ saveUninitialized: false }, { saveUninitialized: true }],
  rolling: [{}, { rolling: true }],
  cookie: [{}, { cookie: { maxAge: 20_000 } }, { cookie: { maxAge: 20_000, sameSite: true, secure: "auto" } }],
  unset: [{}, { unset: "destroy" }],
};

function* combinations(names = Object.keys(choices)): Generator<Options> {
  const [name, ...others] = names;
  if (name === undefined) return yield {};
  for (const options of choices[name] ?? []) for (const rest of combinations(others)) yield { ...options, ...rest };
}

for (const options of combinations()) {
  test(`as express-session with ${JSON.stringify(options)}`, async (t) => {
    const expected = await transcript(t, packages.theirs, options, script);
    assert.deepEqual(await transcript(t, packages.ours, options, script), expected);
  });
}

const cookieOptions: Options[] = [
  { secure: true },
  { secure: "auto", sameSite: "auto" },
  { secure: false, sameSite: "none", httpOnly: false, path: "/", domain: "example.com" },
  { expires: new Date(Date.UTC(2031, 0, 1)), priority: "medium", partitioned: true },
  { expires: null, sameSite: "strict", whatever: 1 },
  { path: "/write" },
  { path: "/w" },
  { domain: "exa mple.com" },
  { sameSite: "nowhere" },
  { path: "/;" },
  { maxAge: 1000, expires: new Date(Date.UTC(2031, 0, 1)) },
  { expires: new Date(Date.UTC(2031, 0, 1)), maxAge: 1000 },
];

for (const cookie of cookieOptions) {
  for (const proxy of [undefined, true, false]) {
    test(`as express-session with proxy ${proxy} and the cookie ${JSON.stringify(cookie)}`, async (t) => {
      const options = { resave: false, saveUninitialized: false, proxy, cookie };
      const steps: Step[] = [
        { path: "/write" },
        { path: "/write", headers: { "X-Forwarded-Proto": "https" } },
        { path: "/write", cookie: "", headers: { "X-Forwarded-Proto": "HTTPS , http" } },
        { path: "/write", cookie: "", headers: { "X-Forwarded-Proto": "http,https" } },
        { path: "/read" },
      ];
      const expected = await transcript(t, packages.theirs, options, steps);
      assert.deepEqual(await transcript(t, packages.ours, options, steps), expected);
    });
  }
}
