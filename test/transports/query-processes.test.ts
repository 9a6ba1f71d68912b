import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cookie, query, resilient, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Site, site, type Visitor } from "../support/site.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const MINUTE = 60_000;
const transport = () => [cookie(), query({ iUnderstandThatAddressesLeak: true })];

/** Two processes whose clocks differ, over one SQLite file; sessions in it, or sealed ones with their revocations in it. */
async function both(
  t: TestContext,
  { sealed = false, skewMs = 0 } = {},
): Promise<{ a: Site; b: Site; wait(ms: number): void }> {
  const { folder, remove } = temporaryFolder();
  const clocks = [new ManualClock(), new ManualClock()] as const;
  clocks[1].advance(MINUTE * 60);
  clocks[0].advance(MINUTE * 60 - skewMs);
  const start = async (clock: ManualClock) => {
    const file = new SqliteStore(join(folder, "sessions.db"), { clock });
    const store = sealed ? new SealedStore({ secret, revocations: file }) : file;
    return site(t, { clock, store, secret, transport: transport() }, async (req, res) => {
      if (req.url === "/login") await req.session.login("alice");
      res.end(String(req.session.userId));
    });
  };
  const [b, a] = [await start(clocks[0]), await start(clocks[1])];
  t.after(remove);
  const wait = (later: number): void => {
    for (const clock of clocks) clock.advance(later);
  };
  return { a, b, wait };
}

async function follow(visitor: Visitor, token: string): Promise<string> {
  await visitor.get(`/?session=${token}`);
  return (await visitor.get("/")).text;
}

for (const sealed of [false, true]) {
  const kind = sealed ? "sealed sessions" : "sessions in a store";
  test(`a link works once, though the second process is a minute or half an hour behind: ${kind}`, async (t) => {
    for (const skewMs of [MINUTE, 30 * MINUTE]) {
      const { a, b, wait } = await both(t, { sealed, skewMs });
      const link = a.sessions.urlToken("alice", { expiresIn: "2m" });
      assert.equal(await follow(a.visitor(), link), "alice");
      for (let n = 0; n < 8; n++) {
        wait(20_000);
        await a.sessions.prune();
        assert.equal(await follow(b.visitor(), link), "null", `${skewMs} ms behind, after ${n} waits`);
      }
    }
  });

  test(`of many that follow one link at once, by two processes, one is let in: ${kind}`, async (t) => {
    const { a, b } = await both(t, { sealed });
    const link = a.sessions.urlToken("alice");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => follow((n % 2 === 0 ? a : b).visitor(), link)),
    );
    assert.equal(answers.filter((user) => user === "alice").length, 1);
  });

  test(`revokeAll ends the links that were made before it, by any process: ${kind}`, async (t) => {
    // B's clock is behind: A's is ahead of the one that revokes.
    const { a, b, wait } = await both(t, { sealed, skewMs: 50_000 });
    const [hers, bobs] = [a.sessions.urlToken("alice"), a.sessions.urlToken("bob")];
    wait(20_000);
    await b.sessions.revokeAll("alice");
    assert.equal(await follow(a.visitor(), hers), "null");
    assert.equal(await follow(b.visitor(), hers), "null");
    assert.equal(await follow(a.visitor(), bobs), "bob", "another user's lives");
    assert.equal(await follow(a.visitor(), b.sessions.urlToken("alice")), "alice", "one that is made afterwards works");
    await b.sessions.revokeAll("alice");
    await b.sessions.revokeAll("alice");
    assert.equal(await follow(b.visitor(), b.sessions.urlToken("alice")), "alice");
  });
}

test("links are refused where the store can't promise that they work once", () => {
  const nothing = (_id: string, callback?: (error?: unknown) => void): void => callback?.();
  const store = { get: nothing, set: (id: string) => nothing(id), destroy: nothing };
  const refused = { name: "TypeError", message: /query\(\).*RedisStore/ };
  assert.throws(() => session({ store, secret, transport: transport() }), refused);
  assert.throws(() => session({ store: resilient(store), secret, transport: transport() }), refused);
  const revocations = resilient(store);
  assert.throws(
    () => session({ store: new SealedStore({ secret, revocations }), secret, transport: transport() }),
    refused,
  );
  assert.throws(() => session({ store: new SealedStore({ secret }), transport: transport() }), {
    name: "TypeError",
    message: /revocations: store/,
  });
  session({ store: new MemoryStore(), secret, transport: transport() });
});
