import { deepEqual, equal, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { dropMysqlTables, sharedMysql } from "../support/servers/mariadb.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { tableName } from "../support/servers/private-process.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LIMIT, stores } from "./admission-process.ts";

/** Two processes log one user in at once, over every store that processes share. */

const table = tableName();
const prefix = keyPrefix();
const { folder, remove } = temporaryFolder();
const subjects: Record<string, { place: string; table: string; skip?: string | undefined }> = {
  file: { place: folder, table },
  sqlite: { place: folder, table },
  redis: { place: sharedRedis.url, table: prefix, skip: sharedRedis.skip },
  postgres: { place: sharedPostgres.url, table, skip: sharedPostgres.skip },
  mysql: { place: sharedMysql.url, table, skip: sharedMysql.skip },
};

test.after(async () => {
  remove();
  if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
  if (sharedPostgres.skip === undefined) await dropTables(sharedPostgres.url, table);
  if (sharedMysql.skip === undefined) await dropMysqlTables(sharedMysql.url, table);
});

/** Starts a process. Its lines are what it was told. */
function login(name: string, exceed: string, logins: number) {
  const { place = "", table: of = "" } = subjects[name] ?? {};
  const args = ["--no-warnings", join(import.meta.dirname, "admission-process.ts")];
  const child = spawn(process.execPath, [...args, name, place, of, exceed, String(logins)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: string[] = [];
  let isReady = () => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line === "ready") isReady();
    else lines.push(line);
  });
  return { child, lines, ready, ended: once(child, "close") };
}

for (const [name, { place, table: of, skip }] of Object.entries(subjects)) {
  const options = { skip: skip ?? false };

  test(`two processes that refuse logins let exactly the limit in (${name})`, options, async () => {
    const store = stores[name]?.(place, of);
    ok(store);
    await store.deleteAll({});
    const both = [login(name, "refuse", 20), login(name, "refuse", 20)];
    await Promise.all(both.map(({ ready }) => ready));
    for (const { child } of both) child.stdin.write("go\n");
    for (const { ended } of both) equal((await ended)[0], 0);
    const told = both.flatMap(({ lines }) => lines);
    equal(told.length, 40);
    const admitted = told.flatMap((line) => (line.startsWith("ok ") ? [line.slice(3)] : []));
    equal(admitted.length, LIMIT);
    equal(told.filter((line) => line === "limit").length, 40 - LIMIT);
    const { sessions } = await store.list({ userId: "user" });
    deepEqual(sessions.map(({ handle }) => handle).toSorted(), admitted.toSorted());
    await store.close();
  });

  test(`two processes that revoke sessions leave the limit, each ended once (${name})`, options, async () => {
    const store = stores[name]?.(place, of);
    ok(store);
    await store.deleteAll({});
    const both = [login(name, "revoke-oldest", 20), login(name, "revoke-oldest", 20)];
    await Promise.all(both.map(({ ready }) => ready));
    for (const { child } of both) child.stdin.write("go\n");
    for (const { ended } of both) equal((await ended)[0], 0);
    const told = both.flatMap(({ lines }) => lines).map((line) => line.split(" "));
    ok(told.every(([result]) => result === "ok"));
    const { sessions } = await store.list({ userId: "user" });
    equal(sessions.length, LIMIT);
    const revoked = told.flatMap(([, , ...handles]) => handles);
    const left = sessions.map(({ handle }) => handle);
    deepEqual([...revoked, ...left].toSorted(), told.map(([, handle]) => handle).toSorted());
    await store.close();
  });

  test(`a process that is killed while it logs in loses no limit and no session (${name})`, options, async () => {
    const store = stores[name]?.(place, of);
    ok(store);
    await store.deleteAll({});
    for (let kill = 0; kill < 2; kill++) {
      const { child, lines, ready, ended } = login(name, "revoke-oldest", 100_000);
      await ready;
      const isUnderWay = once(child.stdout, "data");
      child.stdin.write("go\n");
      await isUnderWay;
      child.kill("SIGKILL");
      await ended;
      ok(lines.length > 0);
      // All of a login or nothing: there are never fewer, and in files one too many until the next.
      const count = await store.count({ userId: "user" });
      ok(count === LIMIT || (name === "file" && count === LIMIT + 1), String(count));
    }
    const { lines, child, ready, ended } = login(name, "revoke-oldest", 4);
    await ready;
    child.stdin.write("go\n");
    equal((await ended)[0], 0);
    equal(lines.length, 4);
    equal(await store.count({ userId: "user" }), LIMIT);
    await store.close();
  });
}
