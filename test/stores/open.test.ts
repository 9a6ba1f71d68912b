import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { SojournError } from "../../src/contract/errors.ts";
import type { IndexedStore, SessionRecord } from "../../src/contract/store.ts";
import { type OpenStoreOptions, openStore } from "../../src/stores/open.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { dropMysqlTables, sharedMysql } from "../support/servers/mariadb.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { keyPrefix, keysOf, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const clock = new ManualClock();
const record: SessionRecord = {
  payload: "payload",
  version: 1,
  secretHash: "hash",
  userId: "ann",
  createdAt: clock.now(),
  touchedAt: clock.now(),
  expiresAt: clock.now() + 60_000,
};

/** What is opened keeps sessions by the clock that was given, and can be closed. */
async function works(store: IndexedStore, meanwhile: () => unknown = () => {}): Promise<void> {
  try {
    equal(await store.create("handle", record), true);
    deepEqual(await store.load("handle"), record);
    await meanwhile();
    equal(await store.deleteAll({ userId: "ann" }), 1);
  } finally {
    await store.close();
  }
}

describe("paths", () => {
  const { folder, remove } = temporaryFolder();
  const there = process.cwd();
  before(() => process.chdir(folder));
  after(() => {
    process.chdir(there);
    remove();
  });

  const table: [path: string, name: string][] = [
    ["plain", "plain"],
    ["./dot", "dot"],
    ["new/folder/x", "new/folder/x"],
    ["../up", "../up"],
    [`${folder}/absolute`, "absolute"],
    [`//${folder}/three-slashes`, "three-slashes"],
    ["with%20space%3F%23%25", "with space?#%"],
    ["with space", "with space"],
    ["%C3%A4", "ä"],
    ["ä", "ä"],
    ["~", "~"],
  ];
  for (const [path, name] of table) {
    for (const scheme of ["sqlite", "file"] as const) {
      const title = `${scheme}:${path.replaceAll(folder, "/tmp")}`;
      test(title, async (t) => {
        // Below the test's own folder, that "../" does not leave it.
        const base = join(folder, scheme, "here");
        mkdirSync(base, { recursive: true });
        process.chdir(base);
        t.after(() => process.chdir(folder));
        const expected = path.includes(folder) ? join(folder, `${name}-${scheme}`) : join(base, name);
        const url = `${scheme}:${path}${path.includes(folder) ? `-${scheme}` : ""}`;
        await works(await openStore(url, { clock }), () => {
          equal(statSync(expected).isDirectory(), scheme === "file");
        });
      });
    }
  }

  test("sqlite::memory: has no file", async () => {
    const store = await openStore("sqlite::memory:", { clock });
    equal(store.capabilities?.durable, "no");
    await works(store);
    equal(existsSync(":memory:"), false);
  });

  const refused: [url: string, message: RegExp][] = [
    ["sqlite:", /"sqlite:" needs a path/],
    ["file:", /"file:" needs a path/],
    ["sqlite:a%00b", /needs a path/],
    ["sqlite://sessions.db", /two slashes begin the name of a host; write "sqlite:name"/],
    ["file://localhost/x", /write "file:name" for a relative path, "file:\/\/\/name"/],
    ["sqlite://", /two slashes/],
    ["sqlite:x?mode=ro", /takes no parameters.*%3F/],
    ["file:x#1", /takes no parameters/],
    ["sqlite:100%", /not encoded well; write %25/],
    ["memory:x", /nothing comes after "memory:"/],
    ["memory://", /nothing comes after "memory:"/],
  ];
  for (const [url, message] of refused) {
    test(`${url} is refused`, () => rejects(openStore(url), { name: "TypeError", message }));
  }
});

describe("options", () => {
  test("are those of the store that the URL names", async () => {
    const evicted: string[] = [];
    const memory = { maxEntries: 1, clock, onEvict: ({ handle }: { handle: string }) => void evicted.push(handle) };
    const store = await openStore("memory:", { memory, sqlite: { table: "unused" } });
    await store.create("first", record);
    await store.create("second", record);
    await Promise.resolve();
    deepEqual(evicted, ["first"]);
    await rejects(openStore("sqlite::memory:", { sqlite: { table: "no table" } }), TypeError);
  });

  test("others are refused by name", async () => {
    const wrong: object = { prefix: "shop:" };
    const options: OpenStoreOptions = wrong;
    await rejects(openStore("memory:", options), /prefix is no option; there are memory, sqlite, file, redis/);
  });
});

describe("servers", () => {
  const prefix = keyPrefix();
  after(async () => {
    if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
  });
  test("redis:", { skip: sharedRedis.skip ?? false }, async () => {
    const store = await openStore(sharedRedis.url, { redis: { prefix, client: "ioredis" }, clock });
    await works(store, async () => ok((await keysOf(sharedRedis.url, prefix)).length > 0));
  });

  const table = `open_${process.pid}`;
  test("postgres: and postgresql:", { skip: sharedPostgres.skip ?? false }, async (t) => {
    t.after(() => dropTables(sharedPostgres.url, table));
    for (const scheme of ["postgres:", "postgresql:"]) {
      const url = sharedPostgres.url.replace(/^\w+:/, scheme);
      await works(await openStore(url, { postgres: { table }, clock }));
    }
  });

  test("mysql: and mariadb:", { skip: sharedMysql.skip ?? false }, async (t) => {
    t.after(() => dropMysqlTables(sharedMysql.url, table));
    for (const scheme of ["mysql:", "mariadb:"]) {
      const url = sharedMysql.url.replace(/^\w+:/, scheme);
      await works(await openStore(url, { mysql: { table }, clock }));
    }
  });

  test("one that is down does not keep an application from starting, and no error shows its password", async () => {
    for (const scheme of ["redis", "rediss", "postgres", "mysql"]) {
      const store = await openStore(`${scheme}://ann:s3cret@127.0.0.1:1/app`);
      await rejects(
        async () => store.load("handle"),
        (error) => {
          ok(error instanceof SojournError && error.code === "STORE_UNAVAILABLE", scheme);
          equal(inspect(error, { depth: 9, showHidden: true }).includes("s3cret"), false, scheme);
          return true;
        },
      );
      await store.close();
    }
  });
});

describe("what is no URL of a store", () => {
  const urls: unknown[] = [
    "",
    "s3cret",
    "http://ann:s3cret@host",
    "Redis://ann:s3cret@host",
    "redis:ann:s3cret@host",
    "redis://ann:s3cret@host:port",
    "postgres:ann:s3cret@host",
    "postgres://ann:s3cret@[host",
    "mysql//ann:s3cret@host",
    "mysql://ann:s3cret@host:99999999",
    "sqlite://ann:s3cret@host/x",
    "file:x?password=s3cret",
    "sqlite:s3cret%",
    "memory:s3cret",
    undefined,
    null,
    3306,
    new URL("redis://ann:s3cret@host"),
  ];
  for (const [i, url] of urls.entries()) {
    test(`${i}: ${String(url).replace("s3cret", "…")}`, async () => {
      await rejects(
        async () => Reflect.apply(openStore, undefined, [url]),
        (error) => {
          ok(error instanceof TypeError);
          equal(inspect(error, { depth: 9, showHidden: true }).includes("s3cret"), false);
          return true;
        },
      );
    });
  }

  test("the error names what it takes, and that nothing was set", async () => {
    const taken = [
      "redis:",
      "rediss:",
      "postgres:",
      "postgresql:",
      "mysql:",
      "mariadb:",
      "sqlite:",
      "file:",
      "memory:",
    ];
    await rejects(
      async () => Reflect.apply(openStore, undefined, [undefined]),
      (error) => {
        ok(error instanceof TypeError);
        for (const scheme of taken) match(error.message, new RegExp(`"${scheme}`));
        match(error.message, /it is not set$/);
        return true;
      },
    );
  });
});
