import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MemoryStore } from "../../src/index.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { type Client, tokenOf } from "../support/client.ts";
import { PATIENT, startSite } from "../support/express-site.ts";
import { startProcesses, temporaryFolder } from "./processes.ts";
import { workload } from "./workload.ts";

/** What parallel requests leave of one session: everything. */

type Clients = readonly Pick<Client, "send">[];

const settings: Record<string, (t: TestContext) => Promise<Clients>> = {
  memory: async (t) => [await startSite(t, { store: new MemoryStore(), storeTimeout: PATIENT }, workload)],
  "an asynchronous memory": async (t) => [
    await startSite(t, { store: asynchronous(new MemoryStore()), storeTimeout: PATIENT }, workload),
  ],
  sqlite: async (t) => [await startSite(t, { store: sqlite(t), storeTimeout: PATIENT }, workload)],
  "an asynchronous sqlite": async (t) => [
    await startSite(t, { store: asynchronous(sqlite(t)), storeTimeout: PATIENT }, workload),
  ],
  "two processes on one sqlite file": (t) => startProcesses(t, 2),
};

const PARALLEL = 64;
const names = Array.from({ length: PARALLEL }, (_, i) => `p${i}`);

for (const [name, begin] of Object.entries(settings)) {
  test(`${PARALLEL} parallel requests on ${name}`, async (t) => {
    const clients = await begin(t);

    await t.test("each sets another property: all are there", async () => {
      const token = await newSession(clients);
      await parallel(clients, token, names, (property) => `/set?name=${property}`);
      assert.deepEqual(Object.keys(await look(clients, token)).sort(), ["begun", ...names].sort());
    });

    await t.test("each changes something inside another property: all changes are there", async () => {
      const token = await newSession(clients, names);
      await parallel(clients, token, names, (property) => `/push?name=${property}`);
      const data = await look(clients, token);
      for (const property of names) assert.deepEqual(data[property], { list: ["pushed"] }, property);
    });

    await t.test("each leaves a message: all are shown, once", async () => {
      const token = await newSession(clients);
      await parallel(clients, token, names, (message) => `/flash?name=${message}`);
      const shown = (await clients[0]?.send("/messages", { token }))?.json()["messages"];
      assert.ok(Array.isArray(shown));
      assert.deepEqual(shown.sort(), names.toSorted());
      for (const client of clients)
        assert.deepEqual((await client.send("/messages", { token })).json(), { messages: [] });
    });

    await t.test("half of them delete a property and half of them set one: both are done", async () => {
      const there = names.filter((_, i) => i % 2 === 0);
      const token = await newSession(clients, there);
      await parallel(
        clients,
        token,
        names,
        (property) => `/${there.includes(property) ? "delete" : "set"}?name=${property}`,
      );
      assert.deepEqual(
        Object.keys(await look(clients, token)).sort(),
        names.filter((property) => !there.includes(property)).sort(),
      );
    });

    await t.test("each counts one up with update(): all are counted", async () => {
      const token = await newSession(clients);
      await parallel(clients, token, names, () => "/count?");
      assert.equal((await look(clients, token))["n"], PARALLEL);
    });
  });
}

test("a thousand updates over three processes on one sqlite file give a thousand", async (t) => {
  const clients = await startProcesses(t, 3);
  const shares = [334, 333, 333];

  await t.test("all at once", async () => {
    const token = await newSession(clients);
    const replies = shares.flatMap((share, i) =>
      Array.from({ length: share }, () => clients[i]?.send(`/count?together=${share}`, { method: "POST", token })),
    );
    for (const reply of await Promise.all(replies)) assert.equal(reply?.status, 200, reply?.text);
    assert.equal((await look(clients, token))["n"], 1_000);
  });

  await t.test("one after the other in each process", async () => {
    const token = await newSession(clients);
    await Promise.all(
      shares.map(async (share, i) => {
        for (let done = 0; done < share; done += 1) {
          const reply = await clients[i]?.send("/count", { method: "POST", token });
          assert.equal(reply?.status, 200, reply?.text);
        }
      }),
    );
    assert.equal((await look(clients, token))["n"], 1_000);
  });
});

function sqlite(t: TestContext): SqliteStore {
  return new SqliteStore(join(temporaryFolder(t), "sessions.db"));
}

async function newSession([client]: Clients, properties: readonly string[] = ["begun"]): Promise<string> {
  assert.ok(client);
  return tokenOf(await client.send(`/begin?names=${properties.join(",")}`, { method: "POST" }));
}

/** One request for each name, spread over the processes; in each of these all have read the session before one goes on. */
async function parallel(
  clients: Clients,
  token: string,
  of: readonly string[],
  path: (name: string) => string,
): Promise<void> {
  const together = of.length / clients.length;
  const replies = of.map((name, i) =>
    clients[i % clients.length]?.send(`${path(name)}&together=${together}`, { method: "POST", token }),
  );
  for (const reply of await Promise.all(replies)) {
    assert.equal(reply?.status, 200, reply?.text);
    assert.equal(reply.cookie, "kept");
  }
}

/** The same from every process. */
async function look(clients: Clients, token: string): Promise<Record<string, unknown>> {
  const [first, ...others] = await Promise.all(
    clients.map(async (client) => (await client.send("/look", { token })).json()),
  );
  assert.ok(first);
  for (const other of others) assert.deepEqual(other, first);
  return first;
}
