import { deepEqual, equal, throws } from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { migrate, type SchemaStep, steps } from "../../src/stores/sqlite/schema.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Databases as every schema that was ever shipped left them. They are never edited: that is what users have. */
const fixtures: readonly string[] = [
  `
    CREATE TABLE "sojourn_sessions" (
      handle TEXT NOT NULL PRIMARY KEY,
      payload TEXT NOT NULL,
      version INTEGER NOT NULL,
      secret_hash TEXT NOT NULL,
      user_id TEXT,
      created_at INTEGER NOT NULL,
      touched_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      sweep_at INTEGER NOT NULL
    );
    CREATE INDEX "sojourn_sessions_sweep" ON "sojourn_sessions" (sweep_at);
    CREATE INDEX "sojourn_sessions_user" ON "sojourn_sessions" (user_id) WHERE user_id IS NOT NULL;
    CREATE TABLE "sojourn_sessions_schema" (version INTEGER NOT NULL);
    INSERT INTO "sojourn_sessions_schema" VALUES (1);
    INSERT INTO "sojourn_sessions" VALUES
      ('Zm9vYmFyYmF6cXV4cXV1eA', '{"views":7}', 8, 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg', 'ann', 2524608000000, 2524608001000, 2524609801000, 2524609800000),
      ('YW5vbnltb3VzYW5vbnltbw', '{}', 1, 'secret', NULL, 2524608000000, 2524608000000, 2524609800000, 2524609800000);
  `,
  `
    CREATE TABLE "sojourn_sessions" (
      handle TEXT NOT NULL PRIMARY KEY,
      payload TEXT NOT NULL,
      version INTEGER NOT NULL,
      secret_hash TEXT NOT NULL,
      user_id TEXT,
      created_at INTEGER NOT NULL,
      touched_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      sweep_at INTEGER NOT NULL,
      link TEXT
    );
    CREATE INDEX "sojourn_sessions_sweep" ON "sojourn_sessions" (sweep_at);
    CREATE INDEX "sojourn_sessions_user" ON "sojourn_sessions" (user_id) WHERE user_id IS NOT NULL;
    CREATE INDEX "sojourn_sessions_link" ON "sojourn_sessions" (link) WHERE link IS NOT NULL;
    CREATE TABLE "sojourn_sessions_schema" (version INTEGER NOT NULL);
    INSERT INTO "sojourn_sessions_schema" VALUES (2);
    INSERT INTO "sojourn_sessions" VALUES
      ('Zm9vYmFyYmF6cXV4cXV1eA', '{"views":7}', 8, 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg', 'ann', 2524608000000, 2524608001000, 2524609801000, 2524609800000, NULL),
      ('YW5vbnltb3VzYW5vbnltbw', '{}', 1, 'secret', NULL, 2524608000000, 2524608000000, 2524609800000, 2524609800000, NULL);
  `,
];

/** What a later version might add. */
const nextStep: SchemaStep = (table) => `ALTER TABLE "${table}" ADD COLUMN added TEXT NOT NULL DEFAULT 'as before'`;

function database(t: TestContext): { path: string; raw: DatabaseSync } {
  const { folder, remove } = temporaryFolder();
  const path = join(folder, "sessions.db");
  const raw = new DatabaseSync(path);
  t.after(() => {
    raw.close();
    remove();
  });
  return { path, raw };
}

test("there is a fixture of every schema", () => {
  equal(fixtures.length, steps.length);
});

for (const [index, fixture] of fixtures.entries()) {
  test(`reads and writes what schema ${index + 1} left`, async (t) => {
    const { path, raw } = database(t);
    raw.exec(fixture);
    const clock = new ManualClock(2_524_608_002_000);
    const store = new SqliteStore(path, { clock });
    const ann = {
      payload: '{"views":7}',
      version: 8,
      secretHash: "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
      userId: "ann",
      createdAt: 2_524_608_000_000,
      touchedAt: 2_524_608_001_000,
      expiresAt: 2_524_609_801_000,
    };
    deepEqual(store.load("Zm9vYmFyYmF6cXV4cXV1eA"), ann);
    equal(store.load("YW5vbnltb3VzYW5vbnltbw")?.userId, null);
    deepEqual(await store.list({ userId: "ann" }), { sessions: [{ handle: "Zm9vYmFyYmF6cXV4cXV1eA", ...ann }] });
    equal(await store.update("Zm9vYmFyYmF6cXV4cXV1eA", { ...ann, version: 9 }, 8), "ok");
    equal(await store.create("new", { ...ann, version: 1, link: "sid" }), true);
    equal(store.count({ link: "sid" }), 1);
    clock.set(2_524_609_801_000);
    equal(await store.prune(), 3);
    await store.close();
  });
}

test("a new step is taken once, keeps the rows, and leaves the version behind", (t) => {
  const { raw } = database(t);
  raw.exec(fixtures[0] ?? "");
  for (let time = 0; time < 2; time++) {
    migrate(raw, "sojourn_sessions", [...steps, nextStep]);
    deepEqual(
      raw
        .prepare("SELECT handle, added FROM sojourn_sessions ORDER BY handle")
        .all()
        .map((row) => ({ ...row })),
      [
        { handle: "YW5vbnltb3VzYW5vbnltbw", added: "as before" },
        { handle: "Zm9vYmFyYmF6cXV4cXV1eA", added: "as before" },
      ],
    );
    deepEqual(
      raw
        .prepare("SELECT version FROM sojourn_sessions_schema")
        .all()
        .map((row) => row.version),
      [steps.length + 1],
    );
  }
});

test("a new database takes all the steps", (t) => {
  const { raw } = database(t);
  migrate(raw, "sojourn_sessions", [...steps, nextStep]);
  raw.prepare("SELECT added, sweep_at FROM sojourn_sessions").all();
});

test("a step that fails leaves everything as it was", (t) => {
  const { raw } = database(t);
  raw.exec(fixtures.at(-1) ?? "");
  const broken: SchemaStep = (table) => `DELETE FROM "${table}"; this is not SQL`;
  throws(() => migrate(raw, "sojourn_sessions", [...steps, nextStep, broken]));
  equal(raw.isTransaction, false);
  deepEqual({ ...raw.prepare("SELECT count(*) AS rows FROM sojourn_sessions").get() }, { rows: 2 });
  deepEqual({ ...raw.prepare("SELECT version FROM sojourn_sessions_schema").get() }, { version: steps.length });
  throws(() => raw.prepare("SELECT added FROM sojourn_sessions"));
});

test("the schema of a newer version is refused and left alone", (t) => {
  const { path, raw } = database(t);
  migrate(raw, "sojourn_sessions", [...steps, nextStep]);
  throws(() => new SqliteStore(path), {
    code: "STORE_UNAVAILABLE",
    message: /has schema 3, and this version of sojourn knows 2/,
  });
  deepEqual({ ...raw.prepare("SELECT version FROM sojourn_sessions_schema").get() }, { version: steps.length + 1 });
});
