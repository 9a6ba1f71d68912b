import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type IndexedStore, MemoryStore } from "../../src/index.ts";
import { type Fault, type Faulty, faulty, ManualClock, type StoreOperation } from "../../src/testing/index.ts";
import { type Reply, tokenOf } from "../support/client.ts";
import { peek, put, type Site, startSite } from "../support/express-site.ts";
import { inSteps } from "../support/in-steps.ts";
import { rest } from "./steps.ts";

/** The store fails at each of the calls that a change of identity makes, in each way, for once and for good. */

const FAULTS: readonly Exclude<Fault["kind"], "delay">[] = ["error", "hang", "lost reply", "no reply"];

/** How a record is dropped that nobody has a token of. */
const DROP: readonly StoreOperation[] = ["delete"];

interface Change {
  path: string;
  /** Whether the visitor is logged in before. */
  user: boolean;
  /** What has to be true after a success. */
  promises(after: After): void;
  /** Whether the visitor asked to be logged out: their cookie goes even if the store fails. */
  leaves: boolean;
}

/** What the store has and the clients see, once it works again. */
interface After {
  reply: Reply;
  /** With the token that the request came with. */
  old: Record<string, unknown>;
  /** With the token that the answer set, if it did. */
  fresh: Record<string, unknown> | undefined;
  /** With the token of the user's other device. */
  other: Record<string, unknown>;
}

const changes: readonly Change[] = [
  {
    path: "/login",
    user: false,
    leaves: false,
    promises({ old, fresh }) {
      assert.equal(old["isNew"], true);
      assert.deepEqual([fresh?.["userId"], fresh?.["base"]], ["u1", "kept"]);
    },
  },
  {
    path: "/regenerate-keep",
    user: true,
    leaves: false,
    promises({ old, fresh }) {
      assert.equal(old["isNew"], true);
      assert.deepEqual([fresh?.["userId"], fresh?.["base"]], ["u1", "kept"]);
    },
  },
  {
    path: "/regenerate",
    user: true,
    leaves: false,
    promises({ old, fresh }) {
      assert.equal(old["isNew"], true);
      assert.equal(fresh?.["userId"] ?? null, null);
    },
  },
  { path: "/destroy", user: true, leaves: true, promises: assertLoggedOut },
  { path: "/destroy-careless", user: true, leaves: true, promises: assertLoggedOut },
  { path: "/logout", user: true, leaves: true, promises: assertLoggedOut },
  {
    path: "/logout-everywhere",
    user: true,
    leaves: true,
    promises(after) {
      assertLoggedOut(after);
      assert.equal(after.other["isNew"], true);
    },
  },
  {
    path: "/logout-everywhere-careless",
    user: true,
    leaves: true,
    promises(after) {
      assertLoggedOut(after);
      assert.equal(after.other["isNew"], true);
    },
  },
];

function assertLoggedOut({ reply, old }: After): void {
  assert.equal(reply.cookie, "cleared");
  assert.equal(old["isNew"], true);
}

for (const change of changes) {
  testAt(change.path, change, (store) => store);
  if (/login|regenerate/.test(change.path)) testAt(`${change.path} in two steps`, change, inSteps);
}

function testAt(name: string, change: Change, stored: (store: IndexedStore) => IndexedStore): void {
  test(`${name}, the store failing at each of its calls`, async (t) => {
    const setting = await open(t, stored);
    const methods = await callsOf(setting, change);
    assert.ok(methods.length > 0);
    for (const [position, method] of methods.entries()) {
      for (const fault of FAULTS) {
        const earlier = methods.slice(0, position).filter((one) => one === method).length;
        const which = earlier === 0 ? method : `${method} number ${earlier + 1}`;
        const only = { method, earlier };
        await t.test(`${fault} at ${which}`, () => attempt(setting, change, fault, [method], only));
        await t.test(`${fault} at ${which}, and from then on`, () => {
          const broken = new Set([
            ...methods.slice(position),
            ...(methods.slice(0, position).includes("delete") ? [] : DROP),
          ]);
          return attempt(setting, change, fault, [...broken], only, Number.POSITIVE_INFINITY);
        });
      }
    }
  });
}

interface Setting {
  site: Site;
  inner: MemoryStore;
  unreliable: Faulty<IndexedStore>;
  clock: ManualClock;
}

async function open(t: TestContext, stored: (store: IndexedStore) => IndexedStore): Promise<Setting> {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const unreliable = faulty(stored(inner), { synchronousLoad: false });
  const { store } = unreliable;
  const site = await startSite(t, { store, clock }, (app) => {
    app.get("/look", (req, res) => {
      const { isNew, userId } = req.session;
      res.json({ isNew, userId, base: peek(req.session, "base") });
    });
    app.post("/begin", async (req, res) => {
      put(req.session, "base", "kept");
      if (req.query["user"] === "true") await req.session.login("u1");
      res.json({});
    });
    app.post("/login", async (req, res) => {
      await req.session.login("u1");
      res.json({});
    });
    app.post("/regenerate-keep", async (req, res) => {
      await req.session.regenerate({ keep: true });
      res.json({});
    });
    app.post("/regenerate", async (req, res) => {
      await req.session.regenerate();
      put(req.session, "begun", true);
      res.json({});
    });
    app.post("/destroy", async (req, res) => {
      await req.session.destroy();
      res.json({});
    });
    app.post("/logout", async (req, res) => {
      await req.session.logout();
      res.json({});
    });
    app.post("/logout-everywhere", async (req, res) => {
      await req.session.logout({ everywhere: true });
      res.json({});
    });
    // Handlers that don't look whether it worked: the end of the request does.
    app.post("/destroy-careless", async (req, res) => {
      void req.session.destroy();
      res.json({});
    });
    app.post("/logout-everywhere-careless", async (req, res) => {
      await req.session.logout({ everywhere: true }).catch(() => {});
      res.json({});
    });
  });
  return { site, inner, unreliable, clock };
}

/** What the change asks of a store that works, after the session was loaded. */
async function callsOf({ site, unreliable }: Setting, { path, user }: Change): Promise<StoreOperation[]> {
  const token = tokenOf(await site.send(`/begin?user=${user}`, { method: "POST" }));
  const before = unreliable.calls.length;
  assert.equal((await site.send(path, { method: "POST", token })).status, 200);
  const [load, ...others] = unreliable.calls.slice(before);
  assert.equal(load, "load");
  return others;
}

async function attempt(
  { site, inner, unreliable, clock }: Setting,
  change: Change,
  fault: (typeof FAULTS)[number],
  broken: StoreOperation[],
  { method: first, earlier }: { method: StoreOperation; earlier: number },
  times = 1,
): Promise<void> {
  inner.deleteAll({});
  const token = tokenOf(await site.send(`/begin?user=${change.user}`, { method: "POST" }));
  const otherToken = tokenOf(await site.send("/begin?user=true", { method: "POST" }));
  // Those before it pass.
  if (earlier > 0) unreliable.fail(first, { kind: "delay", ms: 0 }, earlier);
  for (const method of broken) unreliable.fail(method, { kind: fault }, times);
  let isAnswered = false;
  const answer = site.send(change.path, { method: "POST", token }).finally(() => {
    isAnswered = true;
  });
  while (!isAnswered) {
    await rest();
    clock.advance(500);
  }
  const reply = await answer;
  unreliable.heal();
  // Whatever the store still does for the failed request it does now.
  await site.send("/look");

  const look = async (shown: string) => (await site.send("/look", { token: shown })).json();
  const fresh = typeof reply.cookie === "string" ? undefined : await look(reply.cookie.token);
  const old = await look(token);
  const isTransient = times === 1;
  const after = { reply, old, fresh, other: await look(otherToken) };

  if (reply.status === 200) change.promises(after);
  else {
    assert.equal(reply.status, 503, reply.text);
    if (change.leaves) assert.equal(reply.cookie, "cleared");
    else if (reply.cookie === "cleared") assert.equal(old["isNew"], true, "the cookie of a living session was cleared");
    else assert.equal(reply.cookie, "kept");
    // What could not be replaced lives on, unless the store ended it and only failed to say so.
    const isEnding = broken[0] === "replace" || broken[0] === "update";
    const mayBeEnded = change.leaves || change.path === "/regenerate" || (isEnding && fault.endsWith("reply"));
    if (!mayBeEnded) assert.deepEqual([old["isNew"], old["base"]], [false, "kept"]);
    // A login never happens under a token that someone else may know.
    if (!change.user) assert.equal(old["userId"], null);
  }
  const { sessions } = inner.list({});
  const reachable = [old, after.other, ...(fresh === undefined ? [] : [fresh])].filter(
    (seen) => seen["isNew"] === false,
  );
  // What the store refused once it was asked for again before the answer left.
  if (change.leaves && isTransient) assert.equal(old["isNew"], true, "the session lives on after a logout");
  if (change.path.startsWith("/logout-everywhere") && isTransient) assert.equal(after.other["isNew"], true);
  // A store that stays down can't be told to drop what nobody has a token of.
  if (isTransient) assert.equal(sessions.length, reachable.length, "a session is left that nobody has a token of");
  assert.ok(reachable.length <= 2, "both the old token and the new one open");
}
