import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryStore } from "../../src/stores/memory.ts";
import { engine, type TestRequest } from "../support/contexts.ts";
import { ImpatientClock } from "../support/impatient-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";

for (const async of [false, true]) {
  describe(`what parallel requests lose of a property over ${async ? "an asynchronous" : "a synchronous"} store`, () => {
    async function begun(data: object) {
      const clock = new ImpatientClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async });
      const one = engine({ clock, store: probe.store });
      const first = await one.request();
      Object.assign(first.session, data);
      const held = (await first.end()) ?? assert.fail("no token");
      const rival = async (change: (session: TestRequest["session"]) => void) => {
        const visit = await one.request(held);
        change(visit.session);
        await visit.end();
      };
      const stored = async () => ({ ...(await one.request(held)).session });
      const overwritten = () =>
        one.told.flatMap((told) => (told.event === "overwritten" ? [[told.handle, told.property]] : []));
      return { ...one, held, rival, stored, overwritten, visit: await one.request(held) };
    }

    function listOf(visit: TestRequest, name: string): unknown[] {
      const list: unknown = Reflect.get(visit.session, name);
      return Array.isArray(list) ? list : assert.fail(`${name} is no list`);
    }

    test("six uploads that each push to one list: each one lost is told with the property's name", async () => {
      const { request, held, stored, overwritten } = await begun({ files: [] });
      const visits = await Promise.all([1, 2, 3, 4, 5, 6].map(() => request(held)));
      for (const [i, visit] of visits.entries()) listOf(visit, "files").push(i);
      await Promise.all(visits.map((visit) => visit.end()));
      const { files } = Object(await stored());
      assert.equal(files.length, 1);
      assert.deepEqual(overwritten(), Array(5).fill([held.handle, "files"]));
    });

    test("nothing is told where requests changed other properties, or the same one to the same value", async () => {
      const { visit, rival, stored, overwritten } = await begun({ a: 1, b: 1, c: 1 });
      await rival((session) => Object.assign(session, { a: 2, c: 2 }));
      Object.assign(visit.session, { b: 2, c: 2 });
      await visit.end();
      assert.deepEqual(await stored(), { a: 2, b: 2, c: 2 });
      assert.deepEqual(overwritten(), []);
    });

    test("a deletion that is overwritten, and a value that is deleted, are told, too", async () => {
      const { visit, held, rival, stored, overwritten } = await begun({ a: 1, b: 1 });
      await rival((session) => {
        Reflect.deleteProperty(session, "a");
        Object.assign(session, { b: 2 });
      });
      Object.assign(visit.session, { a: 3 });
      Reflect.deleteProperty(visit.session, "b");
      await visit.end();
      assert.deepEqual(await stored(), { a: 3 });
      assert.deepEqual(overwritten().sort(), [[held.handle, "a"], [held.handle, "b"]]); // biome-ignore format: pairs
    });

    test("update() overwrites nothing; what was changed before it may", async () => {
      const { visit, held, rival, stored, overwritten } = await begun({ list: [], n: 0 });
      await rival((session) => Object.assign(session, { list: ["theirs"], n: 1 }));
      listOf(visit, "list").push("mine");
      await visit.session.update((session) => Object.assign(session, { n: Number(Reflect.get(session, "n")) + 1 }));
      await visit.end();
      assert.deepEqual(await stored(), { list: ["mine"], n: 2 });
      assert.deepEqual(overwritten(), [[held.handle, "list"]]);
    });

    const merges: [string, (visit: TestRequest) => Promise<unknown>][] = [
      [
        "save()",
        (visit) => {
          Object.assign(visit.session, { n: 2 });
          return visit.session.save();
        },
      ],
      ["update()", (visit) => visit.session.update((session) => Object.assign(session, { n: 2 }))],
      [
        "update() of the same list",
        (visit) => visit.session.update((session) => (Reflect.get(session, "cart") ?? assert.fail()).push("updated")),
      ],
    ];
    for (const [name, merge] of merges) {
      test(`what is done to an object after ${name} has merged is kept, and what that overwrites is told`, async () => {
        const { visit, held, rival, stored, overwritten } = await begun({ cart: ["a"], n: 1 });
        const cart = listOf(visit, "cart");
        await rival((session) => Object.assign(session, { cart: ["a", "theirs"] }));
        await merge(visit);
        const isSame = name.includes("same");
        assert.deepEqual(Reflect.get(visit.session, "cart"), ["a", "theirs", ...(isSame ? ["updated"] : [])]);
        assert.deepEqual(overwritten(), []);
        cart.push("mine");
        await visit.end();
        assert.deepEqual(Object(await stored()).cart, ["a", ...(isSame ? ["updated"] : []), "mine"]);
        assert.deepEqual(overwritten(), [[held.handle, "cart"]]);
        await visit.end();
        assert.equal(overwritten().length, 1, "once");
      });
    }

    test("objects held over several merges, and nested ones, are kept, too", async () => {
      const { visit, rival, stored, overwritten } = await begun({ user: { prefs: { dark: false } }, n: 0 });
      const { prefs } = Object(Reflect.get(visit.session, "user"));
      for (const n of [1, 2]) {
        await rival((session) => Object.assign(session, { user: { prefs: { dark: false, n } } }));
        Object.assign(visit.session, { n });
        await visit.session.save();
        void Reflect.get(visit.session, "user");
      }
      prefs.dark = true;
      await visit.end();
      assert.deepEqual(await stored(), { user: { prefs: { dark: true } }, n: 2 });
      assert.equal(overwritten().length, 1);
    });

    test("what was changed on both objects is told, and the session's own is kept", async () => {
      const { visit, rival, stored, overwritten, held } = await begun({ cart: ["a"], n: 1 });
      const cart = listOf(visit, "cart");
      await rival((session) => Object.assign(session, { cart: ["a", "theirs"] }));
      Object.assign(visit.session, { n: 2 });
      await visit.session.save();
      cart.push("old");
      listOf(visit, "cart").push("new");
      await visit.end();
      assert.deepEqual(await stored(), { cart: ["a", "theirs", "new"], n: 2 });
      assert.deepEqual(overwritten(), [[held.handle, "cart"]]);
    });

    test("an object that the application has replaced or deleted itself does not come back", async () => {
      for (const replace of [true, false]) {
        const { visit, rival, stored, overwritten } = await begun({ cart: ["a"], n: 1 });
        const cart = listOf(visit, "cart");
        await rival((session) => Object.assign(session, { cart: ["a", "theirs"] }));
        Object.assign(visit.session, { n: 2 });
        await visit.session.save();
        if (replace) Object.assign(visit.session, { cart: [] });
        else Reflect.deleteProperty(visit.session, "cart");
        cart.push("old");
        await visit.end();
        assert.deepEqual(await stored(), { ...(replace && { cart: [] }), n: 2 });
        assert.deepEqual(overwritten(), []);
      }
    });

    test("a held object that nobody changes costs nothing and tells nothing", async () => {
      const { visit, held, rival, store, overwritten } = await begun({ cart: ["a"], n: 1 });
      void listOf(visit, "cart");
      await rival((session) => Object.assign(session, { cart: ["a", "theirs"] }));
      Object.assign(visit.session, { n: 2 });
      await visit.session.save();
      const before = await store.load(held.handle);
      await visit.end();
      assert.deepEqual(await store.load(held.handle), before);
      assert.deepEqual(overwritten(), []);
    });
  });
}
