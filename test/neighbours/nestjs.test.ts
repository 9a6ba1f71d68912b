import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import {
  type Any,
  type Browser,
  type Cleanup,
  kinds,
  listen,
  load,
  natives,
  remembersVisitors,
  sessionCookies,
} from "./world.ts";

/**
 * https://docs.nestjs.com/techniques/session, on both platforms. The application is TypeScript with decorators, which Node doesn't run:
 * it is compiled as Nest's own command line does it, to CommonJS and to ES modules.
 */
const folder = import.meta.dirname;
const tsc = join(folder, "../../node_modules/typescript/bin/tsc");

type Create = (platform: string, middleware: Any) => Promise<Any>;

/** Compiles the application where it finds the neighbours, and loads it. */
async function compiled(type: "commonjs" | "module"): Promise<{ create: Create; sessions: (options: object) => Any }> {
  const place = join(folder, "node_modules/.cache/nest", type);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  cpSync(join(folder, "apps/nest"), place, { recursive: true });
  writeFileSync(join(place, "package.json"), JSON.stringify({ private: true, type }));
  try {
    execFileSync(process.execPath, [tsc, "-p", place], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    throw new Error(String((error as { stdout?: unknown }).stdout), { cause: error });
  }
  const file = join(place, "compiled/app.js");
  return type === "module" ? import(file) : load(file);
}

async function serve(t: Cleanup, create: Create, platform: string, middleware: Any): Promise<Browser> {
  const application = await create(platform, middleware);
  t.after(() => application.close());
  await application.listen(0, "127.0.0.1");
  return listen(t, application.getHttpServer());
}

for (const type of ["commonjs", "module"] as const) {
  describe(`NestJS compiled to ${type}`, () => {
    let create: Create;
    let sessions: (options: object) => Any;
    before(async () => {
      ({ create, sessions } = await compiled(type));
    });

    for (const platform of ["express", "fastify"]) {
      test(`the package that the application imports is the one that everybody has (${platform})`, async (t) => {
        const { MemoryStore } = load("sojourn");
        const browser = await serve(t, create, platform, sessions({ store: new MemoryStore() }));
        await remembersVisitors(browser, "/count");
      });

      for (const [kind, open] of Object.entries(kinds)) {
        test(`on ${platform}: visitors are remembered (${kind})`, async (t) => {
          await remembersVisitors(await serve(t, create, platform, open(t)), "/count");
        });

        test(`on ${platform}: a handler goes on with its session after the login (${kind})`, async (t) => {
          const browser = await serve(t, create, platform, open(t));
          assert.equal((await browser.get("/count")).text, "1");
          const login = await browser.json("/login", { name: "ada" });
          assert.deepEqual([login.status, login.text], [200, '{"user":"ada","cart":["gift"]}']);
          assert.equal((await browser.get("/me")).text, '{"user":"ada","cart":["gift"]}');
          assert.equal((await browser.get("/count")).text, "2");
          if (!(kind in natives)) return;
          assert.equal((await browser.json("/logout", {})).status, 200);
          assert.equal((await browser.get("/me")).text, '{"user":null,"cart":[]}');
        });
      }

      for (const [kind, open] of Object.entries(natives)) {
        test(`on ${platform}: a commit that fails is a 500, and the server goes on (${kind})`, async (t) => {
          const browser = await serve(t, create, platform, open(t));
          const answer = await browser.get("/bad");
          assert.equal(answer.status, 500);
          assert.deepEqual(sessionCookies(answer), []);
          await remembersVisitors(browser.stranger(), "/count");
        });
      }
    }
  });
}
