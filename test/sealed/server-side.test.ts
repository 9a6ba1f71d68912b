import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore, type SealedStoreOptions } from "../../src/stores/sealed.ts";
import { faulty } from "../../src/testing/faulty-store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ImpatientClock } from "../core/impatient-clock.ts";
import { type Handler, type SiteOptions, site, type Visitor } from "../http/site.ts";
import { asynchronous } from "../races/asynchronous.ts";
import { NotedStore } from "./noted-store.ts";

const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const MINUTE = 60_000;

interface Data {
  vouchers?: number | undefined;
  goods?: string | undefined;
}

const app: Handler = async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
  const data = req.session as Data;
  switch (pathname) {
    case "/give":
      data.vouchers = Number(searchParams.get("n"));
      break;
    case "/use": {
      const used = await req.session.update((newest) => {
        const { vouchers = 0 } = newest as Data;
        if (vouchers > 0) Reflect.set(newest, "vouchers", vouchers - 1);
        return vouchers > 0;
      });
      res.end(String(used));
      return;
    }
    case "/take-all":
      delete data.vouchers;
      break;
    case "/cart":
      data.goods = searchParams.get("is") ?? "";
      break;
    case "/login":
      await req.session.login("alice");
      break;
    case "/regenerate":
      await req.session.regenerate({ keep: true });
      break;
    case "/logout":
      await req.session.logout();
      break;
    case "/persist":
      req.session.persist(searchParams.get("for") ?? false);
      break;
  }
  const { vouchers, goods: cart } = req.session as Data;
  res.end(JSON.stringify({ user: req.session.userId, vouchers, cart }));
};

async function shop(t: TestContext, options: SealedStoreOptions = {}, more: SiteOptions = {}) {
  const clock = new ManualClock();
  const store = options.revocations ?? new MemoryStore({ clock });
  const sealed = new SealedStore({ secret, revocations: store, serverSide: ["vouchers"], ...options });
  return site(t, { clock, store: sealed, ...more }, app);
}

async function shown(visitor: Visitor, path = "/"): Promise<{ user: string | null; vouchers?: number; cart?: string }> {
  const { status, text } = await visitor.get(path);
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

function goBack(visitor: Visitor, token: string | undefined): void {
  assert.ok(token);
  visitor.cookies.set("sid", token);
}

test("an older cookie brings back older data, but nothing of what is kept on the server", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/cart?is=lamp");
  const beforeAny = visitor.token;
  await visitor.get("/give?n=2");
  const withTwo = visitor.token;
  assert.equal((await visitor.get("/use")).text, "true");
  await visitor.get("/cart?is=book");
  assert.deepEqual(await shown(visitor), { user: null, vouchers: 1, cart: "book" });

  for (const old of [beforeAny, withTwo]) {
    goBack(visitor, old);
    assert.deepEqual(await shown(visitor), { user: null, vouchers: 1, cart: "lamp" });
  }
  assert.equal((await visitor.get("/use")).text, "true");
  goBack(visitor, withTwo);
  assert.equal((await visitor.get("/use")).text, "false");

  await visitor.get("/take-all");
  goBack(visitor, withTwo);
  assert.deepEqual(await shown(visitor), { user: null, cart: "lamp" });
});

test("a session that another one replaced opens nothing any more, and its properties go with the new one", async (t) => {
  for (const path of ["/login", "/regenerate"]) {
    const one = await shop(t);
    const visitor = one.visitor();
    await visitor.get("/cart?is=lamp");
    const before = visitor.token;
    await visitor.get("/give?n=2");
    const withTwo = visitor.token;
    assert.equal((await shown(visitor, path)).vouchers, 2);
    await visitor.get("/use");
    assert.equal((await shown(visitor)).vouchers, 1);
    for (const old of [before, withTwo]) {
      goBack(visitor, old);
      assert.deepEqual(await shown(visitor), { user: null }, path);
    }
  }
});

test("parallel requests use up what is there, and no more", async (t) => {
  const clock = new ImpatientClock();
  const one = await shop(t, { revocations: asynchronous(new MemoryStore({ clock })) }, { clock });
  const visitor = one.visitor();
  await visitor.get("/give?n=5");
  const answers = await Promise.all(Array.from({ length: 12 }, () => visitor.get("/use")));
  assert.equal(answers.filter(({ text }) => text === "true").length, 5);
  assert.equal(answers.filter(({ text }) => text === "false").length, 7);
  assert.equal((await shown(visitor)).vouchers, 0);
  assert.deepEqual(one.errors, []);
});

test("a login that meets a parallel use carries what is left, not what it read", async (t) => {
  for (let round = 0; round < 20; round++) {
    const clock = new ImpatientClock();
    const one = await shop(t, { revocations: asynchronous(new MemoryStore({ clock })) }, { clock });
    const visitor = one.visitor();
    await visitor.get("/give?n=1");
    const { token } = visitor;
    const another = one.visitor();
    goBack(another, token);
    const [use, login] = await Promise.all([another.get("/use"), visitor.get("/login")]);
    assert.equal(login.status, 200);
    const { vouchers } = await shown(visitor);
    // Whoever came second saw what the first had done, or found the session replaced.
    assert.equal(vouchers, use.status === 200 && use.text === "true" ? 0 : 1);
  }
});

test("what is kept outlives every copy of the seal, and is gone after it", async (t) => {
  const clock = new ManualClock();
  const store = new NotedStore({ clock });
  const one = await shop(t, { revocations: store }, { clock });
  const visitor = one.visitor();
  await visitor.get("/persist?for=30d");
  const long = visitor.token;
  await visitor.get("/persist");
  await visitor.get("/give?n=0");
  clock.advance(24 * 60 * MINUTE);
  assert.deepEqual(await shown(visitor), { user: null }, "idle");
  goBack(visitor, long);
  assert.deepEqual(await shown(visitor), { user: null, vouchers: 0 });

  const short = one.visitor();
  await short.get("/give?n=0");
  for (let minutes = 0; minutes < 100; minutes += 20) {
    clock.advance(20 * MINUTE);
    assert.equal((await shown(short)).vouchers, 0);
  }
  clock.advance(31 * MINUTE);
  assert.equal(store.notes.length, 1, "the one for 400 days");
});

test("seals from before a property was named count until it changes", async (t) => {
  const clock = new ManualClock();
  const revocations = new MemoryStore({ clock });
  const before = await site(t, { clock, store: new SealedStore({ secret, revocations }) }, app);
  const one = await shop(t, { revocations }, { clock });
  const early = before.visitor();
  await early.get("/give?n=2");
  const visitor = one.visitor();
  const old = early.token;
  goBack(visitor, old);
  assert.equal((await shown(visitor)).vouchers, 2);
  await visitor.get("/use");
  goBack(visitor, old);
  assert.equal((await shown(visitor)).vouchers, 1);
});

test("it is encrypted in the store, is not in the cookie, and opens nothing there", async (t) => {
  const clock = new ManualClock();
  const store = new NotedStore({ clock });
  const one = await shop(t, { revocations: store, serverSide: ["vouchers", "goods"] }, { clock });
  const visitor = one.visitor();
  await visitor.get(`/cart?is=${"lamp".repeat(2_000)}`);
  assert.ok((visitor.token ?? "").length < 300);
  assert.equal((await shown(visitor)).cart?.length, 8_000);
  assert.equal(store.notes.length, 1);
  assert.doesNotMatch(JSON.stringify(store.notes), /lamplamp|goods|vouchers/);
  assert.equal((await visitor.get(`/cart?is=${"x".repeat(9_000)}`)).status, 200);
  assert.deepEqual(one.errors, []);
});

test("what does not fit the cookie is still an error, and with overflow goes there", async (t) => {
  const one = await shop(t, { serverSide: ["vouchers"] });
  const visitor = one.visitor();
  await visitor.get("/give?n=3");
  assert.equal((await visitor.get(`/cart?is=${"x".repeat(8_000)}`)).status, 500);
  assert.match(inspect(one.errors), /larger than its cookies;.*overflow/);
  assert.deepEqual(await shown(visitor), { user: null, vouchers: 3 });

  const clock = new ManualClock();
  const overflow = new MemoryStore({ clock });
  const two = await shop(t, { overflow }, { clock });
  const guest = two.visitor();
  await guest.get("/give?n=3");
  await guest.get(`/cart?is=${"x".repeat(8_000)}`);
  const { token } = guest;
  await guest.get("/use");
  goBack(guest, token);
  const { vouchers, cart } = await shown(guest);
  assert.deepEqual([vouchers, cart?.length], [2, 8_000]);
});

test("while the store can't be asked nobody is let in, and nothing counts as saved", async (t) => {
  const clock = new ManualClock();
  const { store, fail } = faulty(new MemoryStore({ clock }));
  const one = await shop(t, { revocations: store }, { clock });
  const told: string[] = [];
  one.sessions.on("store-error", ({ operation }) => told.push(operation));
  const visitor = one.visitor();
  await visitor.get("/give?n=1");
  fail("update", { kind: "error" });
  assert.equal((await visitor.get("/use")).status, 503);
  assert.deepEqual(told, ["update"], "of each failure once");
  fail("create", { kind: "error" });
  assert.equal((await visitor.get("/logout")).status, 503);
  assert.deepEqual(told, ["update", "create"]);
  await visitor.get("/give?n=1");
  assert.equal((await shown(visitor)).vouchers, 1);
});

test("impossible options are refused by name", () => {
  const refused = (options: object, message: RegExp) =>
    assert.throws(() => new SealedStore(options), { name: "TypeError", message });
  refused({ serverSide: ["vouchers"] }, /serverSide needs revocations/);
  refused({ serverSide: "vouchers", revocations: new MemoryStore() }, /serverSide must be a list of names/);
  refused({ serverSide: [""], revocations: new MemoryStore() }, /serverSide must be a list of names/);
});
