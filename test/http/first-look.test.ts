import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import connect from "connect";
import type { IndexedStore } from "../../src/contract/store.ts";
import { session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, hasSession, KINDS, listen, site } from "../support/site.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** What a query may try to be: were it sent before the head, it would be taken for one. */
const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<b>no";

/** Looks at the session for the first time, and returns text of the client's own. */
function page(req: IncomingMessage): string {
  hasSession(req);
  Object.assign(req.session, { n: Number(Reflect.get(req.session, "n") ?? 0) + 1 });
  return `${Reflect.get(req.session, "n")} ${new URL(req.url ?? "/", "http://localhost").searchParams.get("q")}`;
}

/** The arguments are evaluated after the method was looked up, and before it runs. */
const WAYS: Record<string, Handler> = {
  "res.end(page(req))": (req, res) => res.end(page(req)),
  "res.write(page(req))": (req, res) => {
    res.write(page(req));
    res.end();
  },
  "res.writeHead(200, { x: page(req) })": (req, res) => {
    res.writeHead(200, { "x-page": encodeURIComponent(page(req)) });
    res.end(decodeURIComponent(String(res.getHeader("x-page"))));
  },
  "res.end(page(req)) after an await": async (req, res) => {
    await undefined;
    res.end(page(req));
  },
  "res.write, of a method that was looked up before": (req, res) => {
    const { write, end } = res;
    Reflect.apply(write, res, [page(req)]);
    Reflect.apply(end, res, []);
  },
};

const { folder, remove } = temporaryFolder();
after(remove);
let databases = 0;

const STORES: Record<string, (clock: ManualClock) => IndexedStore> = {
  MemoryStore: (clock) => new MemoryStore({ clock }),
  SqliteStore: (clock) => new SqliteStore(join(folder, `${++databases}.db`), { clock }),
  "a store that answers later": (clock) => new ProbeStore(new MemoryStore({ clock }), { async: true }).store,
};

for (const [name, open] of Object.entries(STORES)) {
  describe(`the first look at req.session inside an argument, ${name}`, () => {
    for (const kind of KINDS) {
      for (const [way, handler] of Object.entries(WAYS)) {
        test(`${way}: one answer, with its cookie (${kind})`, async (t) => {
          const clock = new ManualClock();
          const { visitor } = await site(t, { kind, clock, store: open(clock) }, handler);
          const one = visitor();
          const path = `/?q=${encodeURIComponent(HEAD)}`;
          const first = await one.get(path);
          assert.deepEqual([first.status, first.text, first.setCookies.length], [200, `1 ${HEAD}`, 1]);
          const second = await one.get(path);
          assert.deepEqual([second.status, second.text, second.setCookies.length], [200, `2 ${HEAD}`, 0]);
        });
      }
    }

    test("the same in Connect", async (t) => {
      const clock = new ManualClock();
      const sessions = session({ clock, store: open(clock) });
      const app = connect();
      app.use(sessions);
      app.use((req, res) => void res.end(page(req)));
      const one = (await listen(t, createServer(app), sessions)).visitor();
      assert.equal((await one.get("/?q=a")).text, "1 a");
      assert.equal((await one.get("/?q=a")).text, "2 a");
    });
  });
}
