import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createEmptyApp, type EmptyApp } from "../../scripts/empty-app.ts";
import { entryPoints, readManifest, root } from "../../scripts/package.ts";

const node = process.execPath;
const manifest = readManifest();
const entries = entryPoints(manifest);

describe("package.json", () => {
  test("each entry point is built from the source that the repository runs", () => {
    for (const { name, source, types, module } of entries) {
      const built = source.replace("./src/", "./dist/").replace(/\.ts$/, "");
      assert.deepEqual({ types, module }, { types: `${built}.d.ts`, module: `${built}.js` }, name);
    }
  });

  test("compilers that don't read exports find the same types", () => {
    const expected = entries.slice(1).map(({ name, types }) => [name.slice("sojourn/".length), [types]]);
    assert.deepEqual(manifest.typesVersions, { "*": Object.fromEntries(expected) });
    assert.deepEqual([manifest.main, manifest.types], [entries[0]?.module, entries[0]?.types]);
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
    const outside = app.files.filter((file) => !/^(dist\/.+\.(js|d\.ts)|docs\/[^/]+\.md)$/.test(file));
    const expected = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"];
    assert.deepEqual(
      outside.filter((file) => file !== "SECURITY.md"),
      expected,
    );
    for (const { module, types } of entries)
      for (const target of [module, types]) assert.ok(app.files.includes(target.slice(2)), `${target} is missing`);
  });

  test("each entry point loads by import and by require, and is one module either way", () => {
    const names = entries.map(({ name }) => name);
    const exported = JSON.parse(app.run(node, "entries.cjs", ...names));
    assert.deepEqual(Object.keys(exported), names);
    assert.ok(exported["sojourn"].includes("session"));
  });

  test("the core alone loads no optional peer and no database", () => void app.run(node, "core-alone.mjs"));

  for (const program of ["memory.mjs", "memory.cjs", "sqlite.mjs", "open.mjs"])
    test(`${program} serves a visitor and exits`, () => void app.run(node, program));

  describe("types", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
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
    });
  });
});
