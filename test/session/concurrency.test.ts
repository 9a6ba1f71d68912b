import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { LiveSession } from "../../src/session/session.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine, type Held } from "../support/contexts.ts";
import { ImpatientClock } from "../support/impatient-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";

function site(async: boolean) {
  const clock = new ImpatientClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async });
  return { probe, ...engine({ clock, store: probe.store }) };
}

type Site = ReturnType<typeof site>;

async function begin({ request }: Pick<Site, "request">, data: object): Promise<Held> {
  const visit = await request();
  Object.assign(visit.session, data);
  return (await visit.end()) ?? assert.fail("no token");
}

async function stored({ request }: Site, held: Held): Promise<object> {
  return { ...(await request(held)).session };
}

for (const async of [false, true]) {
  describe(`parallel requests of one session over ${async ? "an asynchronous" : "a synchronous"} store`, () => {
    for (const writers of [2, 8, 64]) {
      test(`${writers} writers of different properties: all are kept`, async () => {
        const one = site(async);
        const held = await begin(one, { base: 0 });
        const visits = await Promise.all(Array.from({ length: writers }, () => one.request(held)));
        for (const [i, { session }] of visits.entries()) Object.assign(session, { [`w${i}`]: i });
        await Promise.all(visits.map((visit) => visit.end()));
        const expected = Object.fromEntries(visits.map((_, i) => [`w${i}`, i]));
        assert.deepEqual(await stored(one, held), { base: 0, ...expected });
        assert.ok(one.told.some(({ event }) => event === "conflict"));
      });
    }

    test("update() counts every one of 100", async () => {
      const one = site(async);
      const held = await begin(one, { n: 0 });
      const visits = await Promise.all(Array.from({ length: 100 }, () => one.request(held)));
      const results = await Promise.all(
        visits.map(({ session }) =>
          session.update((current) => {
            const n = Number(Reflect.get(current, "n")) + 1;
            Object.assign(current, { n });
            return n;
          }),
        ),
      );
      assert.deepEqual(await stored(one, held), { n: 100 });
      assert.deepEqual(
        [...results].sort((a, b) => a - b),
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
      for (const visit of visits) await visit.end();
      assert.deepEqual(await stored(one, held), { n: 100 }, "and the end of the requests counts nothing again");
    });

    test("update() with a function that waits", async () => {
      const one = site(async);
      const held = await begin(one, { list: [] });
      const visits = await Promise.all(Array.from({ length: 10 }, () => one.request(held)));
      await Promise.all(
        visits.map(({ session }, i) =>
          session.update(async (current) => {
            const list: unknown = Reflect.get(current, "list");
            await turn();
            Object.assign(current, { list: [...(Array.isArray(list) ? list : []), i] });
          }),
        ),
      );
      const { list } = (await stored(one, held)) as { list: number[] };
      assert.deepEqual(list.sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    test("update() keeps what the request had changed before, and runs its function on the newest data", async () => {
      const one = site(async);
      const held = await begin(one, { n: 0, other: 0 });
      const visit = await one.request(held);
      Object.assign(visit.session, { mine: 1 });
      const rival = await one.request(held);
      Object.assign(rival.session, { n: 10, other: 5 });
      await rival.end();
      const seen: unknown[] = [];
      await visit.session.update((session) => {
        seen.push(Reflect.get(session, "n"));
        Object.assign(session, { n: Number(Reflect.get(session, "n")) + 1 });
      });
      assert.deepEqual(seen, [0, 10]);
      assert.deepEqual(await stored(one, held), { n: 11, other: 5, mine: 1 });
    });

    test("update() of a function that throws rejects with its error and commits nothing then", async () => {
      const one = site(async);
      const held = await begin(one, { n: 0 });
      const visit = await one.request(held);
      await assert.rejects(
        visit.session.update(() => {
          throw new Error("the application's own");
        }),
        /the application's own/,
      );
      await assert.rejects(
        visit.session.update(() => Promise.reject(new Error("later"))),
        /later/,
      );
      await visit.session.update((session) => Object.assign(session, { n: 1 }));
      await visit.end();
      assert.deepEqual(await stored(one, held), { n: 1 });
    });

    test("a function passed to update() may only read and change the data: its other calls are refused", async () => {
      const calls: ((session: LiveSession) => Promise<unknown>)[] = [
        (session) => session.save(),
        (session) => session.reload(),
        (session) => session.touch(),
        (session) => session.regenerate({ keep: true }),
        (session) => session.login("alice"),
        (session) => session.logout(),
        (session) => session.destroy(),
        (session) => session.update(() => undefined),
      ];
      for (const call of calls) {
        const one = site(async);
        const held = await begin(one, { n: 0 });
        const visit = await one.request(held);
        const refused = /^TypeError: a function passed to update\(\) may only read and change the data/;
        await assert.rejects(visit.session.update(call), refused, call.toString());
        await visit.session.update(async (session) => {
          await assert.rejects(call(session), refused);
          Object.assign(session, { n: 1 });
        });
        await visit.session.save();
        assert.deepEqual(await visit.end(), held);
        assert.deepEqual(await stored(one, held), { n: 1 }, call.toString());
      }
    });

    test("two that change the same property: the later commit wins, whole", async () => {
      const one = site(async);
      const held = await begin(one, { cart: { a: 1 } });
      const [first, second] = [await one.request(held), await one.request(held)];
      Object.assign(first.session, { cart: { a: 2 } });
      Object.assign(second.session, { cart: { b: 3 } });
      await first.end();
      await second.end();
      assert.deepEqual(await stored(one, held), { cart: { b: 3 } });
    });

    test("one deletes, another changes something else", async () => {
      const one = site(async);
      const held = await begin(one, { a: 1, b: 1 });
      const [first, second] = [await one.request(held), await one.request(held)];
      Reflect.deleteProperty(first.session, "a");
      Object.assign(second.session, { b: 2 });
      await Promise.all([second.end(), first.end()]);
      assert.deepEqual(await stored(one, held), { b: 2 });
    });

    test("after a commit that merged, the request sees what others stored", async () => {
      const one = site(async);
      const held = await begin(one, { a: 1, b: 1 });
      const visit = await one.request(held);
      assert.equal(Reflect.get(visit.session, "b"), 1);
      const rival = await one.request(held);
      Object.assign(rival.session, { b: 2, c: 3 });
      Reflect.deleteProperty(rival.session, "a");
      await rival.end();
      Object.assign(visit.session, { mine: 1 });
      await visit.session.save();
      assert.deepEqual({ ...visit.session }, { b: 2, c: 3, mine: 1 });
    });

    test("reload() drops unsaved changes and sees the newest", async () => {
      const one = site(async);
      const held = await begin(one, { a: 1 });
      const visit = await one.request(held);
      Object.assign(visit.session, { a: 5, mine: 1 });
      visit.session.flash("info", "dropped");
      await visit.session.persist("30d");
      const rival = await one.request(held);
      Object.assign(rival.session, { b: 2 });
      await rival.end();
      await visit.session.reload();
      assert.deepEqual({ ...visit.session }, { a: 1, b: 2 });
      assert.deepEqual(visit.session.flash("info"), []);
      assert.deepEqual(await visit.end(), held);
      assert.deepEqual(await stored(one, held), { a: 1, b: 2 });
      const blank = await one.request();
      Object.assign(blank.session, { n: 1 });
      await blank.session.reload();
      assert.deepEqual({ ...blank.session }, {});
      assert.equal(await blank.end(), undefined);
    });
  });
}

describe("what changes while a commit is on its way", () => {
  async function saving(data: object) {
    const one = site(true);
    const held = await begin(one, data);
    const visit = await one.request(held);
    const gate = one.probe.gate("update", "before");
    return { ...one, held, visit, gate };
  }

  test("a property assigned meanwhile is a change of the next commit", async () => {
    const { held, visit, gate, ...one } = await saving({ a: 1 });
    Object.assign(visit.session, { a: 2 });
    const saved = visit.session.save();
    await gate.arrived();
    Object.assign(visit.session, { a: 3, b: 1 });
    gate.open();
    await saved;
    assert.deepEqual({ ...visit.session }, { a: 3, b: 1 });
    assert.deepEqual(await stored({ ...one }, held), { a: 2 });
    await visit.end();
    assert.deepEqual(await stored({ ...one }, held), { a: 3, b: 1 });
  });

  test("also one that another request had changed, which the commit merged with", async () => {
    const { held, visit, gate, ...one } = await saving({ x: 1, y: 1 });
    assert.equal(Reflect.get(visit.session, "x"), 1);
    const record = await one.store.load(held.handle);
    assert.ok(record !== undefined);
    await one.probe.inner.update(held.handle, { ...record, payload: '[0,"x",1,"y",1]\n51', version: 2 }, 1);
    Object.assign(visit.session, { y: 2 });
    const saved = visit.session.save();
    await gate.arrived();
    Object.assign(visit.session, { x: 9 });
    gate.open();
    await saved;
    assert.equal(Reflect.get(visit.session, "x"), 9, "this request's own assignment is the last word");
    await visit.end();
    assert.deepEqual(await stored({ ...one }, held), { x: 9, y: 2 });
  });

  test("a nested change meanwhile is a change of the next commit", async () => {
    const { held, visit, gate, ...one } = await saving({ list: [1] });
    const list: unknown = Reflect.get(visit.session, "list");
    assert.ok(Array.isArray(list));
    list.push(2);
    const saved = visit.session.save();
    await gate.arrived();
    list.push(3);
    gate.open();
    await saved;
    await visit.end();
    assert.deepEqual(await stored({ ...one }, held), { list: [1, 2, 3] });
  });

  test("a property deleted meanwhile stays deleted", async () => {
    const { held, visit, gate, ...one } = await saving({ a: 1, b: 1 });
    Object.assign(visit.session, { a: 2 });
    const saved = visit.session.save();
    await gate.arrived();
    Reflect.deleteProperty(visit.session, "a");
    Reflect.deleteProperty(visit.session, "b");
    gate.open();
    await saved;
    assert.deepEqual({ ...visit.session }, {});
    await visit.end();
    assert.deepEqual(await stored({ ...one }, held), {});
  });

  test("messages left, and a lifetime set, meanwhile are not lost", async () => {
    const { held, visit, gate, clock, request } = await saving({ a: 1 });
    visit.session.flash("info", "one");
    const saved = visit.session.save();
    await gate.arrived();
    visit.session.flash("info", "two");
    await visit.session.persist("1d");
    gate.open();
    await saved;
    await visit.end();
    const later = await request(held);
    assert.deepEqual(later.session.flash("info"), ["one", "two"]);
    assert.equal(later.session.expiresAt.getTime(), clock.now() + 86_400_000);
  });

  test("the first commit of a new session, likewise", async () => {
    const one = site(true);
    const gate = one.probe.gate("create", "before");
    const visit = await one.request();
    Object.assign(visit.session, { a: 1 });
    const saved = visit.session.save();
    await gate.arrived();
    Object.assign(visit.session, { b: 1 });
    gate.open();
    await saved;
    const held = await visit.end();
    assert.ok(held !== undefined);
    assert.deepEqual(await stored(one, held), { a: 1, b: 1 });
  });
});

describe("operations that a function given to update() starts and does not wait for", () => {
  const starters: [string, (session: LiveSession) => void][] = [
    ["save()", (session) => void session.save()],
    ["touch()", (session) => void session.touch()],
    ["update()", (session) => void session.update((inner) => Object.assign(inner, { inner: 1 }))],
    [
      "save(), later",
      (session) => {
        turn().then(() => session.save());
      },
    ],
    [
      "save(), much later",
      (session) => {
        turn()
          .then(() => turn())
          .then(() => turn())
          .then(() => session.save());
      },
    ],
  ];
  for (const [name, begin] of starters) {
    test(`${name}: of a new session there is one record, the one whose token is sent`, async () => {
      const one = site(true);
      const gate = one.probe.gate("create", "after");
      const visit = await one.request();
      const updated = visit.session.update((session) => {
        Object.assign(session, { n: 1 });
        begin(session);
      });
      await gate.arrived();
      for (let i = 0; i < 10; i += 1) await turn();
      gate.open();
      await updated;
      const held = await visit.end();
      for (let i = 0; i < 10; i += 1) await turn();
      assert.equal(await one.admin.count(), 1);
      assert.ok(held !== undefined);
      assert.equal(Reflect.get(await stored(one, held), "n"), 1);
    });
  }
});

test("a save() that a function given to update() doesn't wait for makes it count no more than once", async () => {
  for (const async of [false, true]) {
    const one = site(async);
    const held = await begin(one, { n: 0 });
    const visit = await one.request(held);
    await visit.session.update((session) => {
      Object.assign(session, { n: Number(Reflect.get(session, "n")) + 1 });
      session.save();
    });
    await visit.end();
    assert.deepEqual(await stored(one, held), { n: 1 });
  }
});

describe("messages for the next page", () => {
  test("survive a redirect, and are shown once", async () => {
    const one = site(false);
    const first = await one.request();
    first.session.flash("info", "saved");
    first.session.flash("info", { n: 1 });
    first.session.flash("error", "oops");
    const held = await first.end();
    const second = await one.request(held);
    assert.deepEqual(second.session.flash("info"), ["saved", { n: 1 }]);
    assert.deepEqual(second.session.flash("info"), [], "once");
    await second.end();
    const third = await one.request(held);
    assert.deepEqual(third.session.flash("info"), []);
    assert.deepEqual(third.session.flash("error"), ["oops"]);
    assert.deepEqual({ ...third.session }, {}, "messages are no data");
  });

  test("of two parallel requests both survive, and what one takes the other doesn't bring back", async () => {
    const one = site(true);
    const held = await begin(one, { n: 1 });
    const [a, b] = [await one.request(held), await one.request(held)];
    a.session.flash("info", "a");
    b.session.flash("info", "b");
    await Promise.all([a.end(), b.end()]);
    const [taker, leaver] = [await one.request(held), await one.request(held)];
    assert.deepEqual(taker.session.flash("info").sort(), ["a", "b"]);
    leaver.session.flash("info", "c");
    await Promise.all([taker.end(), leaver.end()]);
    assert.deepEqual((await one.request(held)).session.flash("info"), ["c"]);
  });

  test("left and taken within one request leave nothing to store", async () => {
    const one = site(false);
    const visit = await one.request();
    visit.session.flash("info", "x");
    assert.deepEqual(visit.session.flash("info"), ["x"]);
    assert.equal(await visit.end(), undefined);
    assert.deepEqual(one.probe.operations, []);
  });

  test("may be of any type name and are JSON; what isn't is refused at once", async () => {
    const one = site(false);
    const visit = await one.request();
    for (const type of ["__proto__", "constructor", "", "ü"]) visit.session.flash(type, type);
    assert.throws(() => visit.session.flash("info", 1n), { code: "NOT_SERIALIZABLE" });
    assert.throws(() => visit.session.flash("info", () => {}), { code: "NOT_SERIALIZABLE" });
    const later = await one.request(await visit.end());
    for (const type of ["__proto__", "constructor", "", "ü"]) assert.deepEqual(later.session.flash(type), [type]);
    assert.deepEqual(later.session.flash("info"), []);
    assert.deepEqual(later.session.flash("toString"), []);
  });

  test("taken, and then changed by the page that shows them: still taken, in a conflict too", async () => {
    const one = site(false);
    const visit = await one.request();
    visit.session.flash("info", { n: 1 });
    const held = (await visit.end()) ?? assert.fail();
    for (const conflict of [false, true]) {
      const leaver = await one.request(held);
      leaver.session.flash("info", { n: 1 });
      await leaver.end();
      const taker = await one.request(held);
      for (const message of taker.session.flash("info")) Object.assign(Object(message), { n: 2, html: "<b>" });
      if (conflict) {
        const rival = await one.request(held);
        Object.assign(rival.session, { n: 1 });
        await rival.end();
      }
      await taker.end();
      assert.deepEqual((await one.request(held)).session.flash("info"), [], conflict ? "with a conflict" : "without");
    }
  });
});

/** Somebody else is always faster. */
class Stubborn extends MemoryStore {
  override update() {
    return "conflict" as const;
  }
  override replace() {
    return "conflict" as const;
  }
}

/** Whatever doesn't wait for time is done. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 10; turns += 1) await turn();
}

describe("a commit that meets conflict after conflict", () => {
  test("gets through where 49 others were faster, and loses nothing of them", async () => {
    const { one, held, ended } = await overtaken(49);
    await ended;
    assert.deepEqual(await stored(one, held), { n: 49, mine: 1 });
    assert.equal(one.told.filter(({ event }) => event === "conflict").length, 49);
  });

  test("gives up after fifty merges with CONFLICT, 409, and loses nothing of the others", async () => {
    const { one, held, ended } = await overtaken(51);
    await assert.rejects(ended, { code: "CONFLICT", status: 409 });
    assert.deepEqual(await stored(one, held), { n: 51 });
    assert.equal(one.told.filter(({ event }) => event === "conflict").length, 50);
  });

  test("waits a moment before each try but the first, so that processes that collided don't collide again", async () => {
    const clock = new ManualClock();
    const { store } = new ProbeStore(new Stubborn({ clock }), { async: true });
    const one = engine({ clock, store });
    const held = await begin(one, { n: 0 });
    for (const change of ["merge", "update", "login"] as const) {
      const visit = await one.request(held);
      Object.assign(visit.session, { mine: change });
      const ended =
        change === "merge"
          ? visit.end()
          : change === "update"
            ? visit.session.update((session) => void Object.assign(session, { again: change }))
            : visit.session.login("alice").then(() => visit.session.save());
      const failed = assert.rejects(ended, { code: "CONFLICT" });
      const tries = () => one.told.filter(({ event }) => event === "conflict").length;
      const before = tries();
      await settled();
      assert.equal(tries() - before, 2, `${change}: the first retry is made at once, the second one waits`);
      for (let known = tries() - before; known < 45; known = tries() - before) {
        await settled();
        assert.equal(tries() - before, known, `${change}: not before its time`);
        clock.advance(20);
        await settled();
        assert.equal(tries() - before, known + 1, `${change}: a pause of at most 20 ms`);
      }
      for (let more = 0; more < 10; more += 1) {
        clock.advance(20);
        await settled();
      }
      await failed;
    }
  });

  /** A request that sets a property, and before each of its first updates somebody else's. */
  async function overtaken(times: number) {
    const one = site(true);
    const held = await begin(one, { n: 0 });
    const visit = await one.request(held);
    const gate = one.probe.gate("update", "before");
    Object.assign(visit.session, { mine: 1 });
    const ended = visit.end();
    ended.catch(() => {});
    for (let i = 1; i <= times; i += 1) {
      await gate.arrived(i);
      const record = await one.probe.inner.load(held.handle);
      assert.ok(record !== undefined);
      await one.probe.inner.update(
        held.handle,
        { ...record, payload: `[0,"n",${String(i).length}]\n${i}`, version: record.version + 1 },
        record.version,
      );
      gate.releaseOne();
    }
    gate.open();
    return { one, held, ended };
  }
});
