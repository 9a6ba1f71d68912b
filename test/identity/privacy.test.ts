import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hashSecret } from "../../src/crypto/token.ts";
import { deviceReader, networkOf } from "../../src/http/device.ts";
import { type DeviceInfo, type IndexedStore, type SessionOptions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { engine, type Held } from "../support/contexts.ts";
import { everyStore } from "../support/every-store.ts";
import { put } from "../support/express-site.ts";
import { site } from "../support/site.ts";

const MINUTE = 60_000;

type Engine = ReturnType<typeof engine>;

async function login({ request }: Engine, userId: string, options: object = {}): Promise<Held | undefined> {
  const visit = await request();
  put(visit.session, "cart", ["book", userId]);
  visit.session.flash("info", "Welcome");
  await visit.session.login(userId, options);
  return visit.end();
}

async function act({ request }: Engine, held: Held | undefined, userId: string): Promise<Held | undefined> {
  const visit = await request(held);
  await visit.session.impersonate(userId, { reason: "ticket 4711" });
  put(visit.session, "seen", true);
  return visit.end();
}

/** The store with short pages. */
function inPages(store: IndexedStore, limit: number): IndexedStore {
  const list: IndexedStore["list"] = (query) => store.list({ ...query, limit });
  return Object.assign(wrapStore(store, { around: (_operation, call) => call() }), { list });
}

for (const { name, skip, open } of everyStore()) {
  describe(`what is stored about a user, over ${name}`, { skip }, () => {
    let tests = 0;
    const start = (t: { after(action: () => unknown): void }, pages = 1_000) => {
      const clock = new ManualClock();
      const store = open(clock);
      const all = engine({ clock, store: inPages(store, pages) });
      t.after(() => all.backend.close());
      tests += 1;
      return { all, clock, store, ada: `ada ${tests} of ${name}`, bob: `bob ${tests} of ${name}` };
    };

    test("is exported in full, as JSON, without a secret, a hash or a stamp", async (t) => {
      const { all, clock, ada, bob } = start(t);
      const began = new Date(clock.now()).toISOString();
      const link = `link of ${ada}`;
      const own = await login(all, ada, {
        methods: ["pwd", "otp"],
        link,
        stamp: "a-stamp",
        device: { ip: "192.0.2.7" },
      });
      clock.advance(MINUTE);
      const later = new Date(clock.now()).toISOString();
      const acting = await act(all, await login(all, bob), ada);
      const found = await all.admin.export(ada);
      const shared = { userId: ada, transport: "cookie", isDamaged: false };
      assert.deepEqual(found, [
        {
          ...shared,
          handle: acting?.handle,
          createdAt: later,
          authenticatedAt: null,
          authenticationMethods: [],
          lastUsedAt: later,
          expiresAt: new Date(clock.now() + 30 * MINUTE).toISOString(),
          device: null,
          link: null,
          actor: { userId: bob, reason: "ticket 4711", since: later },
          flash: {},
          data: { seen: true },
        },
        {
          ...shared,
          handle: own?.handle,
          createdAt: began,
          authenticatedAt: began,
          authenticationMethods: ["pwd", "otp"],
          lastUsedAt: began,
          expiresAt: new Date(clock.now() + 29 * MINUTE).toISOString(),
          device: { label: "Test", ip: "192.0.2.7" },
          link,
          actor: null,
          flash: { info: ["Welcome"] },
          data: { cart: ["book", ada] },
        },
      ]);
      const text = JSON.stringify(found);
      assert.deepEqual(JSON.parse(text), found);
      for (const held of [own, acting]) {
        assert.ok(held !== undefined && !text.includes(held.secret) && !text.includes(hashSecret(held.secret)));
      }
      assert.ok(!text.includes("a-stamp"));
      await all.admin.erase(ada);
      await all.admin.erase(bob);
    });

    test("is exported and erased whatever number of pages it takes, and nobody else's", async (t) => {
      const { all, clock, ada, bob } = start(t, 3);
      await login(all, bob);
      const handles = new Set<string | undefined>();
      for (let i = 0; i < 10; i += 1) {
        handles.add((await login(all, ada))?.handle);
        if (i % 2 === 0) clock.advance(1);
      }
      const found = await all.admin.export(ada);
      assert.equal(found.length, 10);
      assert.deepEqual(new Set(found.map(({ handle }) => handle)), handles);
      assert.deepEqual(await all.admin.erase(ada), { sessions: 10, impersonations: 0 });
      assert.deepEqual(await all.admin.export(ada), []);
      assert.deepEqual(await all.admin.erase(ada), { sessions: 0, impersonations: 0 });
      assert.equal((await all.admin.export(bob)).length, 1);
      await all.admin.erase(bob);
    });

    test("is erased with the sessions in which the user acts as others, or others act as them", async (t) => {
      const { all, store, ada, bob } = start(t);
      const own = await login(all, ada);
      const acting = await act(all, await login(all, ada), bob);
      const acted = await act(all, await login(all, bob), ada);
      const bobs = await login(all, bob);
      assert.deepEqual(await all.admin.erase(ada), { sessions: 3, impersonations: 1 });
      for (const held of [own, acting, acted]) {
        assert.equal((await all.request(held)).session.userId, null);
        assert.equal(await store.load(held?.handle ?? ""), undefined);
      }
      assert.equal((await all.request(bobs)).session.userId, bob);
      for await (const text of recordsOf(store, bob)) assert.ok(!text.includes(ada), text);
      await all.admin.erase(bob);
    });
  });
}

async function* recordsOf(store: IndexedStore, userId: string): AsyncGenerator<string> {
  for (const session of (await store.list({ userId })).sessions) yield JSON.stringify(session);
}

test("a session that is used while pages are read is exported all the same", async () => {
  const clock = new ManualClock();
  const memory = new MemoryStore({ clock });
  const paged = inPages(memory, 2);
  const { list: read } = paged;
  let calls = 0;
  const list: IndexedStore["list"] = async (query) => {
    const page = await read(query);
    calls += 1;
    // The last one moves to the first page, which was read.
    if (calls === 1 && oldest !== undefined) memory.touch(oldest.handle, clock.now() + 1, clock.now() + MINUTE * 30);
    return page;
  };
  const all = engine({ clock, store: Object.assign(paged, { list }) });
  const oldest = await login(all, "ada");
  for (let i = 0; i < 4; i += 1) {
    clock.advance(1);
    await login(all, "ada");
  }
  const found = await all.admin.export("ada");
  assert.equal(found.length, 5);
  assert.equal(found[0]?.handle, oldest?.handle);
  await all.backend.close();
});

test("a login that waits for its response is exported and erased", async () => {
  for (const isExported of [true, false]) {
    const all = engine();
    const visit = await all.request();
    await visit.session.login("ada");
    if (isExported) assert.equal((await all.admin.export("ada")).length, 1);
    assert.deepEqual(await all.admin.erase("ada"), { sessions: 1, impersonations: 0 });
    await visit.end();
    assert.equal(await all.store.load(visit.session.id), undefined);
    await all.backend.close();
  }
});

test("a record that can't be read is exported as far as it can, and erased", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const all = engine({ clock, store });
  const [one, two] = [await login(all, "ada"), await login(all, "ada")];
  for (const [held, change] of [
    [one, () => "nonsense"],
    [two, (payload: string) => payload.replace('["book","ada"]', '["book","ada"}')],
  ] as const) {
    const record = store.load(held?.handle ?? "");
    assert.ok(record !== undefined);
    const payload = change(record.payload);
    assert.equal(store.update(held?.handle ?? "", { ...record, payload, version: 2 }, 1), "ok");
  }
  const found = await all.admin.export("ada");
  assert.deepEqual(
    found.map(({ isDamaged, data }) => [isDamaged, data]),
    [
      [true, {}],
      [true, {}],
    ],
  );
  assert.equal((await all.admin.erase("ada")).sessions, 2);
  await all.backend.close();
});

test("an erasure ends sign-in links, and its sessions' sockets", async (t) => {
  const { cookie, query } = await import("../../src/index.ts");
  const transport = [cookie(), query({ iUnderstandThatAddressesLeak: true })];
  const options = { secret: Buffer.alloc(32, "secret"), transport };
  const one = await site(t, options, (req, res) => res.end(String(req.session.userId)));
  const link = `/?session=${one.sessions.urlToken("ada")}`;
  const ended: object[] = [];
  one.sessions.on("revoke", (detail) => ended.push(detail));
  const visitor = one.visitor();
  assert.equal((await visitor.get(`/?session=${one.sessions.urlToken("ada")}`)).status, 303);
  assert.deepEqual(await one.sessions.erase("ada"), { sessions: 1, impersonations: 0 });
  assert.deepEqual(ended, [{ userId: "ada", count: 1 }]);
  assert.equal((await visitor.get("/")).text, "null");
  await visitor.get(link);
  assert.equal((await visitor.get("/")).text, "null");
});

test("needs a user's ID, and a store that can list", async () => {
  const sessions = session();
  for (const wrong of ["", undefined, 7]) {
    await assert.rejects(sessions.export(wrong as string), { name: "TypeError", message: /export\(userId\)/ });
    await assert.rejects(sessions.erase(wrong as string), { name: "TypeError", message: /erase\(userId\)/ });
  }
  await sessions.close();
  const sealed = session({ store: new SealedStore({ secret: Buffer.alloc(32, "secret") }) });
  await assert.rejects(sealed.export("ada"), { code: "NO_USER_INDEX" });
  await assert.rejects(sealed.erase("ada"), { code: "NO_USER_INDEX" });
});

const AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

test("session({ device }) says what every login keeps of its device", async (t) => {
  const label = "Firefox on Linux";
  const cases: [SessionOptions["device"], DeviceInfo | undefined][] = [
    [undefined, { label, ip: "203.0.113.77" }],
    [{ ip: "full" }, { label, ip: "203.0.113.77" }],
    [{ ip: "network" }, { label, ip: "203.0.113.0" }],
    [{ ip: false }, { label }],
    [{ label: false, ip: "network" }, { ip: "203.0.113.0" }],
    [false, undefined],
  ];
  for (const [device, expected] of cases) {
    const configure = (app: { set(name: string, value: unknown): unknown }) => void app.set("trust proxy", 1);
    const one = await site(t, { kind: "express5", device, configure }, async (req, res) => {
      if (req.url === "/act") await req.session.impersonate("bob", { reason: "why" });
      else await req.session.login("ada");
      res.end();
    });
    const visitor = one.visitor();
    const headers = { "user-agent": AGENT, "x-forwarded-for": "203.0.113.77" };
    await visitor.get("/login", headers);
    const [found] = await one.sessions.export("ada");
    assert.deepEqual(found?.device ?? undefined, expected, JSON.stringify(device));
    await visitor.get("/act", headers);
    const [acting] = await one.sessions.list("bob", { impersonations: true });
    assert.deepEqual([acting?.label, acting?.ip], [expected?.label ?? "Unknown device", expected?.ip]);
  }
});

test("a network is the first 24 bits of IPv4, and the first 48 of IPv6", () => {
  const cases = [
    ["192.0.2.255", "192.0.2.0"],
    ["10.20.30.4", "10.20.30.0"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1::"],
    ["2001:db8::1", "2001:db8::"],
    ["2001:db8:0:1::", "2001:db8::"],
    ["::1", "::"],
    ["::", "::"],
    ["64:ff9b:1::7", "64:ff9b:1::"],
    ["1:0:3:4::", "1:0:3::"],
  ] as const;
  for (const [address, network] of cases) assert.equal(networkOf(address), network, address);
});

test("property: addresses of one network become one text, whatever follows", () => {
  const word = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(fc.tuple(word, word, word), fc.array(word, { minLength: 5, maxLength: 5 }), (network, rest) => {
      const text = (words: readonly number[]) =>
        new URL(`http://[${words.map((one) => one.toString(16)).join(":")}]`).hostname.slice(1, -1);
      assert.equal(networkOf(text([...network, ...rest])), text([...network, 0, 0, 0, 0, 0]));
    }),
  );
});

test("device takes nothing else", () => {
  const wrong: [unknown, RegExp][] = [
    [true, /device must be false, or \{ ip, label \}/],
    [null, /device must be false, or/],
    [{ ip: "none" }, /device\.ip must be "full", "network" or false/],
    [{ label: "short" }, /device\.label must be true or false/],
  ];
  for (const [device, message] of wrong) {
    assert.throws(() => deviceReader(device as never), { name: "TypeError", message });
    assert.throws(() => session({ device: device as never }), { name: "TypeError", message });
  }
});
