import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine } from "../support/contexts.ts";
import { everyStore } from "../support/every-store.ts";

for (const { name, skip, open } of everyStore()) {
  describe(`sessions by the link of their login, over ${name}`, { skip }, () => {
    test("are listed, counted and revoked, whoever their users are", async (t) => {
      const clock = new ManualClock();
      const { admin, request, told, backend } = engine({ clock, store: open(clock) });
      t.after(() => backend.close());
      // Tests share a database's table, so a user and a link belong to one store.
      const own = (text: string) => `${text} of ${name}`;
      const login = async (userId: string, link?: string) => {
        const visit = await request();
        await visit.session.login(own(userId), { link });
        clock.advance(1);
        return visit.end();
      };
      const long = own("").padEnd(255, "x");
      const [first, second] = [await login("ada", own("sid-1")), await login("bob", own("sid-1"))];
      const [third, fourth] = [await login("ada", own("sid-2")), await login("ada", long)];
      const fifth = await login("ada");
      const handles = async (of: string | { link: string }) => (await admin.list(of)).map(({ handle }) => handle);
      assert.deepEqual(await handles({ link: own("sid-1") }), [second?.handle, first?.handle]);
      assert.deepEqual(
        (await admin.list({ link: own("sid-1") })).map(({ userId, link }) => [userId, link]),
        [
          [own("bob"), own("sid-1")],
          [own("ada"), own("sid-1")],
        ],
      );
      assert.deepEqual(await handles({ link: long }), [fourth?.handle]);
      assert.deepEqual(
        await handles(own("ada")),
        [fifth, fourth, third, first].map((one) => one?.handle),
      );
      assert.equal(await admin.count({ link: own("sid-1") }), 2);
      assert.equal(await admin.count({ link: own("none") }), 0);

      const visit = await request(first);
      await visit.session.regenerate({ keep: true });
      const renamed = await visit.end();
      assert.deepEqual(new Set(await handles({ link: own("sid-1") })), new Set([second?.handle, renamed?.handle]));

      assert.equal(await admin.revokeAll({ link: own("sid-1") }, { except: second?.handle ?? "" }), 1);
      assert.deepEqual(told.at(-1), { event: "revoke", link: own("sid-1"), except: second?.handle, count: 1 });
      const isOpen = async (...all: (typeof first)[]) =>
        Promise.all(all.map(async (one) => (await request(one)).wasOpened));
      assert.deepEqual(await isOpen(renamed, second, third, fourth, fifth), [false, true, true, true, true]);
      assert.equal(await admin.revokeAll({ link: own("sid-1") }), 1);
      assert.equal(await admin.revokeAll({ link: own("sid-1") }), 0);
      assert.equal(await admin.revokeAll({ link: long }), 1);
      assert.deepEqual(await isOpen(second, third, fourth, fifth), [false, true, false, true]);
      await admin.revokeAll(own("ada"));
    });
  });
}

test("a link that is none is refused, and never means everybody", async () => {
  const { admin } = engine();
  for (const link of ["", undefined, null, 5, "x".repeat(256), "\udfff"]) {
    for (const method of ["list", "count", "revokeAll"] as const) {
      await assert.rejects(async () => Reflect.apply(admin[method], admin, [{ link }]), {
        name: "TypeError",
        message: new RegExp(`^${method}\\(\\{ link \\}\\)`),
      });
    }
  }
});

test("a login that is not stored yet is among those of its link", async () => {
  const { admin, request } = engine();
  const visit = await request();
  await visit.session.login("ada", { link: "sid-1" });
  assert.equal(await admin.count({ link: "sid-1" }), 1);
  assert.equal(await admin.revokeAll({ link: "sid-1" }), 1);
  assert.equal((await request(await visit.end())).wasOpened, false);
});
