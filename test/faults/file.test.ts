import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { SojournError } from "../../src/contract/errors.ts";
import type { SessionRecord } from "../../src/contract/store.ts";
import { FileStore } from "../../src/stores/file.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { mountSmallDisk, noSmallDisk } from "../support/servers/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

interface Place {
  readonly outside: string;
  readonly root: string;
  readonly clock: ManualClock;
  readonly store: FileStore;
}

function place(t: TestContext): Place {
  const { folder, remove } = temporaryFolder();
  const clock = new ManualClock();
  const root = join(folder, "sessions");
  const store = new FileStore(root, { clock });
  t.after(async () => {
    await store.close();
    remove();
  });
  return { outside: folder, root, clock, store };
}

function recordFor(clock: ManualClock, different: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock.now();
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 };
  return { payload: "payload", version: 1, secretHash: "hash", userId: "user", ...times, ...different };
}

function everythingIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
}

function payloadFile(root: string): string {
  const file = globSync(join(root, "sessions/*/*/*")).find((path) => /^[0-9a-f]{32}$/.test(basename(path)));
  ok(file);
  return file;
}

function isFailure(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SojournError && error.code === code && error.status === 503;
}

// CVE-2024-3400, CVE-2020-9484 and CVE-2006-1279 are paths made of what a client sent.
test("no handle and no user is a path: names are hashes, and nothing appears outside", async (t) => {
  const { outside, root, clock, store } = place(t);
  const odd = [
    "../../x",
    "a/../../b",
    "/etc/passwd",
    "a\0b",
    "",
    ".",
    "..",
    "x".repeat(4_096),
    "%2e%2e%2f",
    "\n",
    "CON",
  ];
  for (const handle of odd) equal(await store.create(handle, recordFor(clock, { userId: handle })), true);
  for (const handle of odd) deepEqual(await store.load(handle), recordFor(clock, { userId: handle }));
  deepEqual(readdirSync(outside), ["sessions"]);
  for (const path of everythingIn(root)) {
    const name = basename(path);
    ok(/^(sessions|users|links|due|tmp|[0-9a-f]{3,64}|[0-9]+|[0-9a-z.]+\.[0-9a-f]{64})$/.test(name), name);
  }
  for (const handle of odd) equal(await store.delete(handle), true);
  equal(await store.count(), 0);
});

test("with umask 0, folders are for this user alone, and so are files", async (t) => {
  const { root, clock, store } = place(t);
  const umask = process.umask(0);
  try {
    await store.create("handle", recordFor(clock));
    await store.update("handle", recordFor(clock, { version: 2 }), 1);
    await store.touch("handle", clock.now() + 1, clock.now() + 7_200_000);
  } finally {
    process.umask(umask);
  }
  for (const path of [root, ...everythingIn(root)]) {
    const stats = lstatSync(path);
    equal(stats.mode & 0o777, stats.isDirectory() ? 0o700 : 0o600, path);
  }
});

test("a folder that others could look into is closed to them", async (t) => {
  const { root, clock, store } = place(t);
  mkdirSync(join(root, "sessions"), { recursive: true });
  chmodSync(join(root, "sessions"), 0o777);
  await store.create("handle", recordFor(clock));
  equal(lstatSync(join(root, "sessions")).mode & 0o777, 0o700);
});

const links: readonly (readonly [string, (root: string) => string])[] = [
  ["a payload", payloadFile],
  ["a session", (root) => dirname(payloadFile(root))],
  ["a shard of sessions", (root) => dirname(dirname(payloadFile(root)))],
  ["all sessions", (root) => join(root, "sessions")],
];

for (const [what, find] of links) {
  test(`a symbolic link in the place of ${what} is refused, wherever it leads`, async (t) => {
    const { outside, root, clock, store } = place(t);
    await store.create("handle", recordFor(clock));
    const path = find(root);
    const away = join(outside, "elsewhere");
    renameSync(path, away);
    symlinkSync(away, path);
    await rejects(store.load("handle"), isFailure("STORE_CORRUPT"));
    if (what === "a payload") return;
    const before = everythingIn(outside).length;
    await rejects(store.update("handle", recordFor(clock, { version: 2 }), 1), isFailure("STORE_CORRUPT"));
    await rejects(store.touch("handle", clock.now() + 1, clock.now() + 2), isFailure("STORE_CORRUPT"));
    await rejects(store.delete("handle"), isFailure("STORE_CORRUPT"));
    await rejects(store.create("handle", recordFor(clock)), isFailure("STORE_CORRUPT"));
    equal(everythingIn(outside).length, before);
  });
}

test("links and other users' folders are refused at construction, but not a link to the root", (t) => {
  const { outside, root } = place(t);
  mkdirSync(join(outside, "data"));
  symlinkSync(join(outside, "data"), root);
  equal(refusal(root), undefined);
  symlinkSync(outside, join(root, "users"));
  equal(refusal(root), "STORE_CORRUPT");
  rmSync(join(root, "users"));
  mkdirSync(join(root, "sessions"));
  equal(refusal(root), undefined);
  const asMyself = asAnotherUser(t);
  equal(refusal(root), "STORE_UNAVAILABLE");
  asMyself();
  rmSync(root);
  symlinkSync(join(outside, "nowhere"), root);
  equal(refusal(root), "STORE_CORRUPT");
});

test("folders that another user has put in the place of the store's are refused with every call", async (t) => {
  const { clock, store } = place(t);
  await store.create("handle", recordFor(clock));
  const asMyself = asAnotherUser(t);
  for (const call of [
    () => store.load("handle"),
    () => store.create("other", recordFor(clock)),
    () => store.touch("handle", clock.now() + 1, clock.now() + 2),
    () => store.list({}),
    () => store.list({ userId: "user" }),
  ]) {
    await rejects(call, (error) => isFailure("STORE_UNAVAILABLE")(error) && /another user/.test(String(error)));
  }
  asMyself();
  ok(await store.load("handle"));
});

/** @returns how to be this user again */
function asAnotherUser(t: TestContext): () => void {
  const { geteuid } = process;
  const back = () => void Reflect.set(process, "geteuid", geteuid);
  t.after(back);
  Reflect.set(process, "geteuid", () => Number(geteuid?.()) + 1);
  return back;
}

function refusal(root: string): unknown {
  try {
    new FileStore(root);
    return undefined;
  } catch (error) {
    return Object(error).code;
  }
}

test("a user's folder that is a link is refused", async (t) => {
  const { outside, root, clock, store } = place(t);
  await store.create("handle", recordFor(clock));
  const [user = ""] = globSync(join(root, "users/*/*"));
  renameSync(user, join(outside, "elsewhere"));
  symlinkSync(join(outside, "elsewhere"), user);
  await rejects(store.list({ userId: "user" }), isFailure("STORE_CORRUPT"));
  await rejects(store.create("other", recordFor(clock)), isFailure("STORE_CORRUPT"));
  equal(await store.load("other"), undefined);
});

test("a payload cut off anywhere, or with a byte changed, is no session; and its handle is free", async (t) => {
  const { root, clock, store } = place(t);
  await store.create("handle", recordFor(clock));
  const path = payloadFile(root);
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length++) {
    truncateSync(path, 0);
    writeFileSync(path, whole.subarray(0, length));
    equal(await store.load("handle"), undefined, `cut off at ${length}`);
    const changed = Buffer.from(whole);
    changed[length] = (changed[length] ?? 0) ^ 1;
    writeFileSync(path, changed);
    equal(await store.load("handle"), undefined, `changed at ${length}`);
  }
  writeFileSync(path, whole);
  deepEqual(await store.load("handle"), recordFor(clock));
  unlinkSync(path);
  equal(await store.load("handle"), undefined);
  deepEqual(await store.list({ userId: "user" }), { sessions: [] });
  equal(await store.create("handle", recordFor(clock, { payload: "new" })), true);
  equal((await store.load("handle"))?.payload, "new");
});

test("a payload put into another session's folder opens nothing", async (t) => {
  const { root, clock, store } = place(t);
  await store.create("mine", recordFor(clock));
  const mine = payloadFile(root);
  await store.create("theirs", recordFor(clock, { payload: "theirs" }));
  const theirs = globSync(join(root, "sessions/*/*/*")).find(
    (path) => /^[0-9a-f]{32}$/.test(basename(path)) && path !== mine,
  );
  ok(theirs);
  writeFileSync(mine, readFileSync(theirs));
  equal(await store.load("mine"), undefined);
  equal((await store.load("theirs"))?.payload, "theirs");
});

test("a user's list without its marker is mended by the next update; a marker too many is forgotten", async (t) => {
  const { root, clock, store } = place(t);
  await store.create("handle", recordFor(clock));
  const [marker = ""] = globSync(join(root, "users/*/*/*"));
  unlinkSync(marker);
  equal(await store.count({ userId: "user" }), 0);
  equal(await store.update("handle", recordFor(clock, { version: 2 }), 1), "ok");
  equal(await store.count({ userId: "user" }), 1);

  const stray = join(dirname(marker), "0".repeat(64));
  writeFileSync(stray, "");
  deepEqual((await store.list({ userId: "user" })).sessions.length, 1);
  equal(await store.deleteAll({ userId: "user" }), 1);
  equal(existsSync(stray), false);
});

test("a session costs no look at a sweep before its time, and a writer's remains go after an hour", async (t) => {
  const { root, clock, store } = place(t);
  await store.create("living", recordFor(clock));
  const [living = ""] = globSync(join(root, "sessions/*/*"));
  const abandoned = join(root, "tmp", "a".repeat(32));
  mkdirSync(abandoned);
  writeFileSync(join(abandoned, "b".repeat(32)), "");
  const young = join(root, "tmp", "c".repeat(32));
  mkdirSync(young);
  const old = Date.now() / 1_000 - 3_601;
  utimesSync(abandoned, old, old);
  // Whoever looked into the living session's folder would meet an error.
  renameSync(living, join(root, "kept"));
  symlinkSync(join(root, "kept"), living);
  equal(await store.prune(), 0);
  equal(existsSync(abandoned), false);
  equal(existsSync(young), true);
});

test('a URL is refused, before it becomes a folder named "file:"; a name with a colon is none', (t) => {
  const { outside } = place(t);
  for (const url of ["file:/x", "file:///x", "sqlite:sessions", "https://example.com"]) {
    throws(() => new FileStore(url), { name: "TypeError", message: /path/ });
  }
  for (const path of ["./file:x", join(outside, "file:x"), "C:\\sessions"]) new FileStore(path);
});

test("a folder that vanishes is no answer: everything fails until it is back", async (t) => {
  const { outside, root, clock, store } = place(t);
  equal(await store.load("before"), undefined, "it was never made");
  deepEqual(await store.list({}), { sessions: [] });
  await store.create("before", recordFor(clock));
  for (const gone of [root, join(root, "sessions")]) {
    renameSync(gone, join(outside, "elsewhere"));
    for (const call of [
      () => store.load("before"),
      () => store.load("another"),
      () => store.update("before", recordFor(clock, { version: 2 }), 1),
      () => store.touch("before", clock.now(), clock.now() + 1),
      () => store.delete("before"),
      () => store.list({}),
      () => store.list({ userId: "user" }),
      () => store.count(),
      () => store.count({ userId: "user" }),
      () => store.deleteAll({ userId: "user" }),
      () => store.prune(),
    ]) {
      await rejects(call, (error) => isFailure("STORE_UNAVAILABLE")(error) && /was removed/.test(String(error)));
    }
    renameSync(join(outside, "elsewhere"), gone);
    deepEqual(await store.load("before"), recordFor(clock));
  }
});

test("a folder that has vanished is made anew by the next session, private, for every process", async (t) => {
  const { root, clock, store } = place(t);
  const other = new FileStore(root, { clock });
  await store.create("before", recordFor(clock));
  deepEqual(await other.load("before"), recordFor(clock));
  rmSync(root, { recursive: true });
  equal(await store.create("after", recordFor(clock)), true);
  for (const one of [store, other]) {
    deepEqual(await one.load("after"), recordFor(clock));
    equal(await one.load("before"), undefined);
    equal(await one.delete("before"), false);
  }
  for (const folder of [root, ...everythingIn(root)]) {
    if (lstatSync(folder).isDirectory()) equal(lstatSync(folder).mode & 0o777, 0o700);
  }
  await other.close();
});

test("a file where the folder should be, and a folder that may not be entered, are errors that say so", async (t) => {
  const { root, clock, store } = place(t);
  writeFileSync(root, "");
  for (const call of [
    () => store.load("handle"),
    () => store.create("handle", recordFor(clock)),
    () => store.count(),
  ]) {
    await rejects(call, isFailure("STORE_UNAVAILABLE"));
  }
  rmSync(root);
  const impossible = new FileStore("/dev/null/sessions", { clock });
  await rejects(impossible.create("handle", recordFor(clock)), isFailure("STORE_UNAVAILABLE"));
  mkdirSync(root, { mode: 0 });
  // As root, permissions forbid nothing.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await rejects(store.load("handle"), isFailure("STORE_UNAVAILABLE"));
    await rejects(store.create("handle", recordFor(clock)), isFailure("STORE_UNAVAILABLE"));
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  chmodSync(root, 0o700);
  equal(await store.create("handle", recordFor(clock)), true);
});

test("a full disk: what was there is whole, ending sessions works, and then there is room", {
  skip: noSmallDisk ?? false,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-disk-"));
  const disk = mountSmallDisk(folder, 256);
  const clock = new ManualClock();
  const store = new FileStore(join(folder, "sessions"), { clock });
  t.after(async () => {
    await store.close();
    disk.unmount();
    rmSync(folder, { recursive: true });
  });
  const record = recordFor(clock, { payload: "x".repeat(5_000) });
  const created: string[] = [];
  for (;;) {
    const handle = `handle${created.length}`;
    try {
      equal(await store.create(handle, record), true);
    } catch (error) {
      ok(isFailure("STORE_FULL")(error), String(error));
      equal(await store.load(handle), undefined, "what was refused is not there");
      break;
    }
    created.push(handle);
  }
  ok(created.length > 5);
  for (const handle of created) {
    const larger = { ...record, version: 2, payload: "y".repeat(30_000) };
    await rejects(store.update(handle, larger, 1), isFailure("STORE_FULL"));
    deepEqual(await store.load(handle), record);
  }
  deepEqual(readdirSync(join(folder, "sessions/tmp")), [], "nothing half written stays");
  for (const session of globSync(join(folder, "sessions/sessions/*/*"))) equal(readdirSync(session).length, 2);
  for (const handle of created.slice(0, 5)) equal(await store.delete(handle), true);
  for (const handle of created.slice(0, 5)) equal(await store.load(handle), undefined);
  equal(await store.create("again", record), true);
  equal(await store.deleteAll({ userId: "user" }), created.length - 4);
});
