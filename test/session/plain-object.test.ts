import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { SessionObject } from "../../src/session/session.ts";
import { engine } from "../support/contexts.ts";

/** A session with this data in it: as assigned in this request, and as loaded by the next one. */
async function bothWays(data: object) {
  const { request } = engine();
  const first = await request();
  Object.assign(first.session, data);
  const held = await first.end();
  const second = await request(held);
  return [
    { how: "assigned", visit: first },
    { how: "loaded", visit: second },
  ];
}

const DATA = { cart: ["book"], nested: { deep: { n: 1 } }, zero: 0, empty: "", no: false, nothing: null };

describe("a session behaves as a plain object does", () => {
  test("Object.keys, values, entries, for…in, spread, JSON and `in` see the data and nothing else", async () => {
    for (const { how, visit } of await bothWays(DATA)) {
      const { session } = visit;
      assert.deepEqual(Object.keys(session).sort(), Object.keys(DATA).sort(), how);
      assert.deepEqual(Object.fromEntries(Object.entries(session)), DATA, how);
      assert.deepEqual({ ...session }, DATA, how);
      assert.deepEqual(Object.assign({}, session), DATA, how);
      assert.deepEqual(JSON.parse(JSON.stringify(session)), DATA, how);
      const seen: string[] = [];
      for (const name in session) seen.push(name);
      assert.deepEqual(seen.sort(), Object.keys(DATA).sort(), how);
      assert.deepEqual(Reflect.ownKeys(session).sort(), Object.keys(DATA).sort(), how);
      assert.deepEqual(Object.getOwnPropertySymbols(session), [], how);
      assert.equal(Object.values(session).length, 6, how);
      for (const name of Object.keys(DATA)) {
        assert.ok(name in session, how);
        assert.ok(Object.hasOwn(session, name), how);
        assert.equal(Reflect.apply(Object.prototype.hasOwnProperty, session, [name]), true, how);
        assert.equal(Object.prototype.propertyIsEnumerable.call(session, name), true, how);
      }
      assert.ok(!("missing" in session));
      assert.equal(Reflect.get(session, "missing"), undefined);
      const { cart, ...rest } = { ...session } as Record<string, unknown>;
      assert.deepEqual([cart, Object.keys(rest).length], [["book"], 5]);
    }
  });

  test("each look alone finds a property that was loaded", async () => {
    const looks: [string, (session: object) => unknown][] = [
      ["get", (session) => Reflect.get(session, "n") === 1],
      ["in", (session) => "n" in session],
      ["hasOwn", (session) => Object.hasOwn(session, "n")],
      ["keys", (session) => Object.keys(session).includes("n")],
      ["descriptor", (session) => Object.getOwnPropertyDescriptor(session, "n")?.value === 1],
      ["descriptors", (session) => Object.getOwnPropertyDescriptors(session)["n" as never] !== undefined],
      ["spread", (session) => "n" in { ...session }],
      ["JSON", (session) => JSON.stringify(session) === '{"n":1}'],
      ["inspect", (session) => inspect(session).includes("n: 1")],
      ["entries", (session) => Object.entries(session).length === 1],
    ];
    const { request } = engine();
    const first = await request();
    Object.assign(first.session, { n: 1 });
    const held = await first.end();
    for (const [name, look] of looks) assert.equal(look((await request(held)).session), true, name);
  });

  test("a property in a descriptor is as assignment makes it", async () => {
    for (const { how, visit } of await bothWays({ n: 1 })) {
      assert.deepEqual(
        Object.getOwnPropertyDescriptor(visit.session, "n"),
        { value: 1, writable: true, enumerable: true, configurable: true },
        how,
      );
    }
  });

  test("assignment, delete and nested mutation are saved", async () => {
    const { request } = engine();
    const first = await request();
    Object.assign(first.session, { cart: ["book"], profile: { name: "A" }, gone: 1, kept: 2 });
    const held = await first.end();
    const second = await request(held);
    const cart: unknown = Reflect.get(second.session, "cart");
    assert.ok(Array.isArray(cart));
    cart.push("lamp");
    Object.assign(Reflect.get(second.session, "profile") ?? assert.fail(), { name: "B" });
    assert.equal(Reflect.deleteProperty(second.session, "gone"), true);
    assert.ok(!("gone" in second.session));
    assert.equal(Reflect.get(second.session, "gone"), undefined);
    assert.ok(!Object.keys(second.session).includes("gone"));
    await second.end();
    const third = await request(held);
    assert.deepEqual({ ...third.session }, { cart: ["book", "lamp"], profile: { name: "B" }, kept: 2 });
  });

  test("deleted and set again in one request, without having been read", async () => {
    const { request } = engine();
    const first = await request();
    Object.assign(first.session, { n: 1 });
    const held = await first.end();
    const second = await request(held);
    Reflect.deleteProperty(second.session, "n");
    Object.assign(second.session, { n: 2 });
    await second.end();
    assert.deepEqual({ ...(await request(held)).session }, { n: 2 });
    const third = await request(held);
    Object.assign(third.session, { n: 3 });
    Reflect.deleteProperty(third.session, "n");
    await third.end();
    assert.deepEqual({ ...(await request(held)).session }, {});
  });

  test("the value undefined counts as absent once it is saved", async () => {
    const { request } = engine();
    const first = await request();
    Object.assign(first.session, { n: 1, m: 2 });
    const held = await first.end();
    const second = await request(held);
    Object.assign(second.session, { n: undefined });
    assert.ok("n" in second.session);
    await second.end();
    assert.deepEqual({ ...(await request(held)).session }, { m: 2 });
  });

  test("names that Object.prototype has are data like any other, and structured names too", async () => {
    const names = [
      "toString",
      "constructor",
      "hasOwnProperty",
      "valueOf",
      "isPrototypeOf",
      "__defineGetter__",
      "toJSON",
      "then",
      "0",
      "-1",
      "",
      "a.b",
      "ü 🍪",
      "length",
      "\n",
      "cookie",
    ];
    const data = Object.fromEntries(
      names.filter((name) => name !== "toJSON" && name !== "then").map((name) => [name, `value of ${name}`]),
    );
    for (const { how, visit } of await bothWays(data)) {
      assert.deepEqual({ ...visit.session }, data, how);
      for (const [name, value] of Object.entries(data)) assert.equal(Reflect.get(visit.session, name), value, how);
    }
    const before = Object.getOwnPropertyNames(Object.prototype);
    assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
  });

  test("what a prototype has is found, but is no data", async () => {
    const { request } = engine();
    const { session } = await request();
    assert.ok("toString" in session);
    assert.ok(!Object.hasOwn(session, "toString"));
    assert.equal(typeof session.toString, "function");
    assert.ok("save" in session);
    assert.ok(!Object.hasOwn(session, "save"));
    assert.ok(session instanceof SessionObject);
    assert.equal(session.constructor, undefined, "it would lead to the prototype");
    assert.equal("constructor" in session, false);
  });

  test("__proto__ is refused and pollutes nothing, however it is written", async () => {
    const { request } = engine();
    const visit = await request();
    const { session } = visit;
    assert.throws(() => Reflect.set(session, "__proto__", { polluted: true }), TypeError);
    assert.throws(() => Object.assign(session, JSON.parse('{"__proto__":{"polluted":true}}')), TypeError);
    assert.throws(
      () => Object.defineProperty(session, "__proto__", { value: { polluted: true }, enumerable: true }),
      TypeError,
    );
    assert.throws(() => Object.setPrototypeOf(session, { polluted: true }), TypeError);
    assert.equal(Reflect.setPrototypeOf(session, null), false);
    assert.equal("polluted" in session, false);
    assert.equal("polluted" in {}, false);
    Object.assign(session, {
      nested: JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
    });
    const held = await visit.end();
    const next = await request(held);
    assert.deepEqual(Object.keys(Reflect.get(next.session, "nested") ?? {}), ["__proto__", "constructor"]);
    assert.equal("polluted" in {}, false);
    assert.equal("polluted" in (Reflect.get(next.session, "nested") ?? {}), false);
  });

  test("the names of its own members are refused with a TypeError that says so, and stay what they are", async () => {
    const { request } = engine();
    const visit = await request();
    const { session } = visit;
    const reserved = [
      "id",
      "isNew",
      "userId",
      "createdAt",
      "expiresAt",
      "save",
      "reload",
      "regenerate",
      "login",
      "logout",
      "destroy",
      "touch",
      "update",
      "persist",
      "flash",
    ];
    for (const name of reserved) {
      const before: unknown = Reflect.get(session, name);
      const message = new RegExp(`^TypeError: req\\.session\\.${name} is a member of the session: choose another name`);
      assert.throws(() => Reflect.set(session, name, "x"), message);
      assert.throws(() => Object.assign(session, { [name]: "x" }), message);
      assert.throws(() => Object.defineProperty(session, name, { value: "x" }), message);
      assert.throws(() => Reflect.deleteProperty(session, name), message);
      if (!(before instanceof Date)) assert.equal(Reflect.get(session, name), before, name);
      assert.ok(name in session, name);
    }
    assert.deepEqual(Object.keys(session), []);
  });

  test("writing to or deleting a member says by which method that is done", async () => {
    const { request } = engine();
    const { session } = await request();
    const writes: [string, RegExp][] = [
      ["userId", /login\(userId\).*logout\(\).*destroy\(\)/],
      ["id", /regenerate\(\)/],
      ["expiresAt", /persist\(duration\).*touch\(\)/],
      ["flash", /connect-flash.*req\.session\.flash\(/],
    ];
    for (const [name, message] of writes) {
      assert.throws(() => Reflect.set(session, name, 1), { name: "TypeError", message });
      assert.throws(() => Reflect.deleteProperty(session, name), { name: "TypeError", message });
      assert.throws(() => Object.assign(session, { [name]: null }), { name: "TypeError", message });
    }
  });

  test("req.session.cookie of express-session says which methods there are instead", async () => {
    for (const { how, visit } of await bothWays({ n: 1 })) {
      const { session } = visit;
      const cookie: unknown = Reflect.get(session, "cookie");
      assert.ok(typeof cookie === "object" && cookie !== null);
      const message = /persist\(duration\).*expiresAt.*destroy\(\)/;
      assert.throws(() => Reflect.set(cookie, "maxAge", 1), { name: "TypeError", message });
      assert.throws(() => Object.assign(cookie, { expires: false }), { name: "TypeError", message });
      assert.throws(() => Object.defineProperty(cookie, "secure", { value: true }), { name: "TypeError", message });
      assert.throws(() => Reflect.deleteProperty(cookie, "expires"), { name: "TypeError", message });
      assert.throws(() => Reflect.get(cookie, "originalMaxAge"), { name: "TypeError", message });
      assert.ok(!("cookie" in session), how);
      assert.deepEqual({ ...session }, { n: 1 }, how);
    }
  });

  test("nothing that a session shows leads to a prototype", async () => {
    // What a merge of a request's body does that knows nothing of prototypes.
    const merge = (target: object, source: object): void => {
      for (const [name, value] of Object.entries(source)) {
        const there: unknown = Reflect.get(target, name);
        if (typeof value === "object" && value !== null && Object(there) === there) merge(Object(there), value);
        else Reflect.set(target, name, value);
      }
    };
    const bodies = [
      '{"__proto__":{"isAdmin":true}}',
      '{"__proto__":{"__proto__":{"isAdmin":true}}}',
      '{"constructor":{"prototype":{"isAdmin":true}}}',
      '{"constructor":{"__proto__":{"isAdmin":true}}}',
    ];
    const { request } = engine();
    for (const body of bodies) {
      for (const { how, visit } of await bothWays({ n: 1 })) {
        try {
          merge(visit.session, JSON.parse(body));
        } catch (error) {
          assert.ok(error instanceof TypeError, String(error));
        }
        await visit.end();
        const { session } = await request();
        for (const other of [session, {}, () => {}]) assert.ok(!("isAdmin" in other), `${how}: ${body}`);
      }
    }
    const { session } = await request();
    assert.equal(Reflect.get(session, "__proto__"), undefined);
    assert.throws(() => (Reflect.get(session, "__proto__").isAdmin = true), TypeError);
    assert.ok(Object.isFrozen(SessionObject.prototype) && Object.isFrozen(SessionObject));
    assert.equal(Reflect.set(Object.getPrototypeOf(session), "isAdmin", true), false);
    assert.throws(() => Object.setPrototypeOf(session, { isAdmin: true }), TypeError);
  });

  test("freezing, sealing and preventing extensions are refused: what is loaded later must find room", async () => {
    const { request } = engine();
    const { session } = await request();
    for (const action of [Object.freeze, Object.seal, Object.preventExtensions]) {
      assert.throws(() => action(session), TypeError);
    }
    assert.ok(Object.isExtensible(session));
  });

  test("a getter, or a property that can't be changed, behaves as on any object", async () => {
    const { request } = engine();
    const visit = await request();
    Object.defineProperty(visit.session, "now", { get: () => 5, enumerable: true, configurable: true });
    Object.defineProperty(visit.session, "fixed", { value: 1, enumerable: true });
    assert.throws(() => Object.assign(visit.session, { fixed: 2 }), TypeError);
    assert.equal(Reflect.deleteProperty(visit.session, "fixed"), false);
    Object.defineProperty(visit.session, "hidden", { value: 1 });
    const held = await visit.end();
    assert.deepEqual({ ...(await request(held)).session }, { now: 5, fixed: 1 });
  });

  test("symbols are the application's own, and are not saved", async () => {
    const { request } = engine();
    const visit = await request();
    const mark = Symbol("mark");
    Reflect.set(visit.session, mark, 1);
    assert.equal(Reflect.get(visit.session, mark), 1);
    assert.deepEqual(Object.getOwnPropertySymbols(visit.session), [mark]);
    assert.equal(Reflect.deleteProperty(visit.session, mark), true);
    Object.assign(visit.session, { n: 1 });
    assert.deepEqual({ ...(await request(await visit.end())).session }, { n: 1 });
  });

  test("an unread session, or one read and left alone, is not written", async () => {
    const { request, store } = engine();
    const first = await request();
    Object.assign(first.session, DATA, { when: new Date(0) });
    const held = await first.end();
    assert.ok(held !== undefined);
    const version = async () => (await store.load(held.handle))?.version;
    for (const look of [() => {}, JSON.stringify, Object.keys, inspect]) {
      const visit = await request(held);
      Reflect.apply(look, undefined, [visit.session]);
      await visit.end();
      assert.equal(await version(), 1);
    }
    const same = await request(held);
    Object.assign(same.session, structuredClone(DATA));
    await same.end();
    assert.equal(await version(), 1, "assigned the very same");
  });
});

describe("a session in the hands of other libraries", () => {
  test("a template that shows only what an object has itself finds userId and the other facts", async () => {
    const { request } = engine();
    const visit = await request();
    await visit.session.login("alice");
    for (const { session } of [visit, await request(await visit.end())]) {
      for (const name of ["id", "isNew", "userId", "createdAt", "expiresAt", "transport"]) {
        assert.ok(Object.hasOwn(session, name), name);
        assert.ok(Object.prototype.propertyIsEnumerable.call(session, name), name);
        assert.ok(!Object.keys(session).includes(name) && !(name in { ...session }), `${name} is no data`);
      }
      assert.equal(Object.getOwnPropertyDescriptor(session, "userId")?.value, "alice");
      assert.ok(!Object.hasOwn(session, "save"));
    }
  });

  // How lodash, klona and others decide, and how Ramda, clone and others do.
  const clones: [string, (value: object) => object][] = [
    [
      "by its constructor",
      (value) => (typeof value.constructor === "function" ? Object.create(Object.getPrototypeOf(value)) : {}),
    ],
    ["with its prototype", (value) => Object.create(Object.getPrototypeOf(value))],
  ];
  for (const [how, empty] of clones) {
    test(`a clone made ${how} is data that can be shown`, async () => {
      for (const { visit } of await bothWays({ cart: ["book"] })) {
        const copy = Object.assign(empty(visit.session), structuredClone({ ...visit.session }));
        assert.match(inspect(copy), /cart: \[ 'book' \]/);
        assert.equal(JSON.stringify(copy), '{"cart":["book"]}');
        (Reflect.get(copy, "cart") ?? assert.fail()).push("lamp");
        assert.deepEqual(Reflect.get(visit.session, "cart"), ["book"]);
        if (copy instanceof SessionObject) {
          assert.throws(() => copy.userId, { name: "TypeError", message: /copy.*\{ \.\.\.req\.session \}/ });
          await assert.rejects(copy.save(), { name: "TypeError", message: /copy/ });
        }
      }
    });
  }
});

describe("what is shown of a session", () => {
  test("console.log shows the data", async () => {
    for (const { how, visit } of await bothWays({ cart: ["book"], n: 1 })) {
      assert.equal(inspect(visit.session), "Session { cart: [ 'book' ], n: 1 }", how);
    }
    const { session } = await engine().request();
    assert.equal(inspect(session), "Session {}");
  });

  test("no way of looking at a session shows its secret or the secret's hash", async () => {
    const { request } = engine();
    const first = await request();
    Object.assign(first.session, { n: 1 });
    await first.session.login("alice");
    const held = await first.end();
    const second = await request(held);
    const settings = [true, false].flatMap((customInspect) =>
      [true, false].flatMap((showHidden) =>
        [true, false].map((showProxy) => ({ customInspect, showHidden, showProxy, depth: 20 })),
      ),
    );
    for (const { context, session } of [first, second]) {
      const { secret } = context.state;
      const texts = [
        JSON.stringify(session),
        JSON.stringify(context),
        String(session),
        ...Object.getOwnPropertySymbols(session).map((key) => inspect(Reflect.get(session, key))),
      ];
      for (const options of settings) texts.push(inspect(session, options));
      try {
        assert.deepEqual(session, { something: "else" });
      } catch (error) {
        texts.push(String(error), inspect(error, { depth: 20, customInspect: false }));
      }
      for (const text of texts) assert.ok(!text.includes(secret), `the secret is in ${text.slice(0, 200)}`);
    }
  });
});
