import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { KINDS, site } from "../support/site.ts";

const SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

/** How an application sets a cookie. */
const WAYS: Record<string, (res: ServerResponse, line: string) => void> = {
  setHeader: (res, line) => res.setHeader("Set-Cookie", line).end(),
  "setHeader with a list": (res, line) => res.setHeader("set-cookie", ["a=1", line]).end(),
  appendHeader: (res, line) => res.appendHeader("Set-Cookie", "a=1").appendHeader("Set-Cookie", line).end(),
  "writeHead with an object": (res, line) => res.writeHead(200, { "set-cookie": ["a=1", line] }).end(),
  "writeHead with pairs": (res, line) => res.writeHead(200, ["Set-Cookie", "a=1", "SET-COOKIE", line]).end(),
  "a padded name": (res, line) => res.setHeader("Set-Cookie", line.replace("=", " =")).end(),
};

const stores = {
  "a store that answers at once": () => new MemoryStore(),
  "a store that answers later": () => new ProbeStore(new MemoryStore(), { async: true }).store,
  "a sealed session": () => new SealedStore({ secret: SECRET }),
};

/** The values under the session's name. */
const values = (lines: readonly string[]) => lines.flatMap((line) => /^\s*sid\s*=([^;]*)/.exec(line)?.[1] ?? []);

for (const kind of KINDS) {
  for (const [kept, store] of Object.entries(stores)) {
    test(`of two cookies of the session's name one travels, the session's if it has one (${kind}, ${kept})`, async (t) => {
      for (const [way, set] of Object.entries(WAYS)) {
        const { visitor } = await site(t, { kind, store: store() }, async (req, res) => {
          if (req.url === "/login") await req.session.login("alice");
          if (req.url === "/logout") await req.session.logout();
          if (req.url === "/who") return res.end(req.session.userId);
          return set(res, `sid=${req.session.userId === null ? "" : "forged"}; Path=/`);
        });
        const browser = visitor();
        const login = await browser.get("/login");
        assert.equal(values(login.setCookies).length, 1, way);
        assert.equal(login.setCookies.includes("a=1"), !["setHeader", "a padded name"].includes(way), "others stay");
        assert.equal((await browser.get("/who")).text, "alice", `${way}: the session's own`);
        // Nothing to send: what the application says is its own business.
        assert.deepEqual(values((await browser.clone().get("/unchanged")).setCookies), ["forged"], way);
        const logout = await browser.get("/logout");
        assert.equal(values(logout.setCookies).length, 1, way);
        assert.ok(
          logout.setCookies.some((line) => line.startsWith("sid=;") && line.includes("Max-Age=0")),
          way,
        );
      }
    });
  }
}

test("a warning tells once of a cookie of the session's name, and not of one that deletes it", async (t) => {
  const told = await warnings(t, async (soFar) => {
    const lines = { "/delete": "told=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/set": "told=mine; Path=/" };
    const { visitor } = await site(t, { name: "told" }, async (req, res) => {
      if (req.url?.endsWith("?login") === true) await req.session.login("alice");
      const [, line = ""] = Object.entries(lines).find(([path]) => req.url?.startsWith(path)) ?? [];
      res.setHeader("Set-Cookie", line).end(`${req.session.userId}`);
    });
    await visitor().get("/delete");
    await visitor().get("/delete?login");
    assert.deepEqual(soFar, []);
    for (const path of ["/set", "/set?login", "/set"]) await visitor().get(path);
  });
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /a cookie named told, which is the session's cookie.*session\(\{ name \}\)/);
});

async function warnings(t: TestContext, work: (soFar: string[]) => Promise<void>): Promise<string[]> {
  const told: string[] = [];
  const listen = (warning: Error) => told.push(warning.message);
  process.on("warning", listen);
  t.after(() => process.off("warning", listen));
  await work(told);
  await new Promise((resolve) => setImmediate(resolve));
  return told;
}
