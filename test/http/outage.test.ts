import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { SojournError } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import type { StoreOperation } from "../../src/wrap/wrap.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Answer, type Handler, KINDS, type SiteOptions, site } from "../support/site.ts";

type Cleanup = { after(action: () => unknown): void };

const handler: Handler = async (req, res) => {
  if (req.url === "/unread") return res.end("unread");
  const { session } = req;
  if (req.url?.startsWith("/set")) Object.assign(session, { n: req.url });
  if (req.url === "/login") await session.login("alice");
  if (req.url === "/logout") await session.destroy();
  if (req.url === "/logout-unawaited") session.destroy();
  if (req.url === "/save") await session.save();
  return res.end(JSON.stringify({ data: req.session, userId: req.session.userId }));
};

async function probed(
  t: Cleanup,
  { async = true, ...options }: SiteOptions & { async?: boolean } = {},
  serve: Handler = handler,
) {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async });
  t.after(() => probe.heal());
  return { probe, ...(await site(t, { ...options, clock, store: probe.store }, serve)) };
}

/** Resolves when the store has been asked this often. */
async function asked(probe: ProbeStore, operation: StoreOperation, count = 1): Promise<void> {
  while (probe.operations.filter((one) => one === operation).length < count) await turn();
}

function watch(answer: Promise<Answer>): { isThere(): boolean } {
  let there = false;
  answer.then(
    () => {
      there = true;
    },
    () => {},
  );
  return { isThere: () => there };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await turn();
}

describe("a store that hangs", () => {
  for (const kind of KINDS) {
    test(`reading: 503 after exactly one second, cookie untouched (${kind})`, async (t) => {
      const one = await probed(t, { kind });
      const visitor = one.visitor();
      await visitor.get("/set");
      const token = visitor.token;
      one.probe.reset();
      one.probe.hang("load");
      const answer = visitor.get();
      const watched = watch(answer);
      await asked(one.probe, "load");
      one.clock.advance(999);
      await settle();
      assert.equal(watched.isThere(), false);
      one.clock.advance(1);
      const { status, headers, setCookies } = await answer;
      assert.equal(status, 503);
      assert.equal(headers["retry-after"], "1");
      assert.deepEqual(setCookies, []);
      assert.deepEqual(
        one.errors.map((error) => error instanceof SojournError && error.code),
        ["STORE_TIMEOUT"],
      );
      one.probe.heal();
      assert.match((await visitor.get()).text, /"n":"\/set"/);
      assert.equal(visitor.token, token);
    });

    test(`committing: 503 after exactly two seconds (${kind})`, async (t) => {
      const one = await probed(t, { kind });
      const visitor = one.visitor();
      await visitor.get("/set");
      for (const [path, operation] of [
        ["/set2", "update"],
        ["/login", "replace"],
        ["/logout", "delete"],
      ] as const) {
        one.probe.reset();
        one.probe.hang(operation);
        const answer = visitor.clone().get(path);
        const watched = watch(answer);
        await asked(one.probe, operation);
        one.clock.advance(1_999);
        await settle();
        assert.equal(watched.isThere(), false, path);
        one.clock.advance(1);
        if (path === "/logout") {
          // Tried again before the response leaves, with a deadline of its own.
          await asked(one.probe, operation, 2);
          one.clock.advance(2_000);
        }
        const { status } = await answer;
        assert.equal(status, 503, path);
        one.probe.heal();
      }
    });
  }

  test("the deadlines are options", async (t) => {
    const one = await probed(t, { storeTimeout: { read: "50ms", commit: 70 } });
    const visitor = one.visitor();
    await visitor.get("/set");
    for (const [path, operation, ms] of [
      ["/", "load", 50],
      ["/set2", "update", 70],
    ] as const) {
      one.probe.reset();
      one.probe.hang(operation);
      const answer = visitor.get(path);
      const watched = watch(answer);
      await asked(one.probe, operation);
      one.clock.advance(ms - 1);
      await settle();
      assert.equal(watched.isThere(), false);
      one.clock.advance(1);
      assert.equal((await answer).status, 503);
      one.probe.heal();
    }
  });

  test("each of many requests of one session waits no longer than the deadline, whenever it came", async (t) => {
    let arrived = 0;
    const one = await probed(t, {
      cookie: () => {
        arrived += 1;
        return {};
      },
    });
    const visitor = one.visitor();
    await visitor.get("/set");
    one.probe.reset();
    one.probe.hang("load");
    arrived = 0;
    const first = visitor.get();
    await asked(one.probe, "load");
    one.clock.advance(400);
    const second = visitor.get();
    while (arrived < 2) await turn();
    await settle();
    const watched = watch(second);
    one.clock.advance(600);
    assert.equal((await first).status, 503);
    await settle();
    one.clock.advance(399);
    await settle();
    assert.equal(watched.isThere(), false);
    one.clock.advance(1);
    await settle();
    await settle();
    assert.equal(watched.isThere(), true, "1,000 ms after the second request came");
    one.clock.advance(10_000);
    assert.equal((await second).status, 503);
  });

  test("a reply in time counts, a late one does not, and a session created too late is deleted", async (t) => {
    const one = await probed(t);
    const gate = one.probe.gate("create");
    const visitor = one.visitor();
    const answer = visitor.get("/set");
    await gate.arrived();
    one.clock.advance(2_000);
    assert.equal((await answer).status, 503);
    assert.equal(visitor.token, undefined);
    gate.open();
    await settle();
    assert.equal(await one.sessions.count(), 0, "nobody holds its token");
  });

  test("visitors without a session, and those who only bring junk, notice nothing", async (t) => {
    const one = await probed(t, { secret: "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-first" });
    one.probe.hang();
    assert.equal((await one.visitor().get()).status, 200);
    assert.equal((await one.visitor().get("/unread", { cookie: "sid=junk" })).status, 200);
    assert.equal(
      (await one.visitor().get("/", { cookie: `sid=${"x".repeat(21)}A.${"y".repeat(32)}.${"z".repeat(22)}` })).status,
      200,
    );
    assert.deepEqual(one.probe.operations, []);
  });

  test("a touch in the background holds nobody up", async (t) => {
    const one = await probed(t);
    const visitor = one.visitor();
    await visitor.get("/set");
    one.probe.hang("touch");
    one.clock.advance(120_000);
    assert.equal((await visitor.get()).status, 200);
    one.clock.advance(2_000);
    await settle();
  });
});

for (const async of [true, false]) {
  describe(`a store that fails, ${async ? "asynchronously" : "synchronously"}`, () => {
    test('onStoreError "error", the default: 503 for who brings a session, 200 for who doesn\'t', async (t) => {
      for (const kind of KINDS) {
        const one = await probed(t, { kind, async });
        const visitor = one.visitor();
        await visitor.get("/set");
        one.probe.fail(new Error("connection refused"));
        assert.equal((await visitor.get()).status, 503);
        assert.equal((await visitor.get("/set")).status, 503);
        assert.equal((await one.visitor().get()).status, 200);
        assert.equal((await visitor.get("/unread")).status, 200, "who needs no session does not notice");
      }
    });

    test("a session that could not be opened is empty, and no answer of its handler is given", async (t) => {
      for (const kind of KINDS) {
        const seen: unknown[] = [];
        const one = await probed(t, { kind, async }, async (req, res) => {
          if (req.url === "/login") await req.session.login("alice");
          seen.push(req.session.userId, { ...req.session });
          // Nobody would catch an error here.
          await new Promise<void>((resolve) => setImmediate(resolve));
          Object.assign(req.session, { n: 1 });
          if (req.url === "/stream") res.write("saved");
          if (req.url === "/redirect") res.writeHead(302, { Location: "/saved" });
          res.end("saved");
        });
        const visitor = one.visitor();
        await visitor.get("/login");
        one.probe.fail(new Error("connection refused"), "load");
        for (const path of ["/", "/stream", "/redirect"]) {
          seen.length = 0;
          const { status, text, headers, setCookies } = await visitor.get(path);
          assert.deepEqual([status, headers.location, setCookies], [503, undefined, []], `${kind} ${path}`);
          assert.doesNotMatch(text, /^saved/);
          assert.deepEqual(seen, [null, {}]);
        }
        one.probe.heal();
        await visitor.get("/");
        assert.equal(seen[2], "alice");
      }
    });

    test('onStoreError "anonymous": an empty session that is never saved', async (t) => {
      for (const kind of KINDS) {
        const one = await probed(t, { kind, async, onStoreError: "anonymous" });
        const visitor = one.visitor();
        await visitor.get("/set");
        const token = visitor.token;
        one.probe.fail(new Error("connection refused"), "load");
        one.probe.reset();
        const read = await visitor.get();
        assert.equal(read.status, 200);
        assert.equal(read.text, '{"data":{},"userId":null}');
        const set = await visitor.get("/set2");
        assert.equal(set.text, '{"data":{"n":"/set2"},"userId":null}', "it can be used");
        assert.equal((await visitor.get("/unread")).status, 200);
        for (const path of ["/save", "/login"])
          assert.equal((await visitor.get(path)).status, 503, `${path} promises what can't be kept`);
        assert.ok(
          one.probe.operations.every((operation) => operation === "load"),
          one.probe.operations.join(),
        );
        assert.equal(visitor.token, token);
        one.probe.heal();
        assert.match((await visitor.get()).text, /"n":"\/set"/);
      }
    });

    test("a logout is never claimed that did not happen: 5xx, and the cookie goes", async (t) => {
      for (const onStoreError of ["error", "anonymous"] as const) {
        for (const path of ["/logout", "/logout-unawaited"]) {
          for (const failing of [["delete"], ["load", "delete", "update"]] satisfies StoreOperation[][]) {
            const one = await probed(t, { async, onStoreError });
            const visitor = one.visitor();
            await visitor.get("/login");
            const thief = visitor.clone();
            one.probe.fail(new Error("connection refused"), ...failing);
            const answer = await visitor.get(path);
            const what = `${onStoreError} ${path} ${failing}`;
            assert.equal(answer.status, 503, what);
            assert.equal(visitor.token, undefined, what);
            one.probe.heal();
            assert.match((await thief.get()).text, /"userId":"alice"/, "the store never heard of it");
          }
        }
      }
    });

    test("who waits for a logout is told that the store did not do it, however often it is asked", async (t) => {
      for (const onStoreError of ["error", "anonymous"] as const) {
        for (const failing of [["delete"], ["load", "delete", "update"]] satisfies StoreOperation[][]) {
          const told: unknown[] = [];
          const one = await probed(t, { async, onStoreError }, async (req, res) => {
            if (req.url !== "/logout") return handler(req, res);
            for (const end of [() => req.session.logout(), () => req.session.destroy()]) {
              told.push(
                await end().then(
                  () => "ended",
                  ({ code }) => code,
                ),
              );
            }
            return res.end("good-bye");
          });
          const visitor = one.visitor();
          await visitor.get("/login");
          one.probe.fail(new Error("connection refused"), ...failing);
          const { status } = await visitor.get("/logout");
          const what = `${onStoreError} ${failing}`;
          assert.equal(status, 503, what);
          assert.deepEqual(told, ["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"], what);
        }
      }
    });

    test("no outage deletes a cookie, and afterwards every old one works", async (t) => {
      for (const onStoreError of ["error", "anonymous"] as const) {
        const one = await probed(t, { async, onStoreError });
        const visitors = await Promise.all(
          Array.from({ length: 20 }, async (_, i) => {
            const visitor = one.visitor();
            await visitor.get(`/set${i}`);
            return { visitor, token: visitor.token, i };
          }),
        );
        one.probe.fail(new Error("connection refused"));
        for (let round = 0; round < 3; round += 1) {
          one.clock.advance(60_000);
          await Promise.all(
            visitors.map(async ({ visitor, token }) => {
              for (const path of ["/", "/unread", "/set-new", "/save"])
                assert.deepEqual((await visitor.get(path)).setCookies, []);
              assert.equal(visitor.token, token);
            }),
          );
        }
        one.probe.heal();
        for (const { visitor, i } of visitors) assert.match((await visitor.get()).text, new RegExp(`"n":"/set${i}"`));
      }
    });

    test("each failure is an event that names the operation", async (t) => {
      const one = await probed(t, { async });
      const told: string[] = [];
      one.sessions.on("store-error", ({ operation, error }) => told.push(`${operation} ${error.code}`));
      const visitor = one.visitor();
      await visitor.get("/set");
      one.probe.fail(new Error("x"));
      await visitor.get();
      await one.visitor().get("/set");
      await assert.rejects(one.sessions.list("alice"), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(one.sessions.count(), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(one.sessions.prune(), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(one.sessions.revokeAll("alice"), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(one.sessions.revoke(visitor.token?.slice(0, 22) ?? ""), { code: "STORE_UNAVAILABLE" });
      assert.deepEqual(
        [...new Set(told)].sort(),
        ["count", "create", "delete", "deleteAll", "list", "load", "prune"]
          .map((name) => `${name} STORE_UNAVAILABLE`)
          .sort(),
      );
    });

    test("a store's own SojournError keeps its code", async (t) => {
      const one = await probed(t, { async });
      one.probe.fail(new SojournError("STORE_FULL", "the disk is full"), "create");
      const { status } = await one.visitor().get("/set");
      assert.equal(status, 503);
      assert.equal(one.errors[0] instanceof SojournError && one.errors[0].code, "STORE_FULL");
    });
  });
}

test("whatever a store throws, not only errors", async (t) => {
  for (const async of [true, false]) {
    for (const thrown of [undefined, null, "text", 5, Object.create(null), Symbol("x")]) {
      const one = await probed(t, { async });
      const visitor = one.visitor();
      await visitor.get("/set");
      one.probe.fail(thrown);
      assert.equal((await visitor.get()).status, 503);
      assert.equal((await one.visitor().get("/set")).status, 503);
    }
  }
});

test("a store that lies about being synchronous is told so, not waited for", async (t) => {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const store = {
    synchronousLoad: true,
    load: async (handle: string) => inner.load(handle),
    create: inner.create.bind(inner),
    update: inner.update.bind(inner),
    touch: inner.touch.bind(inner),
    delete: inner.delete.bind(inner),
    close: inner.close.bind(inner),
  };
  const one = await site(t, { clock, store }, handler);
  const visitor = one.visitor();
  await visitor.get("/set");
  assert.equal((await visitor.get()).status, 503);
  assert.match(String(one.errors[0]), /synchronousLoad/);
});
