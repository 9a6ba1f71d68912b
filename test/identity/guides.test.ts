import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { root } from "../../scripts/package.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/**
 * Every block of code of these guides runs as it stands. Here the requests to each application, as a script, with `ask(path, options?)` that keeps
 * cookies and returns status, text and headers; `undefined` for a program that listens to nothing.
 */
const GUIDES: Record<string, readonly (string | undefined)[]> = {
  "limits.md": [
    `for (let i = 0; i < 3; i += 1) assert.equal((await browser().post("/login")).status, 200);
     const refused = await browser().post("/login");
     assert.equal(refused.status, 409);
     assert.equal(JSON.parse(refused.text).devices.length, 3);`,
    undefined,
    `const one = browser();
     await one.post("/callback");
     assert.deepEqual(JSON.parse((await one.post("/backchannel-logout")).text), { ended: 1 });`,
  ],
};

const HELPERS = `
import assert from "node:assert/strict";
import { once } from "node:events";
function browser() {
  const cookies = new Map();
  const ask = async (method, path, headers = {}) => {
    const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
    const response = await fetch(origin + path, { method, redirect: "manual", headers: { cookie, ...headers } });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  return { get: (path, headers) => ask("GET", path, headers), post: (path, headers) => ask("POST", path, headers) };
}
await once(server, "listening");
const origin = "http://127.0.0.1:" + server.address().port;
`;

const { folder, remove } = temporaryFolder();

describe("the guides", { concurrency: 1 }, () => {
  for (const [guide, scripts] of Object.entries(GUIDES)) {
    const page = readFileSync(join(root, "docs/guides", guide), "utf8");
    const blocks = [...page.matchAll(/```js\n(.*?)```/gs)].map(([, code = ""]) => code);

    test(`${guide} opens with code, and has as many programs as are run here`, () => {
      assert.equal(blocks.length, scripts.length);
      assert.match(page, /^# [^\n]+\n\n```js\n/);
    });

    for (const [index, code] of blocks.entries()) {
      test(`${guide}: program ${index + 1} runs`, async () => {
        const script = scripts[index];
        const served = code
          .replace("app.listen(3000)", "const server = app.listen(0, '127.0.0.1')")
          .replace('"sessions.db"', JSON.stringify(join(folder, `${guide}.${index}.db`)));
        const program = script === undefined ? served : `${served}\n${HELPERS}\n${script}\nprocess.exit(0);`;
        const run = promisify(execFile);
        await run(process.execPath, ["--conditions=sojourn-source", "--input-type=module", "-e", program], {
          cwd: root,
          timeout: 60_000,
        });
      });
    }
  }

  test("leave nothing behind", () => remove());
});
