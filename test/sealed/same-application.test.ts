import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import { SealedStore } from "../../src/stores/sealed.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Handler, type SiteOptions, site } from "../support/site.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");

function sqlite(t: TestContext, clock: ManualClock): SqliteStore {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  return new SqliteStore(join(folder, "sessions.db"), { clock });
}

const kinds: [string, (t: TestContext, clock: ManualClock) => SiteOptions, ballast?: number][] = [
  ["SqliteStore", (t, clock) => ({ store: sqlite(t, clock), secret })],
  ["SqliteStore with encrypt", (t, clock) => ({ store: sqlite(t, clock), secret, encrypt: true })],
  ["SealedStore", () => ({ store: new SealedStore({ secret }) })],
  ["SealedStore in chunks", () => ({ store: new SealedStore({ secret, chunks: 3 }) })],
  [
    "SealedStore with overflow",
    (t, clock) => ({ store: new SealedStore({ secret, overflow: sqlite(t, clock) }) }),
    5_000,
  ],
];

/** The methods with callbacks, as Passport and its kind call them. `ballast` makes every session so much larger. */
const appWith =
  (ballast: number): Handler =>
  async (req, res) => {
    const { session } = req;
    if (ballast > 0 && req.url !== "/show") Reflect.set(session, "ballast", "x".repeat(ballast));
    const done = (error?: unknown) => res.end(error === undefined || error === null ? "ok" : String(error));
    switch (req.url) {
      case "/nested":
        Reflect.set(session, "cart", [...((Reflect.get(session, "cart") as string[] | undefined) ?? []), "lamp"]);
        return res.end("ok");
      case "/passport-login":
        return session.regenerate({ keep: true }, () => {
          Reflect.set(req.session, "passport", { user: 7 });
          req.session.save(done);
        });
      case "/login":
        await session.login("alice", { remember: "30d" });
        break;
      case "/update":
        await session.update((data) => Reflect.set(data, "n", Number(Reflect.get(data, "n") ?? 0) + 1));
        break;
      case "/reload":
        Reflect.set(session, "cart", "forgotten");
        await session.reload();
        break;
      case "/touch":
        return session.touch(done);
      case "/flash":
        session.flash("notice", "saved");
        return res.end("ok");
      case "/persist":
        await session.persist("10d");
        break;
      case "/delete":
        Reflect.deleteProperty(session, "n");
        break;
      case "/destroy":
        await session.destroy();
        req.session.flash("notice", "goodbye");
        return res.end("ok");
      case "/show":
        return res.end(JSON.stringify({ ...session, user: session.userId, flash: session.flash("notice") }));
    }
    res.end("ok");
  };

for (const [name, options, ballast = 0] of kinds) {
  describe(`the same application over ${name}`, () => {
    test("gives the same answers", async (t) => {
      const clock = new ManualClock();
      const one = await site(t, { clock, ...options(t, clock) }, appWith(ballast));
      const visitor = one.visitor();
      const shows = async (expected: object) =>
        assert.deepEqual(JSON.parse((await visitor.get("/show")).text), expected);
      for (const path of [
        "/nested",
        "/nested",
        "/passport-login",
        "/update",
        "/update",
        "/reload",
        "/touch",
        "/flash",
      ]) {
        assert.equal((await visitor.get(path)).text, "ok", path);
      }
      const carried = ballast > 0 ? { ballast: "x".repeat(ballast) } : {};
      const data = { cart: ["lamp", "lamp"], passport: { user: 7 }, ...carried };
      await shows({ user: null, flash: ["saved"], ...data, n: 2 });
      await shows({ user: null, flash: [], ...data, n: 2 });
      await visitor.get("/delete");
      await visitor.get("/login");
      clock.advance(20 * 86_400_000);
      await shows({ user: "alice", flash: [], ...data });
      await visitor.get("/persist");
      clock.advance(10 * 86_400_000 - 1);
      await shows({ user: "alice", flash: [], ...data });
      await visitor.get("/destroy");
      await shows({ user: null, flash: ["goodbye"] });
      clock.advance(30 * 60_000);
      await shows({ user: null, flash: [] });
      assert.deepEqual(one.errors, []);
    });

    test("any JSON comes back as it was put in", async (t) => {
      const clock = new ManualClock();
      let value: unknown;
      const one = await site(t, { clock, ...options(t, clock) }, (req, res) => {
        if (req.url === "/put") Reflect.set(req.session, "value", value);
        res.end(JSON.stringify([Reflect.get(req.session, "value")]));
      });
      const visitor = one.visitor();
      const awkward = [
        JSON.parse('{"__proto__":{"a":1},"constructor":0}'),
        "\ud800 \u0000 é 𝄞",
        -0,
        1e308,
        null,
        [[[[[]]]]],
      ];
      const check = async (one: unknown) => {
        value = one;
        await visitor.get("/put");
        assert.equal((await visitor.get("/")).text, JSON.stringify([one]));
      };
      for (const one of awkward) await check(one);
      await fc.assert(fc.asyncProperty(fc.jsonValue({ maxDepth: 5 }), check), { numRuns: 25 });
      assert.deepEqual(one.errors, []);
    });
  });
}
