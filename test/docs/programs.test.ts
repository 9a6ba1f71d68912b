import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { tools } from "../../scripts/cached-tools.ts";
import { sharedMysql } from "../support/servers/mariadb.ts";
import { sharedPostgres } from "../support/servers/postgres.ts";
import { sharedRedis } from "../support/servers/redis.ts";
import { beside, blocksOf, isCode, pages, walked } from "./pages.ts";
import { Workshop } from "./workshop.ts";

/** Every program on every page runs: see `workshop.ts` for how. */
const servers = [
  [/REDIS_URL/, sharedRedis],
  [/DATABASE_URL/, sharedPostgres],
  [/MYSQL_URL/, sharedMysql],
] as const;
const environment = {
  REDIS_URL: sharedRedis.url,
  DATABASE_URL: sharedPostgres.url,
  MYSQL_URL: sharedMysql.url,
};
const LONG_MS = 8 * 60_000;

const blocks = pages.flatMap((page) => blocksOf(page)).filter(isCode);
const ours = pages.filter(
  (page) => !beside.includes(page) && !walked.includes(page) && blocks.some((block) => block.page === page),
);

describe("the programs of the pages", { concurrency: 2, timeout: LONG_MS }, () => {
  const workshop = new Workshop(import.meta.dirname, environment);
  linkBetterSqlite(workshop.folder);
  for (const page of ours) workshop.write(page);
  after(() => workshop.remove());

  test("type-check", { timeout: LONG_MS }, () => workshop.compile());

  for (const page of ours) {
    const named = blocks.filter((block) => block.page === page);
    const missing = servers.find(([name, { skip }]) => skip && named.some(({ code }) => name.test(code)));
    test(`run: ${page}`, { skip: missing?.[1].skip ?? false, timeout: LONG_MS }, () => workshop.run(page));
  }
});

test("those that are not run are few, and say why", () => {
  const notRun = blocks.filter((block) => block.notRun !== undefined);
  assert.deepEqual(
    notRun.map(({ page, notRun }) => `${page}: ${notRun}`),
    [],
  );
});

test("every page whose programs are run elsewhere is there", () => {
  for (const page of [...beside, ...walked]) assert.ok(pages.includes(page), page);
});

/** better-sqlite3 has a lock of its own: it does not install on every Node that Sojourn works on. */
function linkBetterSqlite(folder: string): void {
  const installed = tools(join(import.meta.dirname, "../stores/better-sqlite3"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(join(installed, "node_modules/better-sqlite3"), join(folder, "node_modules/better-sqlite3"));
}
