import assert from "node:assert/strict";
import { test } from "node:test";
import { engine } from "../support/contexts.ts";

test("a login after its session has ended keeps what this request set, and nothing of the ended session", async () => {
  for (const isFound of [false, true]) {
    const { request, store } = engine();
    const first = await request();
    Object.assign(first.session, { old: 1, both: 1 });
    const held = await first.end();
    const late = await request(held);
    Object.assign(late.session, { both: 2, mine: 2 });
    const logout = await request(held);
    await logout.session.logout();
    await logout.end();
    if (isFound) await assert.rejects(late.session.save(), { code: "SESSION_GONE" });
    await late.session.login("alice");
    const next = await late.end();
    assert.deepEqual({ ...(await request(next)).session }, { both: 2, mine: 2 }, isFound ? "found" : "not yet found");
    assert.equal(await store.load(held?.handle ?? ""), undefined);
  }
});
