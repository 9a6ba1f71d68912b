import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { SessionOptions } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { type Handler, site, type Visitor } from "../support/site.ts";

const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const MINUTE = 60_000;

const app: Handler = async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
  if (pathname === "/login") await req.session.login(searchParams.get("user") ?? "alice");
  if (pathname === "/fill") Reflect.set(req.session, "fill", "x".repeat(9_000));
  if (pathname === "/regenerate") await req.session.regenerate({ keep: true });
  if (pathname === "/logout") await req.session.logout();
  res.end(req.session.id);
};

type Place = Awaited<ReturnType<typeof place>>;

/** An application with connections that outlive their requests, as far as it knows of them. */
async function place(t: TestContext, options: SessionOptions & { clock: ManualClock }) {
  const one = await site(t, { secret, ...options }, app);

  async function signedIn(user = "alice"): Promise<{ visitor: Visitor; handle: string }> {
    const visitor = one.visitor();
    const { text } = await visitor.get(`/login?user=${user}`);
    return { visitor, handle: text };
  }

  /** A connection of this visitor's. */
  async function connect(visitor: Visitor, headers: NodeJS.Dict<string> = {}) {
    const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const req = Object.assign(new IncomingMessage(new Socket()), {
      headers: { host: "example.com", cookie, ...headers },
    });
    const session = await one.sessions.authenticateUpgrade(req);
    assert.ok(session !== undefined);
    const connection = { hasEnded: false, session, stop: () => {} };
    connection.stop = session.onEnd(() => {
      connection.hasEnded = true;
    });
    return connection;
  }

  return { ...one, signedIn, connect };
}

/** Whatever doesn't wait for time is done. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Time goes on until the next look at what is open is over. */
async function look(clock: ManualClock): Promise<void> {
  clock.advance(1_000);
  await settled();
}

const ends: Record<string, (one: Place, who: Awaited<ReturnType<Place["signedIn"]>>) => Promise<unknown>> = {
  logout: (_one, { visitor }) => visitor.get("/logout"),
  regeneration: (_one, { visitor }) => visitor.get("/regenerate"),
  login: (_one, { visitor }) => visitor.get("/login"),
  revocation: (one, { handle }) => one.sessions.revoke(handle),
  "revocation of all": (one) => one.sessions.revokeAll("alice"),
};

for (const [name, end] of Object.entries(ends)) {
  test(`a ${name} in this process ends the session's connections at once, and nobody else's`, async (t) => {
    const one = await place(t, { clock: new ManualClock() });
    const [alice, bob] = [await one.signedIn("alice"), await one.signedIn("bob")];
    const connections = { first: await one.connect(alice.visitor), second: await one.connect(alice.visitor) };
    const other = await one.connect(bob.visitor);
    await end(one, alice);
    await settled();
    assert.deepEqual([connections.first.hasEnded, connections.second.hasEnded, other.hasEnded], [true, true, false]);
    await look(one.clock);
    assert.equal(other.hasEnded, false);
  });
}

test("ending all other sessions of a user leaves the connections of the excepted one open", async (t) => {
  const clock = new ManualClock();
  const revocations = new MemoryStore({ clock });
  for (const store of [new MemoryStore({ clock }), new SealedStore({ secret, revocations })]) {
    const one = await place(t, { clock, store });
    const [phone, laptop] = [await one.signedIn(), await one.signedIn()];
    const connections = { phone: await one.connect(phone.visitor), laptop: await one.connect(laptop.visitor) };
    await one.sessions.revokeAll("alice", { except: laptop.handle });
    await settled();
    assert.deepEqual([connections.phone.hasEnded, connections.laptop.hasEnded], [true, false]);
    await look(clock);
    assert.equal(connections.laptop.hasEnded, false);
    await one.sessions.revokeAll("alice");
    await settled();
    assert.equal(connections.laptop.hasEnded, true);
  }
});

const kept: Record<string, (clock: ManualClock) => NonNullable<SessionOptions["store"]>> = {
  "in a store": (clock) => new MemoryStore({ clock }),
  sealed: () => new SealedStore({ secret }),
};
for (const [where, storeOf] of Object.entries(kept)) {
  test(`a timeout that was shortened since ends open connections, too: ${where}`, async (t) => {
    for (const [shorter, ms] of [
      [{ idleTimeout: "10m" }, 10 * MINUTE],
      [{ absoluteTimeout: "20m" }, 20 * MINUTE],
    ] as const) {
      const clock = new ManualClock();
      const store = storeOf(clock);
      const before = await place(t, { clock, store });
      const now = await place(t, { clock, store, ...shorter });
      const { visitor } = await before.signedIn();
      const connection = await now.connect(visitor);
      clock.advance(ms - 1_001);
      await settled();
      await look(clock);
      assert.equal(connection.hasEnded, false, "a moment before");
      await look(clock);
      assert.equal(connection.hasEnded, true, JSON.stringify(shorter));
    }
  });
}

test("a connection of a session whose data is in a store ends with that, whoever ended it", async (t) => {
  const clock = new ManualClock();
  const store = new SealedStore({ secret, overflow: new MemoryStore({ clock }) });
  const [one, other] = [await place(t, { clock, store }), await place(t, { clock, store })];
  const { visitor } = await one.signedIn();
  await visitor.get("/fill");
  const connection = await one.connect(visitor);
  await look(clock);
  assert.equal(connection.hasEnded, false);
  const elsewhere = other.visitor();
  for (const [name, value] of visitor.cookies) elsewhere.cookies.set(name, value);
  await elsewhere.get("/logout");
  await look(clock);
  assert.equal(connection.hasEnded, true);
});

test("nothing is looked up any more once the sessions are closed, whoever still listens", async (t) => {
  for (const isLooking of [false, true]) {
    const clock = new ManualClock();
    let loads = 0;
    class Counting extends MemoryStore {
      override load(handle: string) {
        loads += 1;
        return super.load(handle);
      }
    }
    const one = await place(t, { clock, store: asynchronous(new Counting({ clock })) });
    const { visitor } = await one.signedIn();
    const { session } = await one.connect(visitor);
    loads = 0;
    if (isLooking) clock.advance(1_000);
    await one.sessions.close();
    await settled();
    const before = loads;
    session.onEnd(() => {});
    for (let seconds = 0; seconds < 5; seconds += 1) await look(clock);
    assert.equal(loads, before, isLooking ? "closed during a look" : "closed between two");
    assert.equal(clock.pending, 0);
  }
});

test("nothing is looked up any more once the last connection has closed", async (t) => {
  const clock = new ManualClock();
  const one = await place(t, { clock });
  const { visitor } = await one.signedIn();
  const before = clock.pending;
  const connections = [await one.connect(visitor), await one.connect(visitor)];
  assert.equal(clock.pending, before + 1);
  connections[0]?.stop();
  await look(clock);
  assert.equal(clock.pending, before + 1, "the other one is still open");
  connections[1]?.stop();
  await look(clock);
  assert.equal(clock.pending, before);
  await one.sessions.revokeAll("alice");
  await settled();
  assert.deepEqual(
    connections.map(({ hasEnded }) => hasEnded),
    [false, false],
  );
});

test("the same listener may be given twice, and each one stops for itself", async (t) => {
  const one = await place(t, { clock: new ManualClock() });
  const { visitor, handle } = await one.signedIn();
  const { session } = await one.connect(visitor);
  let calls = 0;
  const listener = () => {
    calls += 1;
  };
  const stops = [session.onEnd(listener), session.onEnd(listener), session.onEnd(listener)];
  stops[0]?.();
  stops[0]?.();
  await one.sessions.revoke(handle);
  await settled();
  assert.equal(calls, 2);
});

test("a listener that throws keeps no other one from being told, and no session from ending", async (t) => {
  const one = await place(t, { clock: new ManualClock() });
  const { visitor, handle } = await one.signedIn();
  const told: string[] = [];
  const listen = (warning: Error) => told.push(warning.message);
  process.on("warning", listen);
  t.after(() => process.off("warning", listen));
  const { session } = await one.connect(visitor);
  session.onEnd(() => {
    throw new Error("the application's own");
  });
  const last = await one.connect(visitor);
  assert.equal(await one.sessions.revoke(handle), true);
  await settled();
  assert.equal(last.hasEnded, true);
  assert.match(told.join(), /a listener of "onEnd" failed: Error: the application's own/);
});

test("a page of the host itself may connect, however the host is written", async (t) => {
  const one = await place(t, { clock: new ManualClock() });
  const { visitor } = await one.signedIn();
  for (const host of ["example.com", "Example.COM", "EXAMPLE.com"]) {
    const connection = await one.connect(visitor, { host, origin: "http://example.com" });
    assert.equal(connection.session.userId, "alice");
  }
});
