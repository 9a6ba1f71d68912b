import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { root } from "../../scripts/package.ts";
import { type Registry, startRegistry, tarballOf } from "./registry.ts";

/**
 * What docs/migrate/express-session.md says of the aliases, done to the letter, with npm, in an application that has the originals installed and locked.
 * Our packages come from a registry on this machine, as if they were published; everything else comes from npm's.
 */
describe("an application that has the originals, and follows the guide", () => {
  const page = readFileSync(join(root, "docs/migrate/express-session.md"), "utf8");
  let packed: string;
  let folder: string;
  let registry: Registry;

  const run = async (command: string, args: string[], cwd = folder) => {
    const env = { ...process.env, npm_config_registry: registry?.url };
    try {
      return (await promisify(execFile)(command, args, { cwd, env, timeout: 100_000 })).stdout.trim();
    } catch (error) {
      const { stdout = "", stderr = "" } = Object(error);
      throw new Error(`${command} ${args.join(" ")} failed\n${stdout}${stderr}`, { cause: error });
    }
  };
  const npm = (...args: string[]) =>
    run("npm", [...args, "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel=error"]);
  const manifest = () => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  /** The page's own way to see which one runs. */
  const implementation = async (name: string) => {
    const command = `node -p 'require("${name}").implementation'`;
    if (name === "express-session") assert.ok(page.includes(command), "the page tells how to see which one runs");
    return run("sh", ["-c", command]);
  };

  before(async () => {
    packed = mkdtempSync(join(tmpdir(), "sojourn-packed-"));
    folder = mkdtempSync(join(tmpdir(), "sojourn-migrating-"));
    const folders = [root, ...["express-session", "cookie-session"].map((name) => join(root, "packages", name))];
    for (const source of folders) await run("npm", ["pack", "--ignore-scripts", "--pack-destination", packed], source);
    const upstream = await run("npm", ["config", "get", "registry"], root);
    registry = await startRegistry(new Map(folders.map((source) => [source, tarballOf(source, packed)])), upstream);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
    await npm("install", "express-session@1.19", "cookie-session@2.1");
  });
  after(async () => {
    await registry?.close();
    for (const place of [packed, folder]) if (place !== undefined) rmSync(place, { recursive: true, force: true });
  });

  test("npm puts the drop-ins in the place of the originals, and keeps them there", async () => {
    assert.equal(await implementation("express-session"), "undefined");
    const [, block = ""] = /Under the original's name[\s\S]*?```json\n([\s\S]*?)```/.exec(page) ?? [];
    const shown = JSON.parse(block);
    // As the page has it for express-session, and says of cookie-session.
    const version = /"npm:(sojourn-cookie-session@[^"]+)"/.exec(
      readFileSync(join(root, "packages/cookie-session/README.md"), "utf8"),
    );
    const changed = manifest();
    Object.assign(changed.dependencies, shown.dependencies, { "cookie-session": `npm:${version?.[1]}` });
    changed.overrides = { ...shown.overrides, "cookie-session": "$cookie-session" };
    writeFileSync(join(folder, "package.json"), JSON.stringify(changed, null, 2));
    await npm("install");
    for (const step of ["install", "ci", "update"]) {
      await npm(step);
      assert.equal(await implementation("express-session"), "sojourn", step);
      assert.equal(await implementation("cookie-session"), "sojourn", step);
    }
  });
});
