import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import type { StoreOperation } from "../../src/wrap/wrap.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Answer, type Handler, type SiteOptions, site } from "../support/site.ts";

const MINUTE = 60_000;

type Cleanup = { after(action: () => unknown): void };

const handler: Handler = async (req, res) => {
  const url = new URL(req.url ?? "/", "http://localhost");
  switch (url.pathname) {
    case "/unread":
      break;
    case "/read":
      JSON.stringify(req.session);
      break;
    case "/set":
      Object.assign(req.session, { n: url.searchParams.get("n") ?? "1" });
      break;
    case "/login":
      await req.session.login("alice");
      Object.assign(req.session, { cart: ["book"] });
      break;
    case "/logout":
      await req.session.destroy();
      break;
    case "/touch":
      await req.session.touch();
      break;
    case "/save":
      await req.session.save();
      break;
    case "/reload":
      await req.session.reload();
      break;
    case "/persist":
      await req.session.persist("1d");
      break;
    case "/flash":
      req.session.flash("info", "x");
      break;
    case "/id":
      res.setHeader("x-id", req.sessionID);
      break;
  }
  res.end();
};

async function probed(t: Cleanup, { async, ...options }: SiteOptions & { async: boolean }) {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async });
  return { probe, ...(await site(t, { ...options, clock, store: probe.store }, handler)) };
}

for (const async of [false, true]) {
  describe(`what a request costs at ${async ? "an asynchronous" : "a synchronous"} store`, () => {
    test("each class of request", async (t) => {
      const one = await probed(t, { async });
      const visitor = one.visitor();
      await visitor.get("/set");
      // The first request with a token learns when its last use is next to be written down.
      await visitor.get("/unread");
      // An asynchronous store has to be asked before anyone knows whether the session will be read.
      const unread: StoreOperation[] = async ? ["load"] : [];
      const table: [string, StoreOperation[]][] = [
        ["/unread", unread],
        ["/read", ["load"]],
        ["/id", ["load"]],
        ["/set", ["load"]],
        ["/set?n=2", ["load", "update"]],
        ["/touch", ["load", "touch"]],
        ["/save", ["load"]],
        ["/reload", ["load", "load"]],
        ["/persist", ["load", "update"]],
        ["/flash", ["load", "update"]],
        ["/login", ["load", "replace"]],
        ["/logout", ["load", "delete"]],
      ];
      for (const [path, operations] of table) {
        one.probe.reset();
        await visitor.get(path);
        assert.deepEqual(one.probe.operations, operations, path);
      }
    });

    test("a visitor without a session costs nothing, whatever is read of it, and gets no cookie", async (t) => {
      const one = await probed(t, { async });
      for (const path of ["/unread", "/read", "/id", "/touch", "/reload", "/logout"]) {
        for (let i = 0; i < 20; i += 1) assert.deepEqual((await one.visitor().get(path)).setCookies, [], path);
      }
      assert.deepEqual(one.probe.operations, []);
      assert.equal(await one.sessions.count(), 0);
    });

    test("what is stored for the first time costs one call", async (t) => {
      const one = await probed(t, { async });
      for (const path of ["/set", "/save", "/flash", "/login"]) {
        one.probe.reset();
        await one.visitor().get(path);
        assert.deepEqual(one.probe.operations, ["create"], path);
      }
    });

    test("the last use is written down at most once a minute, read or not", async (t) => {
      const one = await probed(t, { async });
      const visitor = one.visitor();
      await visitor.get("/set");
      const touches = async (path: string) => {
        one.probe.reset();
        await visitor.get(path);
        await turn();
        return one.probe.operations.filter((operation) => operation === "touch").length;
      };
      for (const path of ["/read", "/unread"]) {
        one.clock.advance(MINUTE - 1);
        assert.equal(await touches(path), 0, "one millisecond early");
        one.clock.advance(1);
        assert.equal(await touches(path), 1, "due");
        assert.equal(await touches(path), 0, "done");
      }
      one.clock.advance(MINUTE);
      one.probe.reset();
      await visitor.get("/set?n=7");
      assert.equal(one.probe.operations.filter((operation) => operation === "update").length, 1);
      assert.equal(await touches("/read"), 0, "a change writes the last use too");
    });

    test("touchAfter sets the pace", async (t) => {
      const one = await probed(t, { async, touchAfter: 5_000 });
      const visitor = one.visitor();
      await visitor.get("/set");
      one.probe.reset();
      for (let second = 0; second < 60; second += 1) {
        one.clock.advance(1_000);
        await visitor.get("/read");
      }
      assert.equal(one.probe.operations.filter((operation) => operation === "touch").length, 12);
    });

    test("an unchanged session is not written by use", async (t) => {
      const one = await probed(t, { async });
      const visitor = one.visitor();
      await visitor.get("/set");
      one.probe.reset();
      await Promise.all(Array.from({ length: 50 }, () => visitor.get("/read")));
      assert.ok(one.probe.operations.every((operation) => operation === "load"));
    });
  });
}

describe("a stampede", () => {
  test("1,000 parallel requests of one session share their reads: two, while the store is slow", async (t) => {
    let arrived = 0;
    const one = await probed(t, {
      async: true,
      cookie: () => {
        arrived += 1;
        return {};
      },
    });
    const visitor = one.visitor();
    await visitor.get("/set");
    one.probe.reset();
    arrived = 0;
    const gate = one.probe.gate("load");
    const crowd: Promise<Answer>[] = Array.from({ length: 1_000 }, () => visitor.get("/read"));
    while (arrived < 1_000) await turn();
    assert.deepEqual(one.probe.operations, ["load"], "while the first read is on its way");
    gate.open();
    const answers = await Promise.all(crowd);
    assert.ok(answers.every(({ status }) => status === 200));
    assert.deepEqual(one.probe.operations, ["load", "load"]);
  });

  test("who asks while a read is on its way sees at least what was committed before they asked", async (t) => {
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const { visitor } = await site(t, { clock, store: probe.store }, (req, res) => {
      if (req.url === "/set") Object.assign(req.session, { n: 1 });
      if (req.url === "/more") Object.assign(req.session, { n: 2 });
      res.end(JSON.stringify(req.session));
    });
    const one = visitor();
    await one.get("/set");
    // The first read has seen the store, but its answer is still on its way.
    const gate = probe.gate("load", "after");
    const slow = one.get("/");
    await gate.arrived();
    const record = await probe.inner.load(one.token?.slice(0, 22) ?? "");
    assert.ok(record !== undefined);
    await probe.inner.update(one.token?.slice(0, 22) ?? "", { ...record, payload: '[0,"n",1]\n2', version: 2 }, 1);
    const late = one.get("/");
    for (let i = 0; i < 20; i += 1) await turn();
    gate.open();
    assert.equal((await slow).text, '{"n":1}');
    assert.equal((await late).text, '{"n":2}');
  });
});

describe("read your writes", () => {
  test("no byte leaves before the commit is done, with any way to answer", async (t) => {
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const answers: Record<string, Handler> = {
      "/end": (_req, res) => res.end("done"),
      "/empty": (_req, res) => res.end(),
      "/redirect": (_req, res) => res.writeHead(303, { location: "/" }).end(),
      "/write": (_req, res) => {
        res.write("a");
        res.end("b");
      },
      "/flush": (_req, res) => {
        res.flushHeaders();
        res.end("b");
      },
      "/204": (_req, res) => res.writeHead(204).end(),
    };
    const { visitor } = await site(t, { clock, store: probe.store }, (req, res) => {
      const { n } = { n: 0, ...req.session };
      Object.assign(req.session, { n: n + 1 });
      return answers[req.url ?? ""]?.(req, res);
    });
    const one = visitor();
    await one.get("/end");
    for (const [i, path] of Object.keys(answers).entries()) {
      const gate = probe.gate("update");
      let hasAnswered = false;
      const answer = one.get(path).then((value) => {
        hasAnswered = true;
        return value;
      });
      await gate.arrived();
      for (let j = 0; j < 20; j += 1) await turn();
      assert.equal(hasAnswered, false, `${path} answered before it was saved`);
      gate.open();
      await answer;
      const record = await probe.inner.load(one.token?.slice(0, 22) ?? "");
      assert.equal(record?.payload.split("\n")[1], String(i + 2), path);
    }
  });

  test("200 redirects, each to a page that has to see what was just saved", async (t) => {
    for (const async of [false, true]) {
      const clock = new ManualClock();
      const probe = new ProbeStore(new MemoryStore({ clock }), { async });
      const { visitor } = await site(t, { clock, store: probe.store }, (req, res) => {
        const { n } = { n: 0, ...req.session };
        if (req.method === "POST") {
          Object.assign(req.session, { n: n + 1 });
          return res.writeHead(303, { location: "/" }).end();
        }
        return res.end(String(n));
      });
      const one = visitor();
      for (let i = 1; i <= 100; i += 1) {
        await one.post();
        assert.equal((await one.get()).text, String(i));
      }
    }
  });
});
