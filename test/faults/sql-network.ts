import { deepEqual, equal, ok } from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";
import { inspect } from "node:util";
import { SojournError } from "../../src/contract/errors.ts";
import type { IndexedStore, SessionRecord } from "../../src/contract/store.ts";
import { type Clock, systemClock } from "../../src/contract/time.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { failureOf } from "../stores/sql-checks.ts";
import { eventually, tableName } from "../support/servers/private-process.ts";
import { blackhole, FaultProxy } from "../support/servers/proxy.ts";
import { recordAt } from "../support/sql-records.ts";

/** A store over SQL, and the server that it reaches through a network that misbehaves. */
export interface NetworkSubject {
  name: string;
  port: number;
  skip: string | undefined;
  /** A store with a pool of its own, through a port of 127.0.0.1. */
  open(
    port: number,
    options: { table: string; timeoutMs: number; maxConnections?: number; clock?: Clock },
  ): IndexedStore;
  /** A store with an application's pool, and how the application uses so many of its connections at once. */
  share(port: number, options: { table: string; timeoutMs: number; maxConnections: number; clock: Clock }): SharedPool;
  query(statement: string): Promise<Record<string, unknown>[]>;
  dropTables(...tables: string[]): Promise<void>;
}

interface SharedPool {
  store: IndexedStore;
  use(connections: number): Promise<unknown>;
  end(): Promise<void>;
}

/** A deadline that a busy machine doesn't miss. */
const PATIENT_MS = 20_000;
/** What no store may take for an answer. */
const UNKNOWN = /^STORE_(UNAVAILABLE|TIMEOUT)$/;

/**
 * Without TLS nothing notices a letter of a text that became another. What a store must not hand out is what it never holds: no session where there is one, or
 * a time that is no number, which never comes.
 */
function isOfItsTypes(found: SessionRecord | undefined): void {
  ok(found !== undefined, "nobody ended it");
  const { version, createdAt, touchedAt, expiresAt, payload, secretHash, userId } = found;
  for (const number of [version, createdAt, touchedAt, expiresAt]) ok(Number.isSafeInteger(number), inspect(found));
  for (const text of [payload, secretHash, userId]) equal(typeof text, "string", inspect(found));
}

/** Faults F3 to F10: whatever the network does, a call ends, and says no more than what is so. */
export function networkFaults(subject: NetworkSubject): void {
  const table = tableName();
  const now = Date.now();
  const record = recordAt(now);
  const proxies: FaultProxy[] = [];
  const stores: IndexedStore[] = [];

  async function start(options: { timeoutMs?: number; maxConnections?: number; seed?: number; clock?: Clock } = {}) {
    const { timeoutMs = 400, maxConnections = 2, seed = 1, clock = systemClock } = options;
    const proxy = await FaultProxy.start(subject.port, { seed });
    proxies.push(proxy);
    const store = subject.open(proxy.port, { table, timeoutMs, maxConnections, clock });
    stores.push(store);
    await eventually("the first call", async () => {
      await store.delete("handle");
    });
    return { proxy, store };
  }

  /** Its question is on its way when its deadline comes. */
  async function waitsInVain(store: IndexedStore, proxy: FaultProxy, clock: ManualClock): Promise<void> {
    const { roundTrips } = proxy;
    const loading = failureOf(store.load("handle"));
    await eventually("the question", async () => equal(proxy.roundTrips, roundTrips + 1));
    clock.advance(PATIENT_MS);
    equal((await loading).code, "STORE_TIMEOUT");
  }

  async function version(handle: string): Promise<number | undefined> {
    const [row] = await subject.query(`SELECT version AS found FROM ${table} WHERE handle = '${handle}'`);
    return row === undefined ? undefined : Number(row["found"]);
  }

  afterEach(async () => {
    for (const proxy of proxies) proxy.fault = { kind: "pass" };
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  });
  after(async () => {
    if (subject.skip === undefined) await subject.dropTables(table);
  });

  describe(`${subject.name} over a bad network`, { skip: subject.skip }, () => {
    for (const fault of [
      { kind: "stall", afterBytes: 0 },
      { kind: "drop" },
      { kind: "drop", from: "client" },
      { kind: "drop", from: "server" },
      { kind: "delay", ms: 1_000 },
      { kind: "bandwidth", bytesPerSecond: 150 },
    ] as const) {
      test(`${inspect(fault)}: a call ends by its deadline, its connection is given up, the next one is fresh`, async () => {
        const { proxy, store } = await start();
        await eventually("the session", async () => void (await store.create("handle", record)));
        const opened = proxy.opened;
        proxy.fault = fault;
        equal((await failureOf(store.load("handle"))).code, "STORE_TIMEOUT");
        proxy.fault = { kind: "pass" };
        deepEqual(await eventually("recovery", async () => store.load("handle")), record);
        ok(proxy.opened > opened);
      });
    }

    test("one silent connection speaks for all that were idle: only one caller waits in vain", async () => {
      const clock = new ManualClock(now);
      const { proxy, store } = await start({ timeoutMs: PATIENT_MS, maxConnections: 10, clock });
      await eventually("the session", async () => void (await store.create("handle", record)));
      proxy.fault = { kind: "delay", ms: 20 };
      await Promise.all(Array.from({ length: 40 }, async () => store.load("handle")));
      proxy.fault = { kind: "pass" };
      equal(proxy.opened, 10);
      proxy.silenceAll();
      await waitsInVain(store, proxy, clock);
      for (let click = 0; click < 10; click++) deepEqual(await store.load("handle"), record);
      equal(proxy.opened, 11);
    });

    test("so it does in a pool that the application fills, and what it opens since is used", async () => {
      const { proxy, store: other } = await start({ timeoutMs: PATIENT_MS });
      await other.create("handle", record);
      const clock = new ManualClock(now);
      const shared = subject.share(proxy.port, { table, timeoutMs: PATIENT_MS, maxConnections: 10, clock });
      stores.push(shared.store);
      deepEqual(await shared.store.load("handle"), record);
      await shared.use(10);
      proxy.silenceAll();
      await waitsInVain(shared.store, proxy, clock);
      const { opened } = proxy;
      for (let click = 0; click < 10; click++) deepEqual(await shared.store.load("handle"), record);
      await shared.use(10);
      await Promise.all(Array.from({ length: 10 }, async () => shared.store.load("handle")));
      equal(proxy.opened, opened + 10);
      await shared.store.close();
      await shared.end();
    });

    test("a slow network is only slow", async () => {
      const { proxy, store } = await start({ timeoutMs: 10_000 });
      proxy.fault = { kind: "delay", ms: 20 };
      equal(await store.create("handle", record), true);
      equal(await store.update("handle", { ...record, version: 2 }, 1), "ok");
      deepEqual(await store.load("handle"), { ...record, version: 2 });
    });

    test("a connection that was found dead costs a read nothing", async () => {
      const { proxy, store } = await start({ timeoutMs: 10_000 });
      await eventually("the session", async () => void (await store.create("handle", record)));
      for (let round = 0; round < 5; round++) {
        proxy.fault = { kind: "stall", afterBytes: 0 };
        const loading = store.load("handle");
        const listing = store.list({ userId: "user" });
        await new Promise(setImmediate);
        proxy.fault = { kind: "pass" };
        proxy.resetAll();
        deepEqual(await loading, record);
        deepEqual(await listing, { sessions: [{ handle: "handle", ...record }] });
      }
    });

    test("a write whose request was lost is done once, by the second try", async () => {
      const { proxy, store } = await start({ timeoutMs: 10_000 });
      await eventually("the session", async () => void (await store.create("handle", record)));
      const writes: Record<string, () => unknown> = {
        ok: () => store.update("handle", { ...record, version: 2 }, 1),
        true: () => store.touch("handle", now + 1, now + 60_000),
        "true ": () => store.delete("handle"),
      };
      for (const [expected, write] of Object.entries(writes)) {
        proxy.fault = { kind: "stall", afterBytes: 0 };
        const writing = write();
        await new Promise(setImmediate);
        proxy.fault = { kind: "pass" };
        proxy.resetAll();
        equal(String(await writing), expected.trim());
      }
      equal(await version("handle"), undefined);
    });

    /** What a write says whose reply is lost. `meanwhile` is called once it is done. */
    async function lostReply(
      { proxy, store }: Awaited<ReturnType<typeof start>>,
      write: () => unknown,
      done: number | undefined,
      meanwhile: () => unknown = () => undefined,
    ): Promise<string> {
      // Statements are prepared by now, so that the reply that is lost is the write's own.
      await store.create("other", record);
      await store.update("other", { ...record, version: 2 }, 1);
      await store.update("other", { ...record, version: 3, expiresAt: 0 }, 2);
      await store.create("other", record);
      await store.replace?.("other", 1, "another", record);
      await store.delete("another");
      proxy.fault = { kind: "drop", from: "server" };
      const writing = Promise.resolve(write()).then(String, (error: unknown) => {
        ok(error instanceof SojournError, inspect(error));
        return error.code;
      });
      await eventually("the write", async () => equal(await version("handle"), done));
      await meanwhile();
      proxy.fault = { kind: "pass" };
      proxy.resetAll();
      return writing;
    }

    test("a write whose reply was lost knows its own work again, and does it once", async () => {
      const place = await start({ timeoutMs: 10_000, maxConnections: 1 });
      const { store } = place;
      equal(await lostReply(place, () => store.create("handle", record), 1), "true");
      equal(await lostReply(place, () => store.update("handle", { ...record, version: 2 }, 1), 2), "ok");
      deepEqual(await store.load("handle"), { ...record, version: 2 });
      // A replacement knows its own work by the new secret's hash.
      const fresh = { ...record, secretHash: "fresh" };
      equal(await lostReply(place, () => store.replace?.("handle", 2, "new", fresh), undefined), "ok");
      equal((await store.load("new"))?.secretHash, "fresh");
      // Done twice, a delete is still done; that the session was there is all that gets lost.
      await eventually("the session", async () => void (await store.create("handle", record)));
      equal(await lostReply(place, () => store.delete("handle"), undefined), "false");
    });

    test("a write whose reply was lost and that can't be known again is called neither done nor a conflict", async () => {
      const place = await start({ timeoutMs: 10_000, maxConnections: 1 });
      const { store } = place;
      const other = subject.open(subject.port, { table, timeoutMs: 10_000 });
      stores.push(other);
      await eventually("the session", async () => void (await store.create("handle", record)));
      const followed = () => other.update("handle", { ...record, version: 3 }, 2);
      equal(
        await lostReply(place, () => store.update("handle", { ...record, version: 2 }, 1), 2, followed),
        "STORE_UNAVAILABLE",
      );
      // It was not done; somebody else has written the same, as two requests do that count from 5 to 6.
      place.proxy.fault = { kind: "stall", afterBytes: 0 };
      const writing = failureOf(store.update("handle", { ...record, version: 4 }, 3));
      await new Promise(setImmediate);
      equal(await other.update("handle", { ...record, version: 4 }, 3), "ok");
      place.proxy.fault = { kind: "pass" };
      place.proxy.resetAll();
      equal((await writing).code, "STORE_UNAVAILABLE");
      const end = () => store.update("handle", { ...record, version: 5, expiresAt: 0 }, 4);
      equal(await lostReply(place, end, undefined), "STORE_UNAVAILABLE");
    });

    test("resets, one in ten: what is acknowledged is so, and nothing is done twice", async () => {
      const { proxy, store } = await start({ timeoutMs: 10_000, seed: 7 });
      await eventually("the session", async () => void (await store.create("handle", record)));
      proxy.fault = { kind: "reset", share: 0.1, afterBytes: 0 };
      let acknowledged = 0;
      let unknown = 0;
      for (let round = 0; round < 60; round++) {
        try {
          const current = await store.load("handle");
          ok(current !== undefined, "nobody ended it");
          deepEqual(current, { ...record, version: current.version }, "nothing else was ever written");
          const done = current.version - 1;
          ok(
            done >= acknowledged && done <= acknowledged + unknown,
            `${acknowledged} <= ${done}, and ${unknown} unknown`,
          );
          const next = { ...current, version: current.version + 1 };
          equal(await store.update("handle", next, current.version), "ok");
          acknowledged++;
        } catch (error) {
          ok(error instanceof SojournError && UNKNOWN.test(error.code), inspect(error));
          unknown++;
        }
      }
      const done = ((await version("handle")) ?? 0) - 1;
      ok(
        done >= acknowledged && done <= acknowledged + unknown,
        `${acknowledged} <= ${done} <= ${acknowledged + unknown}`,
      );
      ok(acknowledged > unknown, `one retry hides most resets: ${acknowledged} done, ${unknown} unknown`);
    });

    test("bits that turn over: a driver that notices fails, the process goes on", async () => {
      // Of other seeds, node-postgres throws out of its socket's listener, where no store can catch it:
      // a bit of a value's length has turned over.
      const { proxy, store } = await start({ seed: 4 });
      const large = { ...record, payload: "x".repeat(2_000) };
      await store.create("handle", large);
      proxy.fault = { kind: "corrupt" };
      for (let round = 0; round < 40; round++) {
        try {
          isOfItsTypes(await store.load("handle"));
        } catch (error) {
          ok(error instanceof SojournError && error.code.startsWith("STORE_"), inspect(error));
        }
      }
      proxy.fault = { kind: "pass" };
      proxy.resetAll();
      deepEqual(await eventually("recovery", async () => store.load("handle")), large);
    });

    test("a full pool fails at the deadline, a crowd at once, and nothing stays behind", async () => {
      const { proxy, store } = await start({ maxConnections: 1 });
      await eventually("the session", async () => void (await store.create("handle", record)));
      proxy.fault = { kind: "stall", afterBytes: 0 };
      const codes = await Promise.all(
        Array.from({ length: 2_100 }, async () => (await failureOf(store.load("handle"))).message),
      );
      const atOnce = codes.filter((message) => message.startsWith("2000 calls are waiting")).length;
      equal(atOnce, 100);
      proxy.fault = { kind: "pass" };
      deepEqual(await eventually("recovery", async () => store.load("handle")), record);
    });

    test("a server that nobody can connect to fails by the deadline, and close does not wait for it", async () => {
      const hole = await blackhole();
      const store = subject.open(hole.port, { table, timeoutMs: 300 });
      const errors = await Promise.all([failureOf(store.load("handle")), failureOf(store.load("other"))]);
      for (const { code } of errors) ok(UNKNOWN.test(code), code);
      await store.close();
      await hole.close();
    });

    test("close while the server is silent waits for the deadline of what is under way, and no longer", async () => {
      const { proxy, store } = await start({ timeoutMs: 300 });
      proxy.fault = { kind: "drop" };
      const loading = failureOf(store.load("handle"));
      await store.close();
      equal((await loading).code, "STORE_TIMEOUT");
    });

    test("close under load loses nothing that was asked for", async () => {
      const { store } = await start({ timeoutMs: 10_000 });
      const creating = Array.from({ length: 60 }, (_, n) => store.create(`load${n}`, record));
      await store.close();
      deepEqual(new Set(await Promise.all(creating)), new Set([true]));
      const [row] = await subject.query(`SELECT count(*) AS found FROM ${table} WHERE handle LIKE 'load%'`);
      equal(Number(row?.["found"]), 60);
    });
  });
}
