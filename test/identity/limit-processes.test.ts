import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { startProcesses } from "../races/processes.ts";

const PROGRAM = join(import.meta.dirname, "limit-process.ts");

for (const exceed of ["revoke-oldest", "refuse"] as const) {
  test(`two processes that share a file log in twenty browsers at once, and three stay: ${exceed}`, async (t) => {
    const clients = await startProcesses(t, 2, PROGRAM, exceed);
    const [first] = clients;
    assert.ok(first !== undefined);
    const replies = await Promise.all(
      clients.flatMap((client) => Array.from({ length: 10 }, () => client.send("/login", { method: "POST" }))),
    );
    assert.equal((await first.send("/")).json()["count"], 3);
    const tokens = replies.flatMap(({ cookie }) => (typeof cookie === "string" ? [] : [cookie.token]));
    const opened = await Promise.all(tokens.map(async (token) => (await first.send("/", { token })).json()["userId"]));
    assert.equal(opened.filter((userId) => userId === "ada").length, 3);
    assert.equal(tokens.length, exceed === "refuse" ? 3 : 20);
    const refused = replies.filter(({ status }) => status === 409);
    assert.equal(refused.length, exceed === "refuse" ? 17 : 0);
    for (const reply of refused) assert.equal(reply.json()["code"], "TOO_MANY_SESSIONS");
  });
}
