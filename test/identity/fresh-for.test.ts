import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { session } from "../../src/index.ts";
import type { Policy } from "../../src/session/policy.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine } from "../support/contexts.ts";
import { site } from "../support/site.ts";

const SECRET = "a secret of a test, long enough for all";
const NOT_FRESH = { code: "NOT_FRESH", status: 401 };

/** Ada on two devices, and Bob, who all logged in `ms` ago. */
async function threeDevices(ms: number, policy: Policy = { freshMs: 1_000 }) {
  const all = engine({ policy });
  const login = async (userId: string) => {
    const visit = await all.request();
    await visit.session.login(userId);
    return all.request(await visit.end());
  };
  const [ada, other, bob] = [await login("ada"), await login("ada"), await login("bob")];
  all.clock.advance(ms);
  return { ...all, ada, other, bob };
}

describe("with freshFor, a request ends sessions only after a recent login", () => {
  test("by logout({ everywhere }), which else ends nothing; a plain logout always works", async () => {
    const { ada, admin } = await threeDevices(1_001);
    await assert.rejects(ada.session.logout({ everywhere: true }), NOT_FRESH);
    assert.equal(ada.session.userId, "ada");
    assert.equal(await admin.count("ada"), 2);
    await ada.session.logout();
    assert.equal(await admin.count("ada"), 1);
  });

  test("by revoke and revokeAll with the session that asks", async () => {
    const { ada, other, bob, admin } = await threeDevices(1_001);
    await assert.rejects(admin.revoke(other.session.id, { by: ada.session }), NOT_FRESH);
    await assert.rejects(admin.revoke(bob.session.id, { by: ada.session, userId: "bob" }), NOT_FRESH);
    await assert.rejects(admin.revokeAll("ada", { by: ada.session }), NOT_FRESH);
    await assert.rejects(admin.revokeAll("ada", { except: ada.session }), NOT_FRESH);
    await assert.rejects(admin.revokeAll({ link: "x" }, { by: ada.session, except: ada.session }), NOT_FRESH);
    assert.deepEqual([await admin.count("ada"), await admin.count("bob")], [2, 1]);
    await ada.session.confirm({ methods: ["pwd"] });
    assert.equal(await admin.revoke(other.session.id, { by: ada.session }), true);
    assert.equal(await admin.revokeAll("ada", { except: ada.session }), 0);
    assert.equal(await admin.count("ada"), 1);
  });

  test("and the error says what a client has to do", async () => {
    const { ada } = await threeDevices(1_001);
    const error: unknown = await ada.session.logout({ everywhere: true }).catch((reason: unknown) => reason);
    assert.match(String(Reflect.get(Object(error), "message")), /req\.session\.confirm\(\)/);
    assert.match(
      Object(error).headers["WWW-Authenticate"],
      /^Bearer error="insufficient_user_authentication".*max_age="1"$/,
    );
  });

  test("up to the millisecond", async () => {
    const { ada, other, admin } = await threeDevices(1_000);
    assert.equal(await admin.revoke(other.session.id, { by: ada.session }), true);
    await ada.session.logout({ everywhere: true });
    assert.equal(await admin.count("ada"), 0);
  });

  test("but the application's own calls go through", async () => {
    const { ada, other, bob, admin } = await threeDevices(1_001);
    assert.equal(await admin.revoke(other.session.id, { userId: "ada" }), true);
    assert.equal(await admin.revokeAll("ada", { except: ada.session.id }), 0);
    // Bob's session is no reason to spare one of Ada's.
    assert.equal(await admin.revokeAll("ada", { except: bob.session }), 1);
  });
});

test("revoke by a session ends only its own user's, with freshFor or without", async () => {
  for (const policy of [{ freshMs: 1_000 }, {}]) {
    const { ada, other, bob, admin, request } = await threeDevices("freshMs" in policy ? 0 : 60_000, policy);
    assert.equal(await admin.revoke(bob.session.id, { by: ada.session }), false);
    assert.equal(await admin.revoke(other.session.id, { by: ada.session }), true);
    assert.deepEqual([await admin.count("ada"), await admin.count("bob")], [1, 1]);
    // An administrator names the user.
    assert.equal(await admin.revoke(bob.session.id, { by: ada.session, userId: "bob" }), true);
    const anonymous = await request();
    for (const call of [
      () => admin.revoke(ada.session.id, { by: anonymous.session }),
      () => admin.revokeAll("ada", { by: anonymous.session }),
    ])
      await assert.rejects(call, { code: "NOT_LOGGED_IN" });
    for (const by of [undefined, null, {}, "ada", { userId: "ada" }]) {
      const message = /by must be a session, such as req\.session/;
      await assert.rejects(Reflect.apply(admin.revoke, admin, [ada.session.id, { by }]), {
        name: "TypeError",
        message,
      });
      await assert.rejects(Reflect.apply(admin.revokeAll, admin, ["ada", { by }]), { name: "TypeError", message });
    }
    assert.equal(await admin.count("ada"), 1);
  }
});

test("freshFor is a duration", () => {
  for (const freshFor of ["soon", 0, -1, null, false]) {
    assert.throws(() => Reflect.apply(session, undefined, [{ freshFor }]), {
      name: "TypeError",
      message: /^freshFor must be/,
    });
  }
});

test("sealed sessions are asked, too", async (t) => {
  const clock = new ManualClock();
  const store = new SealedStore({ secret: SECRET, revocations: new MemoryStore({ clock }) });
  const one = await site(t, { clock, store, freshFor: "10m" }, async (req, res) => {
    if (req.url === "/login") await req.session.login("ada");
    if (req.url === "/confirm") await req.session.confirm();
    if (req.url === "/all") await one.sessions.revokeAll("ada", { by: req.session });
    if (req.url === "/others") await one.sessions.revokeAll("ada", { except: req.session });
    if (req.url === "/one") await one.sessions.revoke(req.session.id, { by: req.session });
    if (req.url === "/everywhere") await req.session.logout({ everywhere: true });
    res.end(String(req.session.userId));
  });
  const visitor = one.visitor();
  await visitor.get("/login");
  // A session may begin up to a minute late, after an earlier revokeAll.
  clock.advance(11 * 60_000 + 1);
  for (const path of ["/all", "/others", "/everywhere"]) assert.equal((await visitor.get(path)).status, 401, path);
  assert.equal((await visitor.get("/one")).status, 500, "whose a sealed session is, nobody can look up");
  assert.equal((await visitor.get("/")).text, "ada");
  await visitor.get("/confirm");
  assert.equal((await visitor.get("/others")).status, 200);
  assert.equal((await visitor.get("/all")).status, 200);
  assert.equal((await visitor.get("/")).text, "null");
});
