import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Handler, type Site, site, type Visitor } from "../support/site.ts";

const secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

const handler: Handler = async (req, res) => {
  if (req.url === "/login") await req.session.login("alice");
  if (req.url === "/regenerate") await req.session.regenerate({ keep: true });
  if (req.url === "/logout") await req.session.logout();
  res.end(JSON.stringify({ user: req.session.userId, id: req.session.id }));
};

/** Three machines that share a list of revocations: A, one whose clock is so much ahead, and one whose clock is behind. */
async function three(t: TestContext, ms: number) {
  const clocks = [0, ms, -ms].map((skew) => {
    const clock = new ManualClock();
    clock.advance(3_600_000 + skew);
    return clock;
  });
  // One list, whose own clock is A's.
  const revocations = new MemoryStore({ clock: clocks[0] ?? new ManualClock() });
  const sites = await Promise.all(
    clocks.map((clock) => site(t, { clock, store: new SealedStore({ secret, revocations }) }, handler)),
  );
  const [a, ahead, behind] = sites;
  assert.ok(a && ahead && behind);
  const wait = (later: number): void => {
    for (const clock of clocks) clock.advance(later);
  };
  return { a, ahead, behind, wait };
}

/** The same browser at another machine. */
function at(machine: Site, browser: Visitor): Visitor {
  const other = machine.visitor();
  for (const [name, value] of browser.cookies) other.cookies.set(name, value);
  return other;
}

async function userAt(machine: Site, browser: Visitor): Promise<unknown> {
  return JSON.parse((await at(machine, browser).get("/")).text).user;
}

for (const ms of [50_000, 60_000]) {
  test(`revokeAll ends a session that began ${ms} ms ahead, and nobody is kept from coming back`, async (t) => {
    const { a, ahead, behind, wait } = await three(t, ms);
    const browser = ahead.visitor();
    await browser.get("/login");
    wait(20_000);
    assert.equal(await userAt(a, browser), "alice");
    await a.sessions.revokeAll("alice");
    for (const machine of [a, ahead]) assert.equal(await userAt(machine, browser), null);

    for (const machine of [a, ahead, behind]) {
      const back = machine.visitor();
      await back.get("/login");
      // What is from the far future is for none that is far behind: no two clocks differ by more than a minute.
      const others = machine === ahead ? [a, ahead] : machine === behind ? [a, behind] : [a, ahead, behind];
      for (const other of others) assert.equal(await userAt(other, back), "alice");
      const other = at(machine, back);
      await other.get("/regenerate");
      assert.equal(await userAt(a, other), "alice", "under its next name too");
    }
    await a.sessions.revokeAll("alice");
    wait(3_600_000);
    assert.equal(await userAt(a, browser), null);
  });
}

test("each revokeAll ends all sessions since the last, even within a millisecond, but the exception", async (t) => {
  const { a, behind } = await three(t, 30_000);
  for (let n = 0; n < 3; n++) {
    const [one, spared] = [a.visitor(), behind.visitor()];
    await one.get("/login");
    await spared.get("/login");
    const { id } = JSON.parse((await spared.get("/")).text);
    await a.sessions.revokeAll("alice", { except: id });
    assert.equal(await userAt(a, one), null);
    for (const machine of [a, behind]) assert.equal(await userAt(machine, spared), "alice");
    await spared.get("/regenerate");
    assert.equal(await userAt(a, spared), "alice");
    await a.sessions.revokeAll("alice");
    assert.equal(await userAt(behind, spared), null);
  }
});
