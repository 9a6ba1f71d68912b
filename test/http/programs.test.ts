import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import type { IndexedStore } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { parseSetCookie } from "../support/set-cookie.ts";
import { type Answer, type Handler, KINDS, type Kind, site, type Visitor } from "../support/site.ts";

/**
 * Handlers as nobody would write them: any order of changing, saving, sending and failing. A model of a few lines says what the
 * next request must find.
 */
type Step =
  | ["set", string, number]
  | ["delete", string]
  | ["login", string]
  | ["regenerate", boolean]
  | [
      | "save"
      | "save, not awaited"
      | "touch"
      | "destroy"
      | "write"
      | "flush"
      | "writeHead"
      | "redirect"
      | "wait"
      | "throw"
      | "end",
    ];
type Program = Step[];

const handler: Handler = async (req, res) => {
  const program: Program = JSON.parse(String(req.headers["x-program"] ?? "[]"));
  if (req.url === "/state") return res.end(JSON.stringify({ data: req.session, userId: req.session.userId }));
  res.setHeader("Set-Cookie", "other=1");
  for (const [what, first, second] of program) {
    // The handler learns what is refused after the headers left, such as a login, and nothing changes. A client that never saw the
    // response to a regeneration comes back with the old token, and may begin no session for a while.
    const attempt = (work: Promise<unknown>) =>
      work.catch((error: unknown) => {
        const { code } = Object(error);
        assert.ok(code === "HEADERS_SENT" || code === "SESSION_GONE", String(error));
      });
    switch (what) {
      case "set":
        Object.assign(req.session, { [String(first)]: second });
        break;
      case "delete":
        Reflect.deleteProperty(req.session, String(first));
        break;
      case "login":
        await attempt(req.session.login(String(first)));
        break;
      case "regenerate":
        await attempt(req.session.regenerate({ keep: first === true }));
        break;
      case "save":
        await attempt(req.session.save());
        break;
      case "save, not awaited":
        req.session.save();
        break;
      case "touch":
        await req.session.touch();
        break;
      case "destroy":
        await req.session.destroy();
        break;
      case "write":
        res.write("x".repeat(100));
        break;
      case "flush":
        res.flushHeaders();
        break;
      case "writeHead":
        if (!res.headersSent) res.writeHead(201, { "x-mine": "1" });
        break;
      case "redirect":
        if (res.headersSent) res.end();
        else res.writeHead(303, { location: "/state" }).end();
        return undefined;
      case "wait":
        await turn();
        break;
      case "throw":
        throw Object.assign(new Error("the program's own"), { status: 418 });
      case "end":
        return res.end("the end");
    }
  }
  return res.end("over");
};

interface Expected {
  data: Record<string, number>;
  userId: string | null;
}

const SENDING: readonly Step[0][] = ["write", "flush", "writeHead", "redirect", "end"];

/** What the next request finds; `undefined` where the response is cut off, and either is right. */
function outcome(program: Program, { data: before, userId: user }: Expected, wasStored: boolean): Expected | undefined {
  let data = { ...before };
  let userId = user;
  let isStored = wasStored;
  let sent = false;
  // A destroyed session's successor begins with data only.
  let isFarewell = false;
  for (const [what, first, second] of program) {
    if (SENDING.includes(what) && !sent) {
      sent = true;
      isStored ||= Object.keys(data).length > 0 || userId !== null;
    }
    switch (what) {
      case "set":
        data[String(first)] = Number(second);
        break;
      case "delete":
        delete data[String(first)];
        break;
      case "save":
      case "save, not awaited":
        if (!sent) isStored ||= !isFarewell || Object.keys(data).length > 0;
        break;
      case "login":
        if (sent) break;
        if (userId !== null && userId !== first) data = {};
        userId = String(first);
        isStored = true;
        break;
      case "regenerate":
        if (sent) break;
        isFarewell = false;
        // The new session is stored when the answer leaves, if it holds anything then.
        isStored = false;
        if (first !== true) {
          data = {};
          userId = null;
        }
        break;
      case "destroy":
        data = {};
        userId = null;
        isStored = false;
        isFarewell = true;
        break;
      case "throw":
        if (sent) return undefined;
        return { data, userId };
      case "redirect":
      case "end":
        return isStored ? { data, userId } : { data: {}, userId: null };
    }
  }
  return isStored || !sent ? { data, userId } : { data: {}, userId: null };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant("set" as const), fc.constantFrom("a", "b"), fc.nat(3)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("delete" as const), fc.constantFrom("a", "b")) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("login" as const), fc.constantFrom("alice", "bob")) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("regenerate" as const), fc.boolean()) },
  {
    weight: 7,
    arbitrary: fc.tuple(
      fc.constantFrom(
        "save",
        "save, not awaited",
        "touch",
        "destroy",
        "write",
        "flush",
        "writeHead",
        "redirect",
        "wait",
        "throw",
        "end" as const,
      ),
    ) as fc.Arbitrary<Step>,
  },
);

/** Programs that chance finds seldom, whatever the server. */
const SELDOM: Program[][] = [
  // The token of a regeneration does not reach the client, which comes back.
  [[["set", "a", 0]], [["regenerate", false], ["flush"], ["throw"]], [["set", "a", 0]]],
  // What a regeneration kept is deleted before the answer leaves, and then it is too late for more.
  [[["set", "a", 0], ["regenerate", true], ["delete", "a"], ["flush"], ["set", "a", 0]]],
];

/** The connection ended before a byte of the response. */
const HUNG_UP: Answer = { status: 500, headers: {}, setCookies: [], text: "", complete: false };

async function find(visitor: Visitor): Promise<Expected> {
  const { status, text } = await visitor.get("/state");
  assert.equal(status, 200);
  return JSON.parse(text);
}

const STORES: [string, (clock: ManualClock) => IndexedStore, number][] = [
  ["memory", (clock) => new MemoryStore({ clock }), 200],
  ["SQLite", (clock) => new SqliteStore(":memory:", { clock }), 100],
  ["an asynchronous store", (clock) => new ProbeStore(new MemoryStore({ clock }), { async: true }).store, 200],
];

for (const [name, open, runs] of STORES) {
  test(`property: whatever a handler does, the next request finds what its answer claimed, over ${name}`, async (t) => {
    const clock = new ManualClock();
    const kinds = await Promise.all(
      KINDS.map(async (kind) => ({ kind, ...(await site(t, { kind, clock, store: open(clock) }, handler)) })),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Kind>(...KINDS),
        fc.array(fc.array(step, { maxLength: 10 }), { minLength: 1, maxLength: 3 }),
        async (kind, programs) => {
          const one = kinds.find((candidate) => candidate.kind === kind) ?? assert.fail();
          const visitor = one.visitor();
          let expected: Expected = { data: {}, userId: null };
          for (const program of programs) {
            const holds =
              visitor.token !== undefined && (await one.sessions.get(visitor.token.slice(0, 22))) !== undefined;
            const answer = await visitor.get("/", { "x-program": JSON.stringify(program) }).catch(() => HUNG_UP);
            const ours = answer.setCookies.filter((line) => parseSetCookie(line).name === "sid");
            assert.ok(ours.length <= 1);
            if (ours.length === 1) {
              assert.equal(answer.headers["cache-control"], "no-store");
              assert.equal(answer.headers.vary, "Cookie");
            }
            if (answer.status < 400) assert.equal(answer.setCookies.filter((line) => line === "other=1").length, 1);
            const next = outcome(program, expected, holds);
            assert.equal(
              answer.complete,
              next !== undefined,
              "cut off exactly where the answer could not be completed",
            );
            // A client that never got a regeneration's token may begin a session with the old one after a minute.
            if (next === undefined) clock.advance(60_000);
            const found = await find(visitor);
            if (next !== undefined) assert.deepEqual(found, next);
            expected = found;
          }
        },
      ),
      {
        numRuns: runs,
        examples: KINDS.flatMap((kind) => SELDOM.map((programs): [Kind, Program[]] => [kind, programs])),
      },
    );
    for (const { sessions } of kinds) {
      // Every record belongs to a browser that could come back with it, or to one that was told to forget it.
      assert.ok((await sessions.count()) <= 3 * runs);
    }
  });
}
