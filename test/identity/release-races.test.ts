import assert from "node:assert/strict";
import { test } from "node:test";
import type { Express } from "express";
import type { IndexedStore, SessionOptions } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { SteppedStore } from "../races/stepped-store.ts";
import { explore, type Run } from "../races/steps.ts";
import { type Reply, tokenOf } from "../support/client.ts";
import { everyStore } from "../support/every-store.ts";
import { type Cleanup, increment, PATIENT, put, type Site, startSite } from "../support/express-site.ts";

/**
 * Two processes of which one knows more, over every store, in all orders: one has learnt that a user was disabled, the other
 * goes by an earlier answer; one is a newer release, which brings the data of the older one along.
 */

const USER = "ada";
const VALID_MS = 10_000;

function routes(app: Express): void {
  app.post("/login", async (req, res) => {
    put(req.session, "cart", ["book"]);
    put(req.session, "n", 0);
    await req.session.login(USER);
    res.json({});
  });
  app.post("/bob", async (req, res) => {
    await req.session.login("bob");
    res.json({});
  });
  app.post("/read", (req, res) => {
    res.json({ userId: req.session.userId, data: { ...req.session } });
  });
  app.post("/count", (req, res) => {
    const { userId } = req.session;
    if (userId !== null) increment(req.session);
    res.json({ userId });
  });
  app.post("/buy", (req, res) => {
    const { userId } = req.session;
    if (userId !== null) put(req.session, "cart", ["book", "lamp"]);
    res.json({ userId });
  });
  app.post("/regenerate", async (req, res) => {
    const { userId } = req.session;
    if (userId !== null) await req.session.regenerate({ keep: true });
    res.json({ userId });
  });
  app.post("/confirm", async (req, res) => {
    const { userId } = req.session;
    if (userId !== null) await req.session.confirm();
    res.json({ userId });
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.json({});
  });
}

/** A's process, and B's. */
class Both {
  readonly clock: ManualClock;
  readonly inner: IndexedStore;
  readonly #store: SteppedStore;
  readonly one: Site;
  readonly two: Site;

  private constructor(clock: ManualClock, inner: IndexedStore, store: SteppedStore, sites: readonly [Site, Site]) {
    this.clock = clock;
    this.inner = inner;
    this.#store = store;
    [this.one, this.two] = sites;
  }

  static async open(
    t: Cleanup,
    open: (clock: ManualClock) => IndexedStore,
    options: readonly [SessionOptions, SessionOptions],
  ): Promise<Both> {
    const clock = new ManualClock();
    const inner = open(clock);
    const store = new SteppedStore(inner);
    const shared = { store: store.store, clock, storeTimeout: PATIENT };
    const start = (own: SessionOptions) => startSite(t, { ...shared, ...own }, routes);
    return new Both(clock, inner, store, [await start(options[0]), await start(options[1])]);
  }

  /** Begins with the user's session, and nothing else. */
  async begin(site: Site): Promise<string> {
    this.#store.run = undefined;
    await this.inner.deleteAll({});
    return tokenOf(await site.send("/login", { method: "POST" }));
  }

  async race(run: Run, token: string, first: string, second: string): Promise<[Reply, Reply]> {
    run.isAwaited = (_by, method) => method !== "touch";
    this.#store.run = run;
    const send = (site: Site, by: string, path: string) =>
      run.start(`${by} ${path}`, by.charCodeAt(0), () => ({
        begun: site.begins(by),
        done: site.send(path, { method: "POST", token, as: by }),
      }));
    const started = Promise.all([send(this.one, "A", `/${first}`), send(this.two, "B", `/${second}`)]);
    await run.toTheEnd(() => this.clock.advance(20));
    this.#store.run = undefined;
    return started;
  }

  /** What the sessions of these tokens are at a process. */
  async seen(site: Site, tokens: Iterable<string>): Promise<Record<string, unknown>[]> {
    const all: Record<string, unknown>[] = [];
    for (const token of new Set(tokens)) all.push((await site.send("/read", { method: "POST", token })).json());
    return all;
  }
}

function issuedBy(...replies: Reply[]): string[] {
  return replies.flatMap(({ cookie }) => (typeof cookie === "string" ? [] : [cookie.token]));
}

for (const { name, skip, open } of everyStore()) {
  // For these see `explore`.
  const preemptions = name === "memory" || name === "SQLite" ? 2 : 1;

  test(`${name}: a user who was disabled is out at the process that knows, whatever the other one does`, {
    skip,
  }, async (t) => {
    let disabled = false;
    const validate = ({ userId }: { userId: string }) => userId !== USER || !disabled;
    const options = { validate, validateEvery: VALID_MS };
    const both = await Both.open(t, open, [options, options]);
    let ended = 0;
    for (const { sessions } of [both.one, both.two]) {
      sessions.on("invalidated", () => {
        ended += 1;
      });
    }
    let orders = 0;
    for (const first of ["read", "count", "regenerate"] as const) {
      for (const second of ["read", "count", "regenerate", "confirm", "logout", "bob"] as const) {
        await t.test(`${first} and ${second}`, async () => {
          orders += await explore(
            async (run) => {
              disabled = false;
              const token = await both.begin(both.one);
              both.clock.advance(VALID_MS + 1_000);
              // B has asked just now; A has to ask again.
              await both.two.send("/read", { method: "POST", token });
              disabled = true;
              ended = 0;
              const replies = await both.race(run, token, first, second);
              for (const { status, text } of replies) assert.ok(status === 200 || status === 409, `${status} ${text}`);
              assert.notEqual(replies[0].json()["userId"], USER, "A let the user in");
              const users = (await both.seen(both.one, [token, ...issuedBy(...replies)])).map(({ userId }) => userId);
              const isBob = second === "bob" && replies[1].status === 200;
              assert.deepEqual(
                users.filter((userId) => userId !== null),
                isBob ? ["bob"] : [],
              );
              assert.equal(await both.inner.count({ userId: USER }), 0, "a session of the user is left");
              assert.ok(ended >= 1 || second === "logout" || isBob, "an end that no event tells");
            },
            { preemptions },
          );
        });
      }
    }
    t.diagnostic(`${orders} orders`);
  });

  test(`${name}: a newer release and an older one over one session, in all orders`, { skip }, async (t) => {
    const up = (data: Record<string, unknown>) => {
      const { cart } = data;
      if (Array.isArray(cart)) data["cart"] = cart.map((title: unknown) => ({ title }));
    };
    const both = await Both.open(t, open, [{ migrate: [{ from: 1, up }] }, { migrate: [] }]);
    const gone = new Set<"A" | "B">();
    both.one.sessions.on("gone", () => gone.add("A"));
    both.two.sessions.on("gone", () => gone.add("B"));
    let orders = 0;
    for (const first of ["read", "count", "regenerate", "logout"] as const) {
      for (const second of ["read", "buy", "regenerate", "logout"] as const) {
        await t.test(`${first} and ${second}`, async () => {
          orders += await explore(
            async (run) => {
              const token = await both.begin(both.two);
              gone.clear();
              both.clock.advance(1_000);
              const replies = await both.race(run, token, first, second);
              const [mine, theirs] = replies;
              for (const { status, text } of replies) assert.ok(status === 200 || status === 409, `${status} ${text}`);
              const all = await both.seen(both.one, [token, ...issuedBy(...replies)]);
              const live = all.filter(({ userId }) => userId === USER);
              assert.equal(live.length, first === "logout" || second === "logout" ? 0 : 1, "sessions of the user");
              const [session] = live;
              if (session === undefined) return;
              const { cart, n }: { cart?: unknown; n?: unknown } = Object(session["data"]);
              const titles = (Array.isArray(cart) ? cart : []).map((one) => Object(one).title);
              // What one of them saved is there, or that process was told that the session is gone for it.
              const isKept = (by: "A" | "B", reply: Reply) => reply.json()["userId"] === USER && !gone.has(by);
              const bought = second === "buy" && isKept("B", theirs);
              assert.deepEqual(titles, bought ? ["book", "lamp"] : ["book"], "the data in its newest form");
              assert.equal(n, first === "count" && isKept("A", mine) ? 1 : 0);
            },
            { preemptions },
          );
        });
      }
    }
    t.diagnostic(`${orders} orders`);
  });
}
