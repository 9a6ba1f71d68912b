import assert from "node:assert/strict";
import { test } from "node:test";
import type { Express } from "express";
import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore, Sessions } from "../../src/index.ts";
import { decodePayload } from "../../src/session/content.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { SteppedStore } from "../races/stepped-store.ts";
import { explore, type Run } from "../races/steps.ts";
import { handleOf, type Reply, tokenOf } from "../support/client.ts";
import { everyStore } from "../support/every-store.ts";
import { type Cleanup, PATIENT, put, type Site, startSite } from "../support/express-site.ts";

/**
 * An impersonation that begins or stops, and what can happen to its sessions at the same time, over every store, in all orders, in
 * one process and in two.
 */

const FIRST = ["impersonate", "stop"] as const;
type First = (typeof FIRST)[number];
const SECOND = ["impersonate", "stop", "write", "regenerate", "logout", "revoke-actor", "revoke-user", "read"] as const;
type Second = (typeof SECOND)[number];

function routes(app: Express, sessions: Sessions): void {
  app.post("/login", async (req, res) => {
    await req.session.login("admin");
    res.json({});
  });
  app.post("/impersonate", async (req, res) => {
    await req.session.impersonate("bob", { reason: "a test" });
    res.json({});
  });
  app.post("/stop", async (req, res) => {
    await req.session.stopImpersonating();
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
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.json({});
  });
  app.post("/revoke-actor", async (_req, res) => {
    res.json({ count: await sessions.revokeAll("admin") });
  });
  app.post("/revoke-user", async (_req, res) => {
    res.json({ count: await sessions.revokeAll("bob") });
  });
  app.post("/read", (req, res) => {
    res.json({ userId: req.session.userId, actor: req.session.actor?.userId ?? null });
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

  static async open(t: Cleanup, open: (clock: Clock) => IndexedStore, processes: 1 | 2): Promise<Meet> {
    const clock = new ManualClock();
    const inner = open(clock);
    const store = new SteppedStore(inner);
    const start = () => startSite(t, { store: store.store, clock, storeTimeout: PATIENT }, routes);
    const first = await start();
    return new Meet(store, inner, clock, [first, processes === 1 ? first : await start()]);
  }

  async attempt(run: Run, first: First, second: Second): Promise<void> {
    const [one, two] = this.#sites;
    this.#store.run = undefined;
    await this.#inner.deleteAll({});
    const begin = async (path: string, token?: string) => tokenOf(await one.send(path, { method: "POST", token }));
    const login = await begin("/login");
    const token = first === "impersonate" ? login : await begin("/impersonate", login);
    this.#clock.advance(1_000);
    run.isAwaited = (_by, method) => method !== "touch";
    this.#store.run = run;
    const send = (site: Site, by: string, path: string) =>
      run.start(`${by} ${path}`, by.charCodeAt(0), () => ({
        begun: site.begins(by),
        done: site.send(path, { method: "POST", token, as: by }),
      }));
    const started = [send(one, "A", `/${first}`), send(two, "B", `/${second}`)];
    await run.toTheEnd(() => this.#clock.advance(20));
    const [mine, theirs] = await Promise.all(started);
    this.#store.run = undefined;
    assert.ok(mine !== undefined && theirs !== undefined);
    await this.#check(mine, theirs, { before: [login, token], first, second });
  }

  async #check(
    mine: Reply,
    theirs: Reply,
    { before, first, second }: { before: string[]; first: First; second: Second },
  ): Promise<void> {
    const issued = [mine, theirs].flatMap(({ cookie }) => (typeof cookie === "string" ? [] : [cookie.token]));
    const opened = new Map<string, string>();
    for (const token of new Set([...before, ...issued])) {
      const { userId, actor } = (await this.#sites[0].send("/read", { method: "POST", token })).json();
      if (userId !== null) opened.set(handleOf(token), `${userId} by ${actor}`);
    }
    for (const reply of [mine, theirs]) {
      assert.ok([200, 401, 403, 409].includes(reply.status), `${reply.status} ${reply.text}`);
      if (reply.status !== 200) assert.equal(reply.cookie, "kept");
    }
    assert.ok(opened.size <= 1, `two tokens open: ${[...opened.values()].join(", ")}`);
    const [who] = opened.values();
    const done = mine.status === 200;
    switch (second) {
      case "logout":
      case "revoke-actor":
        assert.equal(theirs.status, 200);
        assert.equal(who, undefined, "an acknowledged end is an end");
        break;
      case "revoke-user":
        // Before the impersonation began, or after it stopped, it was not the user's session.
        if (who !== undefined) assert.ok(done || first === "impersonate", who);
        if (who === "bob by admin") assert.deepEqual(theirs.json(), { count: 0 });
        break;
      case "write":
      case "read":
        assert.equal(done, true);
        assert.equal(who, first === "impersonate" ? "bob by admin" : "admin by null");
        break;
      case "regenerate":
        assert.ok(done || theirs.status === 200);
        if (!done) assert.equal(who, first === "impersonate" ? "admin by null" : "bob by admin");
        break;
      default: {
        // Both the same: one of them did it. Else one of them found nothing to do.
        const successes = [mine, theirs].filter(({ status }) => status === 200).length;
        assert.ok(successes >= 1 && (first !== second || successes === 1), `${successes} succeeded`);
        assert.ok(who !== undefined);
      }
    }
    await this.#checkStore(new Set(opened.keys()), second);
  }

  /** Nothing is left that no client holds, but a session that waits for an impersonation which others ended. */
  async #checkStore(opened: ReadonlySet<string>, second: Second): Promise<void> {
    const { sessions } = await this.#inner.list({});
    const metas = sessions.map(({ handle, payload }) => ({ handle, ...decodePayload(payload)?.meta }));
    for (const { handle, actor, parked } of metas) {
      if (opened.has(handle)) continue;
      if (parked !== undefined) {
        const isWaiting = metas.some((one) => one.actor?.session === handle && opened.has(one.handle));
        assert.ok(isWaiting || second === "revoke-user", "a session waits for nothing");
      } else if (actor !== undefined) {
        assert.ok(!metas.some((one) => one.handle === actor.session), "an impersonation is open to nobody");
      } else assert.fail("a session that nobody holds");
    }
  }
}

function testOrders(name: string, open: (clock: Clock) => IndexedStore, options: Options): void {
  const { processes, preemptions, skip } = options;
  const what = "an impersonation and any other operation, in all orders";
  test(`${name}, ${processes} process(es): ${what}`, { skip }, async (t) => {
    const meet = await Meet.open(t, open, processes);
    let orders = 0;
    for (const first of FIRST) {
      for (const second of SECOND) {
        await t.test(`${first} and ${second}`, async () => {
          orders += await explore((run) => meet.attempt(run, first, second), { preemptions });
        });
      }
    }
    t.diagnostic(`${orders} orders`);
  });
}

interface Options {
  processes: 1 | 2;
  /** For these see `explore`. */
  preemptions: number;
  skip: string | false;
}

for (const { name, skip, open } of everyStore()) {
  // What two requests share in one process is the same over any store.
  const isFast = name === "memory" || name === "SQLite";
  if (isFast) testOrders(name, open, { processes: 1, preemptions: 2, skip });
  testOrders(name, open, { processes: 2, preemptions: isFast ? 2 : 1, skip });
}
