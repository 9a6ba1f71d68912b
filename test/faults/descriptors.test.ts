import { equal, ok } from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { noPrivateRedis, PrivateRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** What a store says while its process has no file descriptor left, and afterwards. For PostgreSQL and MySQL see their own tests. */
async function starve(store: string, place: string): Promise<Record<"starved" | "afterwards", Record<string, string>>> {
  const child = join(import.meta.dirname, "descriptors-child.ts");
  const flags = ["--conditions=sojourn-source", "--disable-warning=ExperimentalWarning"];
  const limited = 'ulimit -n 64; exec "$0" "$@"';
  const { stdout } = await promisify(execFile)("sh", ["-c", limited, process.execPath, ...flags, child, store, place]);
  const told = JSON.parse(stdout);
  // Whatever was answered, it was the session, and no answer is "there is none".
  for (const answer of [told.starved.load, told.starved.fresh, told.afterwards.used, told.afterwards.fresh]) {
    ok(answer === "STORE_UNAVAILABLE" || JSON.parse(answer).secretHash === told.record.secretHash, answer);
  }
  equal(told.afterwards.update, '"ok"');
  for (const who of ["used", "fresh"]) {
    const { payload, version } = JSON.parse(told.afterwards[who]);
    ok(
      (payload === "old" && version === 1) ||
        (payload === "new" && version === 2 && told.starved.update !== '"conflict"'),
    );
  }
  return told;
}

test("FileStore without a file descriptor: unavailable, until there is one", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const { starved } = await starve("file", join(folder, "sessions"));
  equal(starved["load"], "STORE_UNAVAILABLE");
  equal(starved["update"], "STORE_UNAVAILABLE");
  equal(starved["fresh"], "STORE_UNAVAILABLE");
});

test("SqliteStore without a file descriptor: what is open goes on, what is not is unavailable", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const { starved } = await starve("sqlite", join(folder, "sessions.db"));
  equal(starved["fresh"], "STORE_UNAVAILABLE");
  ok(starved["update"] === '"ok"' || starved["update"] === "STORE_UNAVAILABLE", starved["update"]);
});

test("RedisStore without a file descriptor: its connection goes on, another one is unavailable", {
  skip: noPrivateRedis,
}, async (t) => {
  const server = await PrivateRedis.start();
  t.after(() => server.stop());
  const { starved } = await starve("redis", server.url);
  equal(starved["update"], '"ok"');
  equal(starved["fresh"], "STORE_UNAVAILABLE");
});
