import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import type { IndexedStore } from "../../src/contract/store.ts";
import { decodePayload } from "../../src/session/content.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { engine, type Held, type TestRequest } from "../support/contexts.ts";
import { ImpatientClock } from "../support/impatient-clock.ts";

/**
 * The whole life of sessions against a model of a hundred lines: three browsers, requests of theirs that overlap as they like,
 * and a clock. After every step the store holds exactly what the model says: so no update is lost, nothing that ended comes back,
 * every session is whose it should be, and ends when it should.
 */
const LIMITS = { idleTimeout: 1_000, absoluteTimeout: 5_000, touchAfter: 100 };
const USERS = ["alice", "bob"];
const NAMES = ["a", "b", "c"];

type Data = Record<string, number>;

interface Lifetime {
  userId: string | null;
  createdAt: number;
  touchedAt: number;
  until: number | undefined;
}

interface StoredModel extends Lifetime {
  data: Data;
  expiresAt: number;
}

interface VisitModel extends Lifetime {
  browser: number;
  /** The handle, once stored. */
  handle: string | undefined;
  ended: boolean;
  /** Whether it took the place of a destroyed session: then only data begins it. */
  farewell: boolean;
  /** As loaded, or stored last. */
  base: Data;
  /** As the handler sees it. */
  local: Data;
  token: "keep" | "send" | "clear";
}

class Model {
  now = 0;
  readonly sessions = new Map<string, StoredModel>();
  readonly everIssued = new Set<string>();
  /** Handles that a session had before, with the one under which the very same session lived on, if it did. */
  /** Its new handle, if any, and how long that is known. */
  readonly replaced = new Map<string, { heir?: string; until: number }>();
  readonly browsers: (string | undefined)[] = [undefined, undefined, undefined];
  readonly visits: VisitModel[] = [];

  live(handle: string | undefined): StoredModel | undefined {
    const session = handle === undefined ? undefined : this.sessions.get(handle);
    return session !== undefined && session.expiresAt > this.now ? session : undefined;
  }

  expiry({ createdAt, until }: Lifetime): number {
    return until ?? Math.min(this.now + LIMITS.idleTimeout, createdAt + LIMITS.absoluteTimeout);
  }

  open(browser: number): VisitModel {
    const handle = this.browsers[browser];
    const stored = this.live(handle);
    if (stored === undefined) {
      const blank = { userId: null, createdAt: this.now, touchedAt: this.now, until: undefined };
      return {
        ...blank,
        browser,
        handle: undefined,
        ended: false,
        farewell: false,
        base: {},
        local: {},
        token: "keep",
      };
    }
    if (this.now - stored.touchedAt >= LIMITS.touchAfter) this.use(stored);
    const { data, ...lifetime } = stored;
    return {
      ...lifetime,
      browser,
      handle,
      ended: false,
      farewell: false,
      base: { ...data },
      local: { ...data },
      token: "keep",
    };
  }

  use(session: StoredModel): void {
    session.touchedAt = this.now;
    session.expiresAt = this.expiry(session);
  }

  /** What the handler changed, put over a newer state. */
  merged(visit: VisitModel, newest: Data): Data {
    const result = { ...newest };
    for (const name of NAMES) {
      if (visit.local[name] === visit.base[name]) continue;
      const value = visit.local[name];
      if (value === undefined) delete result[name];
      else result[name] = value;
    }
    return result;
  }

  hasChanged(visit: VisitModel): boolean {
    return NAMES.some((name) => visit.local[name] !== visit.base[name]);
  }

  /** @returns what `save` answers */
  commit(visit: VisitModel, newHandle: () => string, asked = false): "done" | "gone" {
    if (visit.ended) return "gone";
    if (visit.handle === undefined) {
      if (this.hasChanged(visit) || (asked && !visit.farewell)) this.store(visit, newHandle(), visit.local);
      return "done";
    }
    const stored = this.live(visit.handle);
    const changed = this.hasChanged(visit);
    if (!changed && this.now - visit.touchedAt < LIMITS.touchAfter) return "done";
    if (stored === undefined) {
      this.gone(visit);
      return changed ? "gone" : "done";
    }
    if (changed) {
      stored.data = this.merged(visit, stored.data);
      visit.base = { ...stored.data };
      visit.local = { ...stored.data };
    }
    this.use(stored);
    visit.touchedAt = stored.touchedAt;
    return "done";
  }

  store(visit: VisitModel, handle: string, data: Data): void {
    assert.ok(!this.everIssued.has(handle), "a handle is never used twice");
    this.everIssued.add(handle);
    visit.handle = handle;
    visit.ended = false;
    visit.touchedAt = this.now;
    visit.base = { ...data };
    visit.local = { ...data };
    visit.token = "send";
    const { userId, createdAt, until } = visit;
    this.sessions.set(handle, {
      userId,
      createdAt,
      touchedAt: this.now,
      until,
      data: { ...data },
      expiresAt: this.expiry(visit),
    });
  }

  gone(visit: VisitModel): void {
    visit.ended = true;
    visit.token = "keep";
  }

  /** A logout or revocation ends the session also under the handle that another request gave it meanwhile. */
  endWithHeirs(first: string): boolean {
    let wasLive = false;
    let handle: string | undefined = first;
    while (handle !== undefined) {
      wasLive ||= this.live(handle) !== undefined;
      this.sessions.delete(handle);
      const replaced = this.replaced.get(handle);
      handle = replaced !== undefined && this.now < replaced.until ? replaced.heir : undefined;
    }
    return wasLive;
  }

  /** What is carried over into the session that takes this one's place; the old one dies. */
  takeOver(visit: VisitModel): Data {
    const stored = visit.ended ? undefined : this.live(visit.handle);
    const carried = this.merged(visit, stored?.data ?? {});
    // A login after another request has replaced the session leaves that replacement alone.
    if (visit.handle !== undefined && stored !== undefined) {
      this.sessions.delete(visit.handle);
      this.replaced.set(visit.handle, { until: this.now + 60_000 });
    }
    return carried;
  }

  renew(visit: VisitModel, lifetime: Omit<Lifetime, "touchedAt">): void {
    Object.assign(visit, lifetime, {
      touchedAt: this.now,
      handle: undefined,
      ended: false,
      farewell: false,
      base: {},
      local: {},
    });
  }
}

interface Real {
  site: ReturnType<typeof engine>;
  clock: ImpatientClock;
  browsers: (Held | undefined)[];
  visits: TestRequest[];
}

type Step = fc.AsyncCommand<Model, Real>;

async function verify(model: Model, { site }: Real): Promise<void> {
  // What nobody waits for has its turn first: a touch in the background, the removal of a replacement that failed.
  for (let i = 0; i < 3; i += 1) await turn();
  for (const handle of model.everIssued) {
    const expected = model.live(handle);
    const record = await site.store.load(handle);
    assert.equal(record !== undefined, expected !== undefined, expected === undefined ? "came back" : "got lost");
    if (record === undefined || expected === undefined) continue;
    const { encoded } = decodePayload(record.payload) ?? assert.fail("damaged");
    const data = Object.fromEntries([...encoded].map(([name, text]) => [name, JSON.parse(text)]));
    assert.deepEqual(data, expected.data);
    const { userId, createdAt, touchedAt, expiresAt } = record;
    assert.deepEqual(
      { userId, createdAt, touchedAt, expiresAt },
      {
        userId: expected.userId,
        createdAt: expected.createdAt,
        touchedAt: expected.touchedAt,
        expiresAt: expected.expiresAt,
      },
    );
  }
  for (const user of USERS) {
    const expected = [...model.sessions]
      .filter(([handle, { userId }]) => userId === user && model.live(handle))
      .map(([handle]) => handle);
    const devices = await site.admin.list(user);
    assert.deepEqual(devices.map(({ handle }) => handle).sort(), expected.sort());
  }
}

/** A step of one request that is under way: chosen by number among those that are. */
function step(
  name: string,
  which: number,
  run: (model: Model, real: Real, visit: VisitModel, actual: TestRequest) => Promise<void>,
): Step {
  return {
    check: (model) => model.visits.length > 0,
    async run(model, real) {
      const index = which % model.visits.length;
      const visit = model.visits[index] ?? assert.fail();
      const actual = real.visits[index] ?? assert.fail();
      await run(model, real, visit, actual);
      assert.deepEqual({ ...actual.session }, visit.local, `what the handler sees after ${name}`);
      assert.equal(actual.session.userId, visit.userId);
      assert.equal(actual.session.createdAt.getTime(), visit.createdAt);
      await verify(model, real);
    },
    toString: () => `${name} in request ${which}`,
  };
}

async function answers(action: () => Promise<unknown>, expected: "done" | "gone"): Promise<void> {
  if (expected === "gone") await assert.rejects(action(), { code: "SESSION_GONE" });
  else await action();
}

const which = fc.nat(3);
const steps: fc.Arbitrary<Step>[] = [
  fc.nat(2).map(
    (browser): Step => ({
      check: (model) => model.visits.length < 4,
      async run(model, real) {
        const visit = model.open(browser);
        const actual = await real.site.request(real.browsers[browser]);
        assert.equal(actual.wasOpened, visit.handle !== undefined);
        assert.deepEqual({ ...actual.session }, visit.local);
        assert.equal(actual.session.userId, visit.userId);
        model.visits.push(visit);
        real.visits.push(actual);
        await verify(model, real);
      },
      toString: () => `open from browser ${browser}`,
    }),
  ),
  fc.tuple(which, fc.constantFrom(...NAMES), fc.nat(3)).map(([request, name, value]) =>
    step(`${name} = ${value}`, request, async (_model, _real, visit, actual) => {
      visit.local[name] = value;
      Object.assign(actual.session, { [name]: value });
    }),
  ),
  fc.tuple(which, fc.constantFrom(...NAMES)).map(([request, name]) =>
    step(`delete ${name}`, request, async (_model, _real, visit, actual) => {
      delete visit.local[name];
      Reflect.deleteProperty(actual.session, name);
    }),
  ),
  which.map((request) =>
    step("save", request, async (model, _real, visit, actual) => {
      // `save` of an unchanged session answers before it asks: only what is to be written can be found gone.
      await answers(
        () => actual.session.save(),
        model.commit(visit, () => actual.session.id, true),
      );
    }),
  ),
  fc.tuple(which, fc.constantFrom(...USERS), fc.boolean()).map(([request, user, remember]) =>
    step(`login ${user}${remember ? ", remembered" : ""}`, request, async (model, _real, visit, actual) => {
      const isAnother = visit.userId !== null && visit.userId !== user;
      await actual.session.login(user, remember ? { remember: 20_000 } : {});
      const carried = model.takeOver(visit);
      model.renew(visit, { userId: user, createdAt: model.now, until: remember ? model.now + 20_000 : undefined });
      model.store(visit, actual.session.id, isAnother ? {} : carried);
    }),
  ),
  fc.tuple(which, fc.boolean()).map(([request, keep]) =>
    step(`regenerate, keep ${keep}`, request, async (model, _real, visit, actual) => {
      const isGone = visit.ended || (visit.handle !== undefined && model.live(visit.handle) === undefined);
      await answers(() => actual.session.regenerate({ keep }), isGone ? "gone" : "done");
      if (isGone) {
        // Without `keep`, `req.session` is another object already. With it, what was set before is lost with the session.
        const { now: createdAt } = model;
        if (visit.ended) return;
        if (keep) visit.base = { ...visit.local };
        else Object.assign(visit, { userId: null, createdAt, until: undefined, base: {}, local: {} });
        return model.gone(visit);
      }
      const previous = visit.handle;
      const carried = model.takeOver(visit);
      const { userId, createdAt, until } = visit;
      model.renew(
        visit,
        keep ? { userId, createdAt, until } : { userId: null, createdAt: model.now, until: undefined },
      );
      const holdsSomething = Object.keys(carried).length > 0 || userId !== null;
      // Also if it is empty: it may begin later.
      if (keep && previous !== undefined)
        model.replaced.set(previous, { heir: actual.session.id, until: model.now + 60_000 });
      if (keep && holdsSomething) model.store(visit, actual.session.id, carried);
      else if (previous !== undefined) visit.token = "clear";
    }),
  ),
  fc.tuple(which, fc.constantFrom("destroy", "logout", "logout everywhere")).map(([request, how]) =>
    step(how, request, async (model, _real, visit, actual) => {
      const { userId } = visit;
      if (how === "destroy") await actual.session.destroy();
      else await actual.session.logout({ everywhere: how === "logout everywhere" });
      if (visit.handle !== undefined && !visit.ended) model.endWithHeirs(visit.handle);
      if (how === "logout everywhere" && userId !== null) {
        for (const [handle, session] of model.sessions) if (session.userId === userId) model.sessions.delete(handle);
      }
      model.renew(visit, { userId: null, createdAt: model.now, until: undefined });
      visit.farewell = true;
      visit.token = "clear";
    }),
  ),
  fc.nat(20).map(
    (position): Step => ({
      check: (model) => model.everIssued.size > 0,
      async run(model, real) {
        const handle = [...model.everIssued][position % model.everIssued.size] ?? assert.fail();
        const wasLive = model.endWithHeirs(handle);
        assert.equal(await real.site.admin.revoke(handle), wasLive);
        await verify(model, real);
      },
      toString: () => `revoke session ${position}`,
    }),
  ),
  fc.tuple(fc.constantFrom(...USERS), fc.option(which)).map(
    ([user, request]): Step => ({
      check: () => true,
      async run(model, real) {
        const index = request === null || model.visits.length === 0 ? undefined : request % model.visits.length;
        const except = index === undefined ? undefined : real.visits[index]?.session;
        const spared = index === undefined ? undefined : model.visits[index]?.handle;
        let count = 0;
        for (const [handle, session] of model.sessions) {
          if (session.userId !== user || handle === spared) continue;
          if (model.live(handle)) count += 1;
          model.sessions.delete(handle);
        }
        assert.equal(await real.site.admin.revokeAll(user, except === undefined ? {} : { except }), count);
        await verify(model, real);
      },
      toString: () => `revokeAll ${user}${request === null ? "" : ` except that of request ${request}`}`,
    }),
  ),
  fc.constantFrom(1, 99, 100, 500, 999, 1_000, 4_000, 5_000, 19_999).map(
    (ms): Step => ({
      check: () => true,
      async run(model, real) {
        model.now += ms;
        real.clock.advance(ms);
        await verify(model, real);
      },
      toString: () => `${ms} ms later`,
    }),
  ),
  which.map(
    (request): Step => ({
      check: (model) => model.visits.length > 0,
      async run(model, real) {
        const index = request % model.visits.length;
        const [visit] = model.visits.splice(index, 1);
        const [actual] = real.visits.splice(index, 1);
        assert.ok(visit !== undefined && actual !== undefined);
        model.commit(visit, () => actual.session.id);
        const held = await actual.end();
        if (visit.token === "clear") {
          assert.equal(held, undefined);
          model.browsers[visit.browser] = real.browsers[visit.browser] = undefined;
        } else if (visit.token === "send") {
          assert.equal(held?.handle, visit.handle);
          model.browsers[visit.browser] = visit.handle;
          real.browsers[visit.browser] = held;
        }
        await verify(model, real);
      },
      toString: () => `end of request ${request}`,
    }),
  ),
];

async function holds(runs: number, open: (clock: ImpatientClock) => IndexedStore): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 40, size: "max" }), async (commands) => {
      const clock = new ImpatientClock();
      const model = new Model();
      model.now = clock.now();
      const site = engine({ isHeld: false, clock, store: open(clock), limits: LIMITS });
      try {
        await fc.asyncModelRun(
          () => ({ model, real: { site, clock, browsers: [undefined, undefined, undefined], visits: [] } }),
          commands,
        );
      } finally {
        await site.backend.close();
      }
    }),
    { numRuns: runs },
  );
}

test("every life of sessions goes as the model says, over memory", () =>
  holds(1_000, (clock) => new MemoryStore({ clock })));

test("every life of sessions goes as the model says, over SQLite", () =>
  holds(100, (clock) => new SqliteStore(":memory:", { clock })));
