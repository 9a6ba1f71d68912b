import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "./world.ts";

/** Walks the pages of docs/migrate: their programs run as they stand there, one after the other on the same sessions, and nobody is logged out. */
const root = fileURLToPath(new URL("../../", import.meta.url));
const guide = readFileSync(join(root, "docs/migrate/express-session.md"), "utf8");
const cookieGuide = readFileSync(join(root, "docs/migrate/cookie-session.md"), "utf8");

/** A guide's programs, and the changes that it tells, in their order. */
const blocksOf = (page: string) => [...page.matchAll(/^```(js|diff)\n(.*?)^```$/gms)].map(([, , text = ""]) => text);
const [toDropIn, before, ourStore, setUp, routes5, routes4, passportBefore, passportAfter, ...others] = blocksOf(guide);
const [toCookieDropIn, cookies, cookiesAfter, ...unknown] = [...blocksOf(cookieGuide), ...others];

test("all of the guide's programs are walked", () => {
  assert.ok(cookiesAfter);
  assert.deepEqual(unknown, []);
  // What is left unsaid in a program is said in another: a newcomer has to find it.
  assert.match(guide, /Node 22\.13/);
  assert.match(guide, /express-session can be uninstalled/);
});

/** What the application has of its own. */
const USERS = `
const users = [{ id: 1, username: "ada", password: "open sesame" }, { id: 2, username: "eve", password: "apple" }];
export const findUser = (id) => users.find((user) => user.id === id);
export const checkPassword = (username, password) =>
  users.find((user) => user.username === username && user.password === password);
`;

/** Makes the new sessions' store fail while there is a file of this name. */
const OUTAGE = `
import { existsSync } from "node:fs";
import { SqliteStore } from "sojourn/sqlite";
for (const name of ["create", "replace", "update"]) {
  const method = SqliteStore.prototype[name];
  SqliteStore.prototype[name] = function (...args) {
    if (existsSync("outage")) throw new Error("the store is down");
    return method.apply(this, args);
  };
}
`;

const FRAMEWORKS = { "Express 5": "express", "Express 4": "express4" } as const;
const PACKAGES = ["express-session", "cookie-session", "session-file-store", "passport", "passport-local"];

/** A folder in which the guide's programs find their packages; Sojourn is this repository's source. */
class Application {
  readonly folder = mkdtempSync(join(tmpdir(), "sojourn-guide-"));
  readonly #cookies = new Map<string, string>();
  #child: ChildProcess | undefined;
  #address = "";

  constructor(t: Cleanup, framework: string) {
    t.after(() => this.remove());
    mkdirSync(join(this.folder, "node_modules"));
    this.#link("express", join(root, "node_modules", framework));
    this.#link("sojourn", root);
    for (const name of PACKAGES) this.#link(name, join(root, "node_modules", name));
    this.write("package.json", '{ "type": "module" }');
    this.write("users.js", USERS);
    this.write("outage.js", OUTAGE);
  }

  #link(name: string, target: string): void {
    symlinkSync(target, join(this.folder, "node_modules", name), "dir");
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  uninstall(name: string): void {
    rmSync(join(this.folder, "node_modules", name));
  }

  /** Starts a program of the guide in the place of the one before. */
  async deploy(program: string, { isFallible = false } = {}): Promise<void> {
    await this.stop();
    const listening = program
      .replace(
        "app.listen(3000);",
        'const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));',
      )
      .replaceAll("2027-01-01", new Date(Date.now() + 86_400_000).toISOString());
    assert.notEqual(listening, program, "the program listens on port 3000");
    this.write("app.js", listening);
    const args = ["--conditions=sojourn-source", ...(isFallible ? ["--import=./outage.js"] : []), "app.js"];
    const child = spawn(process.execPath, args, {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        SESSION_SECRET: "keyboard cat",
        SESSION_KEY: "a key of a test",
        SOJOURN_SECRET: "a new secret of a test, which is long enough",
        NODE_ENV: "test",
      },
    });
    this.#child = child;
    for await (const line of createInterface(child.stdout)) {
      if (!/^\d+$/.test(line)) continue;
      this.#address = `http://127.0.0.1:${line}`;
      return;
    }
    assert.fail("the program ended");
  }

  /** As a browser asks: with the cookies that it was given. */
  async ask(method: string, path: string, form = ""): Promise<{ status: number; text: string }> {
    const cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
    const sent = request(`${this.#address}${path}`, {
      method,
      agent: false,
      headers: { ...(cookie !== "" && { cookie }), "content-type": "application/x-www-form-urlencoded" },
    });
    sent.end(form);
    const [response] = await once(sent, "response");
    for (const line of response.headers["set-cookie"] ?? []) {
      const [pair = ""] = line.split(";", 1);
      const name = pair.slice(0, pair.indexOf("="));
      if (line.includes("01 Jan 1970")) this.#cookies.delete(name);
      else this.#cookies.set(name, pair.slice(name.length + 1));
    }
    let text = "";
    for await (const chunk of response) text += chunk;
    return { status: response.statusCode, text };
  }

  async get(path = "/"): Promise<string> {
    return (await this.ask("GET", path)).text;
  }

  async login(username: string, password: string): Promise<number> {
    return (await this.ask("POST", "/login", `username=${username}&password=${encodeURIComponent(password)}`)).status;
  }

  get cookieNames(): string[] {
    return [...this.#cookies.keys()];
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    assert.equal(child.exitCode, null, "the program is still running");
    child.kill();
    await once(child, "exit");
  }

  async remove(): Promise<void> {
    this.#child?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A program with the change that the guide tells. */
function changed(program = "", diff = ""): string {
  const [, from = "", to = ""] = /^-(.*)\n\+(.*)$/m.exec(diff) ?? [];
  assert.ok(from !== "" && program.includes(from));
  return program.replace(from, to);
}

const programs = {
  "": (framework: string) => ({
    old: before ?? "",
    dropIn: changed(before, toDropIn),
    sojourn: `${setUp}\n${framework === "express" ? routes5 : routes4}`,
  }),
  " with Passport": () => ({
    old: passportBefore ?? "",
    dropIn: changed(passportBefore, toDropIn),
    sojourn: passportAfter ?? "",
  }),
};

for (const [title, framework] of Object.entries(FRAMEWORKS)) {
  for (const [how, choose] of Object.entries(programs)) {
    describe(`from express-session on ${title}${how}`, () => {
      test("a visitor stays logged in with the drop-in, back with the original, and with sojourn", async (t) => {
        const { old, dropIn, sojourn } = choose(framework);
        const app = new Application(t, framework);
        await app.deploy(old);
        assert.equal(await app.get(), "Hello stranger, visit 1");
        assert.equal(await app.login("ada", "wrong"), 401);
        assert.equal(await app.login("ada", "open sesame"), 302);
        assert.equal(await app.get(), "Hello 1, visit 1");
        await app.deploy(dropIn);
        assert.equal(await app.get(), "Hello 1, visit 2");
        await app.deploy(old);
        assert.equal(await app.get(), "Hello 1, visit 3");

        app.uninstall("express-session");
        await app.deploy(sojourn);
        assert.deepEqual(app.cookieNames, ["connect.sid"]);
        assert.equal(await app.get(), "Hello 1, visit 4");
        assert.deepEqual(app.cookieNames, ["sid"]);
        const devices = JSON.parse(await app.get("/devices"));
        assert.deepEqual(Object(devices[0]).current, true);
        assert.equal(devices.length, 1);

        assert.equal((await app.ask("POST", "/logout")).status, 302);
        assert.equal((await app.ask("GET", "/devices")).status, 401);
        assert.equal(await app.get(), "Hello stranger, visit 1");
        assert.equal(await app.login("eve", "apple"), 302);
        assert.match(await app.get(), /^Hello 2, visit/);
        assert.equal(JSON.parse(await app.get("/devices")).length, 1);
        await app.stop();
      });

      test("with sojourn, a store that fails is the error handler's, and the program goes on", async (t) => {
        const app = new Application(t, framework);
        await app.deploy(choose(framework).sojourn, { isFallible: true });
        for (const visit of ["first", "second"]) {
          app.write("outage", "");
          assert.equal(await app.login("ada", "open sesame"), 503, visit);
          rmSync(join(app.folder, "outage"));
          assert.equal(await app.login("ada", "open sesame"), 302, visit);
        }
        app.write("outage", "");
        assert.equal((await app.ask("GET", "/")).status, 503);
        rmSync(join(app.folder, "outage"));
        assert.match(await app.get(), /^Hello 1/);
        await app.stop();
      });
    });
  }

  test(`from cookie-session on ${title}: visits go on with the drop-in, and with sojourn`, async (t) => {
    const app = new Application(t, framework);
    await app.deploy(cookies ?? "");
    assert.equal(await app.get(), "Visit 1");
    await app.deploy(changed(cookies, toCookieDropIn));
    assert.equal(await app.get(), "Visit 2");
    await app.deploy(cookies ?? "");
    assert.equal(await app.get(), "Visit 3");
    await app.deploy(cookiesAfter ?? "");
    assert.equal(await app.get(), "Visit 4");
    assert.deepEqual(app.cookieNames, ["sid"]);
    assert.equal(await app.get(), "Visit 5");
    await app.stop();
  });

  test(`a store of Sojourn in express-session, and in the drop-in, on ${title}`, async (t) => {
    const app = new Application(t, framework);
    await app.deploy(ourStore ?? "");
    assert.equal(await app.get(), "Visit 1");
    await app.deploy(changed(ourStore, toDropIn));
    assert.equal(await app.get(), "Visit 2");
    await app.stop();
  });
}
