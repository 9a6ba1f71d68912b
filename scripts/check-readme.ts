import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createEmptyApp } from "./empty-app.ts";
import { root } from "./package.ts";

/** Does what README.md tells a newcomer to do: starts the demo, and runs the first program in an empty application. */
const readme = readFileSync(join(root, "README.md"), "utf8");
assert.match(readme, /^npm ci && npm start$/m);
assert.match(readme, /^npm ci && npm test$/m);

await demo();
await firstProgram();
console.log("README.md's commands do what it says.");

async function demo(): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), "sojourn-demo-"));
  const child = start("npm", ["start"], root, { PORT: "0", DATA_DIR: data });
  try {
    const address = await said(child, /http:\/\/localhost:\d+/);
    const response = await fetch(address);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /<html/);
    console.log(`ok      npm start answers on ${address}`);
  } finally {
    await stop(child);
    rmSync(data, { recursive: true, force: true });
  }
}

async function firstProgram(): Promise<void> {
  const [, program] = /```js\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(program, "README.md has a first program");
  // Any free port, told on standard output, instead of 3000.
  const listening = program.replace(
    "app.listen(3000);",
    `const server = app.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + server.address().port));`,
  );
  assert.notEqual(listening, program, "the first program listens on port 3000");

  const app = createEmptyApp();
  app.link("express");
  writeFileSync(join(app.folder, "app.js"), listening);
  const child = start(process.execPath, ["app.js"], app.folder, {
    SESSION_SECRET: "a secret of a test, long enough for all",
  });
  try {
    const address = await said(child, /http:\/\/127\.0\.0\.1:\d+/);
    const first = await fetch(address);
    assert.equal(await first.text(), "Visit 1");
    const cookie = first.headers.getSetCookie()[0]?.split(";", 1)[0];
    const second = await fetch(address, { headers: { cookie: cookie ?? "" } });
    assert.equal(await second.text(), "Visit 2");
    console.log("ok      the first program counts visits");
  } finally {
    await stop(child);
    app.remove();
  }
}

/** Its own process group, so that {@link stop} ends what npm started, too. */
function start(command: string, args: string[], cwd: string, env: Record<string, string>): ChildProcess {
  return spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 60_000,
  });
}

/** The first thing on standard output that matches. */
async function said(child: ChildProcess, pattern: RegExp): Promise<string> {
  assert.ok(child.stdout);
  for await (const line of createInterface(child.stdout)) {
    const [match] = pattern.exec(line) ?? [];
    if (match !== undefined) return match;
  }
  throw new Error(`${child.spawnargs.join(" ")} ended without saying ${pattern}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  process.kill(-child.pid, "SIGTERM");
  await ended;
}
