import { deepEqual, ok } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/contract/time.ts";
import { MemoryStore } from "../../src/index.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { type Breakage, breakages, broken } from "./broken-stores.ts";
import { check } from "./checker.ts";
import { Clients } from "./clients.ts";
import type { History, Violation } from "./history.ts";
import { portOf, startSite } from "./site.ts";
import { censusOf } from "./soak.ts";

/** What clients see of a store with, or without, a mistake: a small soak within one process, where nothing else goes wrong. */
async function run(t: TestContext, breakage?: Breakage): Promise<{ history: History; violations: Violation[] }> {
  const memory = new MemoryStore();
  const distant = asynchronous(memory);
  const store = breakage === undefined ? distant : broken(distant, breakage);
  const sites = await Promise.all([startSite(store, systemClock), startSite(store, systemClock)]);
  const clients = new Clients({
    clients: 6,
    acts: 35,
    seed: 7,
    ports: () => sites.map(({ server }) => portOf(server)),
    turn: async () => undefined,
  });
  t.after(async () => {
    clients.close();
    for (const { server, sessions } of sites) {
      server.close();
      server.closeAllConnections();
      await sessions.close();
    }
  });
  await clients.run();
  deepEqual(await clients.look(60_000), []);
  const history = { operations: clients.operations, census: await censusOf(memory) };
  return { history, violations: check(history) };
}

test("a sound store: no violation, and everything was done", async (t) => {
  const { history, violations } = await run(t);
  deepEqual(violations, []);
  const done = new Set(history.operations.filter(({ outcome }) => outcome === "done").map(({ kind }) => kind));
  deepEqual([...done].sort(), ["append", "count", "login", "logout", "read", "revoke", "rotate"]);
  ok(history.census.length > 0);
});

// The others by hand: `npm run soak -- --broken reads-old`.
for (const name of ["last-write-wins", "resurrects", "forgets"] as const) {
  const invariant = breakages[name];
  test(`a store that ${name.replaceAll("-", " ")} is found out by invariant ${invariant}`, async (t) => {
    const { violations } = await run(t, name);
    ok(
      violations.some((violation) => violation.invariant === invariant),
      `found ${violations.map((violation) => violation.invariant)}`,
    );
  });
}
