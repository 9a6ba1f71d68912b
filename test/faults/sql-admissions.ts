import { deepEqual, equal, match, ok } from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";
import type { Admission, IndexedStore } from "../../src/contract/store.ts";
import { failureOf } from "../stores/sql-checks.ts";
import { tableName } from "../support/servers/private-process.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { ALL, admit, beforeLogin, eachStep, loginOf, NOTHING, storedOf } from "./admissions.ts";
import type { NetworkSubject } from "./sql-network.ts";

/** Everything that a connection sends is answered by a reset. */
const DOWN = { kind: "reset", share: 1, afterBytes: 0 } as const;
/** A deadline that a busy machine doesn't miss. A server gives up the wait for a lock before. */
const PATIENT_MS = 20_000;

/** Logins within a limit, a transaction of several statements, over a network that fails at each of them. */
export function admissionFaults(subject: NetworkSubject, steps: number): void {
  const table = tableName();
  const proxies: FaultProxy[] = [];
  const stores: IndexedStore[] = [];

  /** A store with one connection, through a proxy; and one that reaches the server directly. */
  async function start(timeoutMs = PATIENT_MS) {
    const proxy = await FaultProxy.start(subject.port);
    proxies.push(proxy);
    const store = subject.open(proxy.port, { table, timeoutMs, maxConnections: 1 });
    const direct = subject.open(subject.port, { table, timeoutMs: PATIENT_MS, maxConnections: 2 });
    stores.push(store, direct);
    await direct.load("creates the table");
    return { proxy, store, direct };
  }

  /** Connects, and prepares the statements: what follows takes one round trip for each. */
  async function warm(store: IndexedStore, userId: string): Promise<void> {
    equal((await admit(store, await beforeLogin(store, userId))).result, "ok");
    equal((await admit(store, loginOf(userId, "another"))).result, "ok");
  }

  afterEach(async () => {
    for (const proxy of proxies) proxy.fault = { kind: "pass" };
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  });
  after(async () => {
    if (subject.skip === undefined) await subject.dropTables(table);
  });

  describe(`${subject.name}: a login within a limit, over a bad network`, { skip: subject.skip }, () => {
    for (const from of ["client", "server"] as const) {
      const what = from === "client" ? "statement" : "reply";

      test(`each ${what} lost in turn: the login is done once, by the second try`, async () => {
        const { proxy, store, direct } = await start();
        const found = await eachStep(proxy, { from, next: { kind: "pass" } }, async (step, meanwhile) => {
          const userId = `once ${from} ${step}`;
          await warm(store, `warm ${userId}`);
          const admission = await beforeLogin(direct, userId);
          const result = await meanwhile(() => admit(store, admission));
          // The second try doesn't know what a first one revoked that was committed.
          const wasCommitted = from === "server" && step === steps;
          const revoked = wasCommitted ? [] : [`${userId}.old0`, `${userId}.old1`];
          deepEqual(result, { result: "ok", revoked });
          deepEqual(await storedOf(direct, admission), ALL);
          deepEqual(await admit(store, admission), { result: "ok", revoked: [] });
          equal(await direct.count({ userId }), 2);
        });
        equal(found, steps);
      });

      test(`each ${what} lost in turn, and the second try too: all or nothing, and no lock stays`, async () => {
        const { proxy, store, direct } = await start();
        const found = await eachStep(proxy, { from, next: DOWN }, async (step, meanwhile) => {
          const userId = `down ${from} ${step}`;
          await warm(store, `warm ${userId}`);
          const admission = await beforeLogin(direct, userId);
          if (step > steps) return void (await meanwhile(() => admit(store, admission)));
          equal((await failureOf(meanwhile(() => admit(store, admission)))).code, "STORE_UNAVAILABLE");
          const wasCommitted = from === "server" && step === steps;
          deepEqual(await storedOf(direct, admission), wasCommitted ? ALL : NOTHING);
          // Over the store's only connection, and then by another process.
          equal((await admit(store, admission)).result, "ok");
          deepEqual(await storedOf(direct, admission), ALL);
          deepEqual(await admit(direct, loginOf(userId, "next")), { result: "ok", revoked: [`${userId}.old2`] });
          equal(await store.count({ userId }), 2);
        });
        equal(found, steps);
      });
    }

    test("each reply lost in turn: who had room for one session is not refused it", async () => {
      const { proxy, store, direct } = await start();
      const found = await eachStep(proxy, { from: "server", next: { kind: "pass" } }, async (step, meanwhile) => {
        const userId = `room ${step}`;
        await warm(store, `warm ${userId}`);
        const admission = loginOf(userId, "only", { limit: 1, exceed: "refuse" });
        deepEqual(await meanwhile(() => admit(store, admission)), { result: "ok", revoked: [] });
        const { handle, ...record } = admission.session;
        deepEqual(await direct.list({ userId }), { sessions: [{ handle, ...record }] });
        deepEqual(await admit(store, admission), { result: "ok", revoked: [] });
        const another = loginOf(userId, "another", { limit: 1, exceed: "refuse" });
        deepEqual(await admit(direct, another), { result: "limit" });
      });
      ok(found >= 4, "begin, look, insert, commit");
    });

    test("each reply lost in turn: who has no room is refused, and nothing changes", async () => {
      const { proxy, store, direct } = await start();
      const found = await eachStep(proxy, { from: "server", next: { kind: "pass" } }, async (step, meanwhile) => {
        const userId = `full ${step}`;
        await warm(store, `warm ${userId}`);
        const admission: Admission = { ...(await beforeLogin(direct, userId)), exceed: "refuse" };
        deepEqual(await meanwhile(() => admit(store, admission)), { result: "limit" });
        deepEqual(await storedOf(direct, admission), NOTHING);
        equal((await admit(direct, loginOf(userId, "revoking"))).result, "ok");
      });
      ok(found >= 3, "begin, look, roll back");
    });

    test("a client's machine that vanishes in a transaction locks its user out for a short time only", async (t) => {
      const [version] = await subject.query("SELECT version() AS found");
      // MySQL has no limit for idle transactions.
      if (!/MariaDB|PostgreSQL/.test(String(version?.["found"]))) return t.skip("MySQL");
      const { proxy, store, direct } = await start(1_000);
      await eventuallyWarm(store);
      const admission = await beforeLogin(direct, "vanished");
      proxy.fault = { kind: "cut", from: "server", roundTrip: proxy.roundTrips + 3, next: { kind: "drop" } };
      match((await failureOf(admit(store, admission))).code, /^STORE_(TIMEOUT|UNAVAILABLE)$/);
      deepEqual(await storedOf(direct, admission), NOTHING);
      deepEqual(await admit(direct, loginOf("vanished", "next")), {
        result: "ok",
        revoked: ["vanished.old0", "vanished.old1"],
      });
    });

    async function eventuallyWarm(store: IndexedStore): Promise<void> {
      for (let tries = 0; ; tries++) {
        try {
          return await warm(store, `warm vanished ${tries}`);
        } catch (error) {
          // A busy machine may miss this short deadline.
          if (tries === 20) throw error;
        }
      }
    }
  });
}
