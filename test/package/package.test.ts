import assert from "node:assert/strict";
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createEmptyApp, type EmptyApp } from "../../scripts/empty-app.ts";
import { entryPoints, readManifest, root } from "../../scripts/package.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";

const node = process.execPath;
const tsc = join(root, "node_modules/typescript/bin/tsc");
const manifest = readManifest();
const entries = entryPoints(manifest);

/** What takes another library's place: `require()` returns its default export itself. */
const isDropIn = (name: string) => /\/(express|cookie)-session\b/.test(name);

describe("package.json", () => {
  test("each entry point has one copy of the code, and types for import and for require()", () => {
    for (const { name, built } of entries) {
      const { "sojourn-source": _, ...conditions } = Object(manifest.exports[name.replace("sojourn", ".")]);
      const expected = isDropIn(name)
        ? { types: `${built}.d.cts`, default: `${built}.cjs` }
        : {
            import: { types: `${built}.d.mts`, default: `${built}.mjs` },
            default: { types: `${built}.d.ts`, default: `${built}.js` },
          };
      assert.deepEqual(conditions, expected, name);
    }
  });

  test("compilers that don't read exports find the same types", () => {
    const expected = entries.slice(1).map(({ name, built }) => {
      return [name.slice("sojourn/".length), [`${built}${isDropIn(name) ? ".d.cts" : ".d.ts"}`]];
    });
    assert.deepEqual(manifest.typesVersions, { "*": Object.fromEntries(expected) });
    assert.deepEqual([manifest.main, manifest.types], ["./dist/index.js", "./dist/index.d.ts"]);
  });

  test("installing it installs nothing else", () => assert.equal(manifest.dependencies, undefined));
});

describe("the packed tarball in an empty application", () => {
  let app: EmptyApp;
  before(() => {
    app = createEmptyApp();
  });
  after(() => app?.remove());

  test("holds what users need and nothing else", () => {
    const outside = app.files.filter((file) => !/^dist\/.+\.([cm]?js|d\.[cm]?ts)$/.test(file));
    assert.deepEqual(outside, ["CHANGELOG.md", "LICENSE", "README.md", "dist/package.json", "package.json"]);
    for (const { targets } of entries)
      for (const target of targets) assert.ok(app.files.includes(target.slice(2)), `${target} is missing`);
  });

  test("each entry point loads by import and by require, and is one module either way", () => {
    const names = entries.map(({ name }) => name);
    const exported = JSON.parse(app.run(node, "entries.cjs", ...names));
    assert.deepEqual(Object.keys(exported), names);
    assert.ok(exported["sojourn"].includes("session"));
  });

  test("an error that nobody catches shows a short line of code above its message", () => {
    const program = 'import { session } from "sojourn"; session({ secret: process.env.UNSET });';
    assert.throws(
      () => app.run(node, "--input-type=module", "--eval", program),
      ({ message }: Error) => {
        assert.match(message, /^TypeError: secret is undefined: set the environment variable/m);
        assert.deepEqual(
          message.split("\n").filter((line) => line.length > 240),
          [],
        );
        return true;
      },
    );
  });

  test("the core alone loads no optional peer and no database", () => void app.run(node, "core-alone.mjs"));

  for (const program of ["memory.mjs", "memory.cjs", "sqlite.mjs", "open.mjs"])
    test(`${program} serves a visitor and exits`, () => void app.run(node, program));

  describe("types", () => {
    const compile = (file: string, options: Record<string, unknown>) => app.compile(tsc, [file], options);
    before(() => {
      for (const name of ["@types/node", "undici-types"]) app.link(name);
    });
    const resolutions = [
      { module: "nodenext", moduleResolution: "nodenext" },
      { module: "node16", moduleResolution: "node16" },
      { module: "esnext", moduleResolution: "bundler" },
    ];

    for (const resolution of resolutions)
      test(`resolve without Express (${resolution.moduleResolution})`, () =>
        compile("types/plain.ts", { ...resolution, skipLibCheck: false }));

    test("resolve for require() (nodenext)", () =>
      compile("types/commonjs.cts", { module: "nodenext", skipLibCheck: false }));

    test("refuse what isn't there, or the others would prove nothing", () => {
      writeFileSync(join(app.folder, "wrong.ts"), `import { nothing } from "sojourn";\nexport default nothing;`);
      assert.throws(() => compile("wrong.ts", { module: "nodenext" }), /has no exported member 'nothing'/);
      rmSync(join(app.folder, "wrong.ts"));
    });

    describe("with Express", () => {
      before(() => {
        for (const name of ["express", "@types/express"]) app.link(name);
      });
      for (const resolution of resolutions)
        test(`req.session has the declared data (${resolution.moduleResolution})`, () =>
          compile("types/express.ts", { ...resolution, skipLibCheck: true }));

      // The same program by `require`, where the compiler reads other declarations.
      test("types refuse what the run time refuses, and nothing else (import and require)", () => {
        cpSync(join(app.folder, "types/both/checked.mts"), join(app.folder, "types/both/checked.cts"));
        for (const file of ["types/both/checked.mts", "types/both/checked.cts"])
          compile(file, { module: "nodenext", skipLibCheck: false, exactOptionalPropertyTypes: true });
      });

      test("@types/express-session beside ours takes nothing from req.session", () => {
        app.link("@types/express-session");
        compile("types/express.ts", { module: "nodenext", skipLibCheck: true, types: ["node", "express-session"] });
      });
    });
  });
});

describe("an application with the types of Express 4", () => {
  let app: EmptyApp;
  before(() => {
    app = createEmptyApp({ dependencies: { "@types/express": "^4.17.25", "@types/node": "^24.19.2" } });
  });
  after(() => app?.remove());

  for (const file of ["types/express.ts", "types/both/checked.mts"])
    test(`compiles ${file}, every library's types checked too`, () =>
      app.compile(tsc, [file], { module: "nodenext", skipLibCheck: false, exactOptionalPropertyTypes: true }));
});

/**
 * An application as users have it: `express-session` is ours by name, by an alias and `overrides`, and everything else comes from the
 * registry, the original under another name to be compared with.
 */
describe("an application with our packages under the originals' names, and stores from npm", () => {
  let app: EmptyApp;
  const own = keyPrefix();
  before(() => {
    app = createEmptyApp({
      aliases: true,
      dependencies: {
        "@types/connect-pg-simple": "^7.0.3",
        "@types/express": "^5.0.6",
        "@types/node": "^24.19.2",
        "better-sqlite3": "^13.2.0",
        "better-sqlite3-session-store": "^0.1.0",
        "connect-pg-simple": "^10.0.0",
        "connect-redis": "^9.0.0",
        "connect-sqlite3": "^0.9.18",
        memorystore: "^1.6.8",
        original: "npm:express-session@1.19",
        redis: "^6.3.1",
        express: "^5.3.0",
        "session-file-store": "^1.5.0",
      },
    });
  });
  after(async () => {
    app?.remove();
    if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
    if (sharedPostgres.skip === undefined) await dropTables(sharedPostgres.url, own.replace(/\W/g, "_"));
  });

  test("has one express-session, which is ours", () => {
    const found = globSync("node_modules/**/{express,cookie}-session/package.json", { cwd: app.folder });
    const names = found.map((file) => [
      dirname(file).replace("node_modules/", ""),
      readManifest(join(app.folder, dirname(file))).name,
    ]);
    assert.deepEqual(Object.fromEntries(names), {
      "@types/express-session": "sojourn-express-session",
      "cookie-session": "sojourn-cookie-session",
      "express-session": "sojourn-express-session",
    });
  });

  test("each store extends our Store, and the original and we read what the other has kept in it", (t) => {
    const folder = join(app.folder, "data");
    mkdirSync(folder);
    const servers = [sharedRedis, sharedPostgres].map(({ url, skip }) => (skip === undefined ? url : ""));
    const done = app
      .run(process.execPath, "stores.mjs", folder, ...servers, own)
      .trim()
      .split("\n");
    const skipped = [sharedRedis.skip, sharedPostgres.skip].filter((reason) => reason !== undefined);
    assert.equal(done.length, 6 - skipped.length, done.join());
    if (skipped.length > 0) t.skip(skipped.join(", "));
  });

  describe("types", () => {
    // As compilers before TypeScript 6 load everybody's types.
    const every = ["node", "express-session", "connect-pg-simple"];
    const nodenext = { module: "nodenext", moduleResolution: "nodenext" };
    const bundler = { module: "esnext", moduleResolution: "bundler" };
    before(() => {
      // The same programs, with the one line changed instead of the alias.
      for (const file of ["drop-in.ts", "drop-in.cts", "cookie-session.ts"]) {
        const program = readFileSync(join(app.folder, "types", file), "utf8");
        const changed = program.replaceAll(/"((?:express|cookie)-session)"/g, '"sojourn/$1"');
        writeFileSync(join(app.folder, "types", `renamed-${file}`), changed);
      }
    });

    for (const [file, resolution] of [
      ["drop-in.ts", nodenext],
      ["drop-in.ts", bundler],
      ["drop-in.cts", nodenext],
      ["cookie-session.ts", nodenext],
      ["cookie-session.ts", bundler],
      ["stores.ts", nodenext],
    ] as const) {
      for (const name of file === "stores.ts" ? [file] : [file, `renamed-${file}`])
        test(`of ${name} (${resolution.moduleResolution}), every library's checked too`, () =>
          app.compile(tsc, [`types/${name}`], {
            ...resolution,
            types: file === "cookie-session.ts" ? ["node"] : every,
            skipLibCheck: false,
          }));
    }
  });
});
