import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, describe, test } from "node:test";
import { inspect, promisify } from "node:util";
import { SojournError } from "../../src/contract/errors.ts";
import type { IndexedStore } from "../../src/contract/store.ts";
import { type Clock, systemClock } from "../../src/contract/time.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { tableName } from "../support/servers/private-process.ts";
import { recordAt } from "../support/sql-records.ts";
import { acceptedNames, hostileValues, refusedNames } from "./sql-names.ts";

/** A store over SQL, and the server that it is tested on. */
export interface SqlSubject {
  className: string;
  /** The module that exports it, relative to `src/`. */
  module: string;
  /** The npm package that it loads for a URL. */
  client: string;
  url: string;
  skip: string | undefined;
  open(url: string, options?: SqlOptions): IndexedStore;
  query(...statements: string[]): Promise<Record<string, unknown>[]>;
  dropTables(...tables: string[]): Promise<void>;
}

interface SqlOptions {
  table?: string;
  schema?: string;
  createTable?: boolean;
  timeoutMs?: number;
  maxConnections?: number;
  clock?: Clock;
}

const run = promisify(execFile);

/** What every store over SQL must do beyond the conformance suite. */
export function sqlChecks(subject: SqlSubject): void {
  const { url, skip, className, query, dropTables } = subject;
  const clock = new ManualClock();
  const used: string[] = [];
  const newTable = (): string => {
    const table = tableName();
    used.push(table);
    return table;
  };
  const withStore = async (options: SqlOptions, work: (store: IndexedStore) => Promise<void>): Promise<void> => {
    // Patient: other tests are at work on the same machine.
    const store = subject.open(url, { clock, timeoutMs: 60_000, ...options });
    try {
      await work(store);
    } finally {
      await store.close();
    }
  };
  after(async () => {
    if (skip === undefined) await dropTables(...used);
  });

  test(`${className}: options that can't work are refused at once, and not repeated`, () => {
    for (const name of refusedNames) {
      for (const option of ["table", "schema"]) {
        throws(
          () => subject.open(url, { [option]: name }),
          (error) => error instanceof TypeError && error.message.includes(option) && !error.message.includes("DROP"),
        );
      }
    }
    for (const timeoutMs of [0, -1, 0.5, Number.NaN, 1e9]) throws(() => subject.open(url, { timeoutMs }), TypeError);
    for (const maxConnections of [0, 1.5, -1]) throws(() => subject.open(url, { maxConnections }), TypeError);
    const scheme = new URL(url).protocol;
    for (const wrong of ["", "localhost", "redis://user:s3cret@host/db", `${scheme}//user:s3cret@host:port/db`]) {
      throws(
        () => subject.open(wrong),
        (error) => error instanceof TypeError && !inspect(error).includes("s3cret"),
      );
    }
  });

  describe(className, { skip }, () => {
    test("takes reserved words for a table's name, and touches no other table", async () => {
      const schema = tableName();
      await query(`CREATE SCHEMA ${schema}`);
      try {
        for (const table of acceptedNames) {
          await withStore({ schema, table }, async (store) => {
            equal(await store.create("handle", recordAt(clock.now())), true, table);
            equal((await store.load("handle"))?.version, 1, table);
          });
        }
        const tables = await query(
          `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = '${schema}'`,
        );
        deepEqual(tables.map(({ name }) => name).toSorted(), acceptedNames.toSorted());
      } finally {
        await dropTables(...acceptedNames.map((table) => `${schema}.${table}`));
        await query(`DROP SCHEMA ${schema}`);
      }
    });

    test("binds every value", async () => {
      const [table, victims] = [newTable(), newTable()];
      await query(`CREATE TABLE ${victims} (a int)`);
      await withStore({ table }, async (store) => {
        for (const plain of hostileValues) {
          const value = plain.replace("victims", victims);
          const record = recordAt(clock.now(), { payload: value, userId: value, secretHash: value });
          equal(await store.create(value, record), true);
          deepEqual(await store.load(value), record);
          deepEqual(await store.list({ userId: value }), { sessions: [{ handle: value, ...record }] });
          equal(await store.count({ userId: value }), 1);
          equal(await store.touch(value, record.touchedAt, record.expiresAt), true);
          equal(await store.update(value, { ...record, version: 2 }, 1), "ok");
        }
        equal(await store.deleteAll({ userId: "%" }), 1);
        equal(await store.count(), hostileValues.length - 1);
      });
      deepEqual(await query(`SELECT a FROM ${victims}`), []);
    });

    test("what has no room is refused by name, before the server is asked", async () => {
      const store = subject.open(unreachable(url), { clock });
      const now = clock.now();
      await rejects(async () => store.create("x".repeat(256), recordAt(now)), /handle is longer than the 255 bytes/);
      await rejects(
        async () => store.create("x", recordAt(now, { userId: "é".repeat(513) })),
        /userId is longer than the 1024/,
      );
      await rejects(
        async () => store.update("x", recordAt(now, { secretHash: "x".repeat(256) }), 1),
        /secretHash is longer than/,
      );
      await store.close();
    });

    test("the longest names and users that are let through are kept whole", async () => {
      const longest = recordAt(clock.now(), { userId: "é".repeat(512), secretHash: "x".repeat(255) });
      const handle = "h".repeat(255);
      await withStore({ table: newTable() }, async (store) => {
        await store.create(handle, longest);
        deepEqual(await store.list({ userId: "é".repeat(512) }), { sessions: [{ handle, ...longest }] });
        equal(await store.count({ userId: "é".repeat(511) }), 0);
        equal(await store.load("h".repeat(256)), undefined);
      });
    });

    test("times between two milliseconds are kept as whole ones", async () => {
      const now = clock.now();
      await withStore({ table: newTable() }, async (store) => {
        await store.create("handle", recordAt(now, { expiresAt: now + 1_000.5 }));
        equal(await store.touch("handle", now + 0.7, now + 2_000.25), true);
        deepEqual(await store.load("handle"), recordAt(now, { expiresAt: now + 2_000 }));
      });
    });

    test("ten processes that start at once make one table", async () => {
      const table = newTable();
      const program = `
        const { ${className} } = await import(process.argv[1]);
        const store = new ${className}(process.argv[2], { table: process.argv[3], maxConnections: 1, timeoutMs: 30_000 });
        const now = Date.now();
        const record = { payload: "", version: 1, secretHash: "", userId: null, createdAt: now, touchedAt: now, expiresAt: now + 60_000 };
        console.log(await store.create(process.argv[4], record));
        await store.close();`;
      const results = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          run(process.execPath, ["--input-type=module", "-e", program, moduleOf(subject), url, table, `handle${n}`]),
        ),
      );
      deepEqual(new Set(results.map(({ stdout }) => stdout.trim())), new Set(["true"]));
      await withStore({ table, clock: systemClock }, async (store) => equal(await store.count(), 10));
    });

    test("another application's table is left alone", async () => {
      const table = newTable();
      await query(`CREATE TABLE ${table} (sid int, sess int)`);
      await withStore({ table }, async (store) => {
        await rejects(async () => store.load("handle"), {
          code: "STORE_UNAVAILABLE",
          message: /is not a table of sojourn/,
        });
      });
    });

    test("makes no table where it is told not to, and says what to do", async () => {
      const table = newTable();
      await withStore({ table, createTable: false }, async (store) => {
        await rejects(async () => store.load("handle"), { code: "STORE_UNAVAILABLE", message: /createTable is false/ });
        await withStore({ table }, async (other) => equal(await other.load("handle"), undefined));
        equal(await store.load("handle"), undefined);
      });
    });

    test("a table that is dropped is made again", async () => {
      const table = newTable();
      await withStore({ table }, async (store) => {
        await store.create("handle", recordAt(clock.now()));
        await dropTables(table);
        equal(await store.load("handle"), undefined);
        equal(await store.create("handle", recordAt(clock.now())), true);
      });
    });

    test("sweeps at once, a few at a time, remove everything that expired and nothing that lives", async () => {
      const table = newTable();
      const ticking = new ManualClock();
      const now = ticking.now();
      await withStore({ table, clock: ticking }, async (first) => {
        await withStore({ table, clock: ticking }, async (second) => {
          const record = recordAt(now, { expiresAt: now + 1_000 });
          await Promise.all(Array.from({ length: 900 }, (_, n) => first.create(`handle${n}`, record)));
          await Promise.all(
            Array.from({ length: 300 }, (_, n) => second.touch(`handle${n * 3}`, now + 1, now + 90_000)),
          );
          ticking.advance(1_000);
          const removed = await Promise.all([first.prune(), second.prune(), first.prune(), second.prune()]);
          let total = removed.reduce((sum, count) => sum + count, 0);
          for (let more = 1; more > 0; total += more) more = await first.prune();
          equal(total, 600);
          equal(await first.count(), 300);
        });
      });
    });

    test("a clock that is an hour ahead ends nothing for the others, unless it sweeps", async () => {
      const table = newTable();
      const ahead = new ManualClock(clock.now() + 3_600_000);
      const now = clock.now();
      await withStore({ table }, async (store) => {
        const record = recordAt(now, { expiresAt: now + 1_800_000 });
        await store.create("handle", record);
        await withStore({ table, clock: ahead }, async (skewed) => {
          equal(await skewed.load("handle"), undefined);
          equal(await skewed.touch("handle", ahead.now(), ahead.now() + 1_000), false);
          equal(await skewed.update("handle", { ...record, version: 2 }, 1), "gone");
          deepEqual(await store.load("handle"), record);
          // Ending a session is the safe side: it works whatever the clock says.
          equal(await skewed.delete("handle"), false);
          equal(await store.load("handle"), undefined);
          await store.create("other", record);
          equal(await skewed.deleteAll({ userId: "user" }), 0);
          equal(await store.load("other"), undefined);
        });
      });
    });

    test("no error and no view of a store holds a credential", async () => {
      const wrong = new URL(url);
      wrong.pathname = "/no_such_database";
      for (const place of [wrong.href, unreachable(url), unreachable(url).replace("127.0.0.1", "s3cret.invalid")]) {
        const withPassword = new URL(place);
        withPassword.password = "s3cr%65t";
        const store = subject.open(withPassword.href, { clock });
        const error = await failureOf(store.load("handle"));
        equal(error.code, "STORE_UNAVAILABLE");
        const text = inspect([error, store], { depth: Number.POSITIVE_INFINITY, showHidden: true });
        ok(!/s3cr(e|%65|%2565)t/.test(text), text);
        await store.close();
      }
    });

    test("a store that is closed finishes what is under way, and is closed for good", async () => {
      const table = newTable();
      const store = subject.open(url, { table, clock });
      const creating = store.create("handle", recordAt(clock.now()));
      await Promise.all([store.close(), store.close()]);
      equal(await creating, true);
      await rejects(async () => store.load("handle"), { code: "STORE_CLOSED" });
      await rejects(async () => store.prune(), { code: "STORE_CLOSED" });
    });

    test("without its package a URL says what to install; after close, a process ends", async () => {
      const program = `
        const { ${className} } = await import(process.argv[1]);
        const store = new ${className}(process.argv[2], { table: process.argv[3], timeoutMs: 60_000 });
        console.log(await store.load("handle").then(() => "loaded", (error) => error.name + ": " + error.message));
        await store.close();`;
      const without = `
        const { registerHooks } = await import("node:module");
        registerHooks({ resolve: (name, context, next) => {
          if (name === "${subject.client}") throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
          return next(name, context);
        } });`;
      const results = await Promise.all(
        [program, without + program].map((text) =>
          run(process.execPath, ["--input-type=module", "-e", text, moduleOf(subject), url, newTable()], {
            timeout: 20_000,
          }),
        ),
      );
      deepEqual(
        results.map(({ stdout }) => stdout.trim()),
        [
          "loaded",
          `SojournError: ${className} with a URL needs the package "${subject.client}": npm install ${subject.client}`,
        ],
      );
    });
  });
}

/** The error of a call that must fail, which is one of ours. */
export async function failureOf(work: unknown): Promise<SojournError> {
  try {
    await work;
  } catch (error) {
    ok(error instanceof SojournError, inspect(error));
    return error;
  }
  throw new Error("this should have failed");
}

function moduleOf({ module }: SqlSubject): string {
  return new URL(`../../src/${module}`, import.meta.url).href;
}

/** The same URL at a port where nobody listens. */
function unreachable(url: string): string {
  const place = new URL(url);
  place.host = "127.0.0.1:1";
  return place.href;
}

/** Sixteen logins of one user at once, of whom three may be in, from no session and from three. */
export async function keepsLimit(store: IndexedStore, now: number, what: string): Promise<void> {
  for (const exceed of ["refuse", "revoke-oldest"] as const) {
    const results = await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const record = recordAt(now, { userId: "admitted", secretHash: `${exceed}${n}` });
        return store.admit?.({ session: { ...record, handle: `${exceed}${n}` }, limit: 3, exceed });
      }),
    );
    const admitted = results.filter((result) => result?.result === "ok").length;
    equal(admitted, exceed === "refuse" ? 3 : 16, what);
    equal(await store.count({ userId: "admitted" }), 3, what);
  }
}
