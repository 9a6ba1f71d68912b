import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine } from "../support/contexts.ts";
import { type SessionRequest, type SiteOptions, site } from "../support/site.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SECRET = "a secret of a test, long enough for all";

const PLACES: [name: string, options: (clock: ManualClock) => SiteOptions][] = [
  ["memory", (clock) => ({ store: new MemoryStore({ clock }) })],
  ["SQLite, with a key", (clock) => ({ store: new SqliteStore(":memory:", { clock }), secret: SECRET })],
  ["SQLite, encrypted", (clock) => ({ store: new SqliteStore(":memory:", { clock }), secret: SECRET, encrypt: true })],
  ["sealed cookies", () => ({ store: new SealedStore({ secret: SECRET }) })],
];

function shown({ session: { userId, authenticatedAt, authenticationMethods, expiresAt } }: SessionRequest): string {
  return JSON.stringify([userId, authenticatedAt?.getTime() ?? null, authenticationMethods, expiresAt.getTime()]);
}

for (const [name, options] of PLACES) {
  describe(`how and when somebody logged in, over ${name}`, () => {
    test("a session says when and how its user authenticated, and confirm() updates that", async (t) => {
      const clock = new ManualClock();
      const one = await site(t, { clock, ...options(clock) }, async (req, res) => {
        if (req.url === "/login") await req.session.login("ada", { methods: ["pwd", "otp", "pwd"] });
        if (req.url === "/keep") await req.session.regenerate({ keep: true });
        if (req.url === "/drop") await req.session.regenerate({ keep: [] });
        if (req.url === "/confirm") await req.session.confirm({ methods: ["hwk"] });
        if (req.url === "/confirm-only") await req.session.confirm();
        if (req.url === "/again") await req.session.login("ada");
        res.end(shown(req));
      });
      const visitor = one.visitor();
      const ask = async (path: string) => JSON.parse((await visitor.get(path)).text).slice(0, 3);
      assert.deepEqual(await ask("/"), [null, null, []]);
      const began = clock.now();
      assert.deepEqual(await ask("/login"), ["ada", began, ["pwd", "otp"]]);
      clock.advance(MINUTE);
      assert.deepEqual(await ask("/"), ["ada", began, ["pwd", "otp"]]);
      assert.deepEqual(await ask("/keep"), ["ada", began, ["pwd", "otp"]]);
      clock.advance(MINUTE);
      const before = visitor.token;
      assert.deepEqual(await ask("/confirm"), ["ada", clock.now(), ["hwk"]]);
      assert.notEqual(visitor.token, before);
      clock.advance(MINUTE);
      assert.deepEqual(await ask("/keep"), ["ada", clock.now() - MINUTE, ["hwk"]]);
      // Not those of the login: nobody has shown them this time.
      assert.deepEqual(await ask("/confirm-only"), ["ada", clock.now(), []]);
      clock.advance(MINUTE);
      assert.deepEqual(await ask("/again"), ["ada", clock.now(), []]);
      assert.deepEqual(await ask("/drop"), [null, null, []]);
    });

    test("notAfter ends a session, whatever is done to lengthen it", async (t) => {
      for (const path of ["/read", "/write", "/touch", "/persist", "/keep", "/confirm"]) {
        const clock = new ManualClock();
        const end = clock.now() + HOUR;
        const one = await site(t, { clock, ...options(clock) }, async (req, res) => {
          const { session } = req;
          if (req.url === "/login") await session.login("ada", { notAfter: new Date(end), remember: "30d" });
          if (req.url === "/write") Object.assign(session, { n: clock.now() });
          if (req.url === "/touch") await session.touch();
          if (req.url === "/persist") await session.persist("30d");
          if (req.url === "/keep") await session.regenerate({ keep: true });
          if (req.url === "/confirm") await session.confirm({ methods: ["pwd"] });
          res.end(shown(req));
        });
        const visitor = one.visitor();
        const login = await visitor.get("/login");
        assert.match(login.setCookies[0] ?? "", /Max-Age=3600;/);
        for (let minutes = 0; minutes < 60; minutes += 20) {
          const answer = await visitor.get(path);
          assert.equal(JSON.parse(answer.text)[3], end, path);
          for (const line of answer.setCookies)
            assert.match(line, new RegExp(`Max-Age=${3_600 - 60 * minutes};`), path);
          clock.advance(20 * MINUTE - (minutes === 40 ? 1 : 0));
        }
        assert.match((await visitor.clone().get("/")).text, /^\["ada"/, `${path}: a millisecond before`);
        clock.advance(1);
        assert.match((await visitor.get("/")).text, /^\[null/, path);
      }
    });

    test("what no login can have been is refused, by name and with a remedy", async (t) => {
      const clock = new ManualClock();
      const now = clock.now();
      const refused: [options: object, message: RegExp][] = [
        [{ methods: ["password"] }, /^login\(\{ methods \}\).* face, fpt, geo, hwk, .*, wia$/],
        [{ methods: ["pwd", "toString"] }, /RFC 8176/],
        [{ methods: "pwd" }, /RFC 8176/],
        [{ methods: [1] }, /RFC 8176/],
        [{ methods: null }, /RFC 8176/],
        [{ notAfter: now }, /^login\(\{ notAfter \}\): .*in the future/],
        [{ notAfter: new Date(now - 1) }, /in the future/],
        [{ notAfter: Math.floor(now / 1_000) + 3_600 }, /multiply it by 1000/],
        [{ notAfter: Number.NaN }, /notAfter/],
        [{ notAfter: new Date(Number.NaN) }, /notAfter/],
        [{ notAfter: "2050-01-01" }, /notAfter/],
        [{ notAfter: null }, /notAfter/],
        [{ stamp: 1 }, /^login\(\{ stamp \}\): stamp must be a string/],
        [{ link: "" }, /^login\(\{ link \}\): link must be .*at most 255 bytes/],
        [{ link: "x".repeat(256) }, /255/],
        [{ link: "ü".repeat(128) }, /255/],
        [{ link: "half \ud800" }, /well-formed/],
        [{ link: "a\0b" }, /^login\(\{ link \}\): link must not contain a NUL character/],
        [{ link: 5 }, /link must be/],
        [{ link: null }, /link must be/],
      ];
      const one = await site(t, { clock, ...options(clock) }, async (req, res) => {
        for (const [given, message] of refused) {
          const login = async () => Reflect.apply(req.session.login, req.session, ["ada", given]);
          await assert.rejects(login, { name: "TypeError", message });
        }
        await assert.rejects(() => req.session.confirm(), { code: "NOT_LOGGED_IN", status: 401 });
        const confirm = async () => Reflect.apply(req.session.confirm, req.session, [{ methods: ["no"] }]);
        await assert.rejects(confirm, { name: "TypeError", message: /^confirm/ });
        assert.equal(req.session.userId, null);
        await req.session.login("ada", { notAfter: Number.POSITIVE_INFINITY, methods: [] });
        res.end(shown(req));
      });
      assert.match((await one.visitor().get("/")).text, /^\["ada",\d+,\[\]/);
      assert.deepEqual(one.errors, []);
    });
  });
}

test("of an ordinary login nothing more is stored than before", async () => {
  const { request, store } = engine();
  const visit = await request();
  await visit.session.login("ada", {});
  const held = await visit.end();
  const record = await store.load(held?.handle ?? "");
  assert.equal(record?.payload, '[27]\n{"device":{"label":"Test"}}');
  assert.equal("link" in (record ?? {}), false);
});

test("snapshots and devices show the facts of a login", async () => {
  const { request, admin, clock } = engine();
  const visit = await request();
  await visit.session.login("ada", { methods: ["pwd"], link: "sid-1", stamp: "7" });
  const held = await visit.end();
  clock.advance(MINUTE);
  const next = await request(held);
  await next.session.confirm({ methods: ["otp"] });
  await next.end();
  const at = new Date(clock.now());
  const facts = { authenticatedAt: at, authenticationMethods: ["otp"], link: "sid-1" };
  const snapshot = await admin.get(next.session.id);
  const [device] = await admin.list("ada");
  assert.partialDeepStrictEqual(snapshot, { ...facts, stamp: "7", createdAt: new Date(at.getTime() - MINUTE) });
  assert.partialDeepStrictEqual(device, { ...facts, userId: "ada" });
});

test("a confirmation is told, and one of a session that has ended is none", async () => {
  const { request, admin, told } = engine();
  const visit = await request();
  await visit.session.login("ada");
  const held = await visit.end();
  const [one, other] = [await request(held), await request(held)];
  await one.session.confirm({ methods: ["pwd"] });
  await one.end();
  assert.deepEqual(told.at(-1), { event: "confirm", handle: one.session.id, userId: "ada" });
  await admin.revokeAll("ada");
  await other.session.confirm();
  await assert.rejects(other.end(), { code: "SESSION_GONE" });
  assert.equal(await admin.count("ada"), 0);
});

test("data that another request saves during a confirmation is kept", async () => {
  const { request } = engine();
  const visit = await request();
  await visit.session.login("ada");
  const held = await visit.end();
  const [one, other] = [await request(held), await request(held)];
  await one.session.confirm({ methods: ["pwd"] });
  Object.assign(other.session, { cart: ["book"] });
  await other.end();
  const after = await request(await one.end());
  assert.deepEqual({ ...after.session }, { cart: ["book"] });
  assert.deepEqual(after.session.authenticationMethods, ["pwd"]);
});

test("a link of a sealed session is refused, because nothing could find it", async (t) => {
  const one = await site(t, { store: new SealedStore({ secret: SECRET }) }, async (req, res) => {
    await assert.rejects(async () => req.session.login("ada", { link: "sid-1" }), {
      name: "TypeError",
      message: /^login\(\{ link \}\): sealed sessions/,
    });
    res.end("refused");
  });
  assert.equal((await one.visitor().get("/")).text, "refused");
  const sealed = session({ store: new SealedStore({ secret: SECRET, revocations: new MemoryStore() }) });
  t.after(() => sealed.close());
  await assert.rejects(() => sealed.revokeAll({ link: "sid-1" }), { code: "NO_USER_INDEX" });
});
