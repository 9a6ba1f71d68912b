import assert from "node:assert/strict";
import { test } from "node:test";
import type { Express } from "express";
import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore, Sessions } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { SteppedStore } from "../races/stepped-store.ts";
import { explore, type Run } from "../races/steps.ts";
import { handleOf, type Reply, tokenOf } from "../support/client.ts";
import { everyStore } from "../support/every-store.ts";
import { type Cleanup, PATIENT, put, type Site, startSite } from "../support/express-site.ts";

/**
 * Logins of one user within a limit of two, and what can happen at the same time, over every store, in all orders, in one process
 * and in two. A login is one call of the store, so the orders are those of whole calls.
 */

const USER = "ada";
const LIMIT = 2;

/**
 * What B does with the session that was used longest ago; `login-anew` comes without one, `login-instead` with another user's.
 * `last-place` is a login without one, where only one place is left for it and A.
 */
const MEETING = [
  "login",
  "login-anew",
  "login-instead",
  "last-place",
  "other-login",
  "write",
  "regenerate",
  "confirm",
  "logout",
  "revoke",
  "revoke-all",
] as const;
type Meeting = (typeof MEETING)[number];

function routes(app: Express, sessions: Sessions): void {
  app.post("/login", async (req, res) => {
    await req.session.login(USER);
    res.json({});
  });
  app.post("/other-login", async (req, res) => {
    await req.session.login("bob");
    res.json({});
  });
  app.post("/write", (req, res) => {
    put(req.session, "n", 1);
    res.json({});
  });
  app.post("/regenerate", async (req, res) => {
    await req.session.regenerate({ keep: true });
    res.json({});
  });
  app.post("/confirm", async (req, res) => {
    await req.session.confirm({ methods: ["pwd"] });
    res.json({});
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.json({});
  });
  app.post("/revoke", async (req, res) => {
    res.json({ revoked: await sessions.revoke(req.session.id, { userId: USER }) });
  });
  app.post("/revoke-all", async (_req, res) => {
    res.json({ count: await sessions.revokeAll(USER) });
  });
  app.get("/look", (req, res) => {
    res.json({ userId: req.session.userId });
  });
}

class Meet {
  readonly #store: SteppedStore;
  readonly #inner: IndexedStore;
  readonly #clock: ManualClock;
  readonly #sites: readonly [Site, Site];

  private constructor(store: SteppedStore, inner: IndexedStore, clock: ManualClock, sites: readonly [Site, Site]) {
    this.#store = store;
    this.#inner = inner;
    this.#clock = clock;
    this.#sites = sites;
  }

  static async open(
    t: Cleanup,
    open: (clock: Clock) => IndexedStore,
    exceed: "revoke-oldest" | "refuse",
    processes: 1 | 2,
  ): Promise<Meet> {
    const clock = new ManualClock();
    const inner = open(clock);
    const store = new SteppedStore(inner);
    const start = () =>
      startSite(
        t,
        { store: store.store, clock, storeTimeout: PATIENT, maxSessionsPerUser: { limit: LIMIT, exceed } },
        routes,
      );
    const first = await start();
    return new Meet(store, inner, clock, [first, processes === 1 ? first : await start()]);
  }

  /** One run: A logs in by a new browser, while B does something with a session that was used longest ago. */
  async attempt(run: Run, meeting: Meeting, exceed: "revoke-oldest" | "refuse"): Promise<void> {
    const [one, two] = this.#sites;
    this.#store.run = undefined;
    await this.#inner.deleteAll({});
    const login = async (path = "/login") => {
      this.#clock.advance(1_000);
      return tokenOf(await one.send(path, { method: "POST" }));
    };
    const tokens = [await login()];
    if (meeting !== "last-place") tokens.push(await login());
    const other = meeting === "login-instead" ? await login("/other-login") : undefined;
    this.#clock.advance(1_000);
    run.isAwaited = (_by, method) => method !== "touch";
    this.#store.run = run;
    const send = (site: Site, by: string, path: string, token: string | undefined) =>
      run.start(`${by} ${path}`, by.charCodeAt(0), () => ({
        begun: site.begins(by),
        done: site.send(path, { method: "POST", token, as: by }),
      }));
    const isNew = meeting === "login-anew" || meeting === "last-place";
    const path = isNew || meeting === "login-instead" ? "/login" : `/${meeting}`;
    const started = [
      send(one, "A", "/login", undefined),
      send(two, "B", path, isNew ? undefined : (other ?? tokens[0])),
    ];
    await run.toTheEnd(() => this.#clock.advance(20));
    const [mine, theirs] = await Promise.all(started);
    this.#store.run = undefined;
    assert.ok(mine !== undefined && theirs !== undefined);
    await this.#check(mine, theirs, { tokens, meeting, exceed });
  }

  async #check(
    mine: Reply,
    theirs: Reply,
    { tokens, meeting, exceed }: { tokens: string[]; meeting: Meeting; exceed: "revoke-oldest" | "refuse" },
  ): Promise<void> {
    const live = (await this.#inner.list({ userId: USER })).sessions.map(({ handle }) => handle);
    assert.ok(live.length <= LIMIT, `${live.length} sessions`);
    const issued = [mine, theirs].flatMap(({ cookie }) => (typeof cookie === "string" ? [] : [cookie.token]));
    const opened: string[] = [];
    for (const token of new Set([...tokens, ...issued])) {
      const { userId } = (await this.#sites[0].send("/look", { token })).json();
      if (userId === USER) opened.push(handleOf(token));
    }
    // Nobody's session is one that no client holds.
    assert.deepEqual(opened.sort(), live.sort());
    for (const reply of [mine, theirs]) {
      // A confirmation comes too late for a session that made room.
      assert.ok([200, 401, 409].includes(reply.status), `${reply.status} ${reply.text}`);
      if (reply.status !== 200) assert.equal(reply.cookie, "kept");
    }
    const isEnd = ["other-login", "logout", "revoke", "revoke-all"].includes(meeting);
    // A session that made room, or ended, leaves the other places taken.
    if (exceed === "revoke-oldest") {
      assert.equal(mine.status, 200);
      if (!isEnd) assert.equal(live.length, LIMIT);
      return;
    }
    const codes = [mine, theirs].filter(({ status }) => status === 409).map((reply) => reply.json()["code"]);
    if (["login", "write", "regenerate", "confirm"].includes(meeting)) {
      assert.deepEqual(codes, ["TOO_MANY_SESSIONS"], "A has no room");
      assert.equal(live.length, LIMIT);
    }
    if (meeting === "login-anew" || meeting === "login-instead") {
      assert.deepEqual(codes, ["TOO_MANY_SESSIONS", "TOO_MANY_SESSIONS"], "neither has room");
      assert.equal(live.length, LIMIT);
    }
    if (meeting === "last-place") {
      assert.deepEqual(codes, ["TOO_MANY_SESSIONS"], "one of them gets the place");
      assert.equal(live.length, LIMIT);
    }
    // One place became free, or all, before A or after.
    if (isEnd) {
      assert.equal(theirs.status, 200);
      const left = meeting === "revoke-all" ? 0 : LIMIT - 1;
      assert.ok(mine.status === 200 || mine.json()["code"] === "TOO_MANY_SESSIONS");
      if (meeting !== "revoke-all") assert.equal(live.length, mine.status === 200 ? left + 1 : left);
      else assert.ok(live.length === left || (mine.status === 200 && live.length === left + 1));
    }
  }
}

/** What two requests share in one process is the same over any store. */
const IN_ONE_PROCESS = new Set(["memory", "SQLite"]);

for (const { name, skip, open } of everyStore()) {
  for (const exceed of ["revoke-oldest", "refuse"] as const) {
    for (const processes of IN_ONE_PROCESS.has(name) ? ([1, 2] as const) : ([2] as const)) {
      const what = "a login and any other operation, in all orders";
      test(`${name}, ${exceed}, ${processes} process(es): ${what}`, { skip }, async (t) => {
        const meet = await Meet.open(t, open, exceed, processes);
        let orders = 0;
        for (const meeting of MEETING) {
          await t.test(`login and ${meeting}`, async () => {
            orders += await explore((run) => meet.attempt(run, meeting, exceed), { preemptions: 2 });
          });
        }
        t.diagnostic(`${orders} orders`);
      });
    }
  }
}
