import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, KINDS, type SiteOptions, site } from "../support/site.ts";

type Cleanup = { after(action: () => unknown): void };

async function probed(t: Cleanup, { async = true, ...options }: SiteOptions & { async?: boolean }, handler: Handler) {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async });
  const one = await site(t, { ...options, clock, store: probe.store }, handler);
  const dataOf = async (token: string | undefined) => (await one.sessions.get(token?.slice(0, 22) ?? ""))?.data;
  return { probe, dataOf, ...one };
}

for (const kind of KINDS) {
  describe(`a response that streams, in ${kind}`, () => {
    test("what changed before the first byte and what changed while it streamed are both saved, in that order", async (t) => {
      for (const async of [true, false]) {
        const one = await probed(t, { kind, async }, async (req, res) => {
          if (req.url === "/set") {
            Object.assign(req.session, { n: 0 });
            return res.end();
          }
          Object.assign(req.session, { n: 1 });
          res.write("first");
          await turn();
          Object.assign(req.session, { n: 2, late: true });
          res.write("second");
          await turn();
          return res.end("third");
        });
        const visitor = one.visitor();
        await visitor.get("/set");
        one.probe.reset();
        const answer = await visitor.get("/stream");
        assert.equal(answer.text, "firstsecondthird");
        assert.deepEqual(await one.dataOf(visitor.token), { n: 2, late: true });
        assert.equal(one.probe.operations.filter((operation) => operation === "update").length, 2);
      }
    });

    test("the end waits for what changed while it streamed: who has all of it finds all of it", async (t) => {
      const one = await probed(t, { kind }, async (req, res) => {
        const { n } = { n: 0, ...req.session };
        if (req.url === "/") return res.end(String(n));
        Object.assign(req.session, { begun: true });
        return Readable.from(
          (async function* () {
            yield "a";
            Object.assign(req.session, { n: n + 1 });
            yield "b";
          })(),
        ).pipe(res);
      });
      const visitor = one.visitor();
      for (let i = 1; i <= 20; i += 1) {
        assert.equal((await visitor.get("/pipe")).text, "ab");
        assert.equal((await visitor.get("/")).text, String(i));
      }
    });

    test("a session begun after the headers left is not stored: no orphan, an event, and save() rejects", async (t) => {
      const caught: unknown[] = [];
      const one = await probed(t, { kind }, async (req, res) => {
        JSON.stringify(req.session);
        res.write("first");
        await turn();
        await turn();
        Object.assign(req.session, { n: 1 });
        await req.session.save().catch((error: unknown) => caught.push(Reflect.get(Object(error), "code")));
        await req.session.login("alice").catch((error: unknown) => caught.push(Reflect.get(Object(error), "code")));
        res.end("last");
      });
      const told: unknown[] = [];
      one.sessions.on("cookie-not-sent", (detail) => told.push(detail));
      const visitor = one.visitor();
      const { status, text, setCookies } = await visitor.get();
      assert.deepEqual([status, text, setCookies], [200, "firstlast", []]);
      assert.deepEqual(caught, ["HEADERS_SENT", "HEADERS_SENT"]);
      assert.deepEqual(told[0], { reason: "headers-sent" });
      assert.equal(await one.sessions.count(), 0);
      assert.ok(!one.probe.operations.includes("create"));
    });

    test("a logout after the headers left still ends the session", async (t) => {
      const one = await probed(t, { kind }, async (req, res) => {
        if (req.url === "/login") {
          await req.session.login("alice");
          return res.end();
        }
        JSON.stringify(req.session);
        res.write("bye");
        await turn();
        await req.session.destroy();
        return res.end(".");
      });
      const visitor = one.visitor();
      await visitor.get("/login");
      assert.equal((await visitor.get("/logout")).text, "bye.");
      assert.equal(await one.sessions.count(), 0);
    });

    test("a commit that fails before the first byte: 503 instead of the stream", async (t) => {
      const one = await probed(t, { kind }, (req, res) => {
        Object.assign(req.session, { n: 1 });
        Readable.from(["a", "b", "c"]).pipe(res);
      });
      one.probe.fail(new Error("down"), "create");
      const { status, text, setCookies } = await one.visitor().get();
      assert.equal(status, 503);
      assert.ok(!text.includes("abc"));
      assert.deepEqual(setCookies, []);
    });

    test("a commit that fails at the end of a stream cuts it off: no complete answer that was not saved", async (t) => {
      const one = await probed(t, { kind }, async (req, res) => {
        if (req.url === "/set") {
          Object.assign(req.session, { n: 1 });
          return res.end();
        }
        JSON.stringify(req.session);
        res.write("first");
        await turn();
        Object.assign(req.session, { n: 2 });
        return res.end("last");
      });
      const visitor = one.visitor();
      await visitor.get("/set");
      one.probe.fail(new Error("down"), "update");
      const { complete } = await visitor.get("/stream");
      assert.equal(complete, false);
      one.probe.heal();
      assert.deepEqual(await one.dataOf(visitor.token), { n: 1 });
    });

    test("an event stream flows freely, and explicit saves reach other requests at once", async (t) => {
      const one = await probed(t, { kind }, async (req, res) => {
        if (req.url === "/set") Object.assign(req.session, { n: 0 });
        if (req.url !== "/events") return res.end(JSON.stringify(req.session));
        JSON.stringify(req.session);
        res.writeHead(200, { "content-type": "text/event-stream" });
        res.flushHeaders();
        for (let n = 1; n <= 3; n += 1) {
          Object.assign(req.session, { n });
          await req.session.save();
          res.write(`data: ${n}\n\n`);
        }
        return res.end();
      });
      const visitor = one.visitor();
      await visitor.get("/set");
      const req = http.get({
        port: one.port,
        host: "127.0.0.1",
        path: "/events",
        headers: { cookie: `sid=${visitor.token}` },
      });
      const [res]: [http.IncomingMessage] = await new Promise((resolve) =>
        req.on("response", (message) => resolve([message])),
      );
      let seen = "";
      for await (const chunk of res) {
        seen += chunk;
        const last = Number(/data: (\d)\n\n$/.exec(seen)?.[1]);
        const { n } = JSON.parse((await visitor.get("/")).text);
        assert.ok(n >= last, `saw ${last}, found ${n}`);
      }
      assert.equal(seen, "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    });
  });
}

describe("clients that go away", () => {
  test("a commit that has begun is finished, and nothing is left behind", async (t) => {
    let served = 0;
    let closed = 0;
    const one = await probed(t, {}, async (req, res) => {
      served += 1;
      res.on("close", () => {
        closed += 1;
      });
      Object.assign(req.session, { n: Number(Reflect.get(req.session, "n") ?? 0) + 1 });
      await turn();
      res.write("half");
      await turn();
      Object.assign(req.session, { m: 1 });
      res.end("rest");
    });
    const visitor = one.visitor();
    await visitor.get();
    const raw = `GET / HTTP/1.1\r\nHost: x\r\nCookie: sid=${visitor.token}\r\n\r\n`;
    for (let cut = 0; cut < 60; cut += 1) {
      const socket = connect(one.port, "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      socket.write(raw.slice(0, raw.length - Math.max(0, 20 - cut)));
      for (let i = 0; i < cut % 12; i += 1) await turn();
      socket.destroy();
    }
    while (closed < served) await turn();
    for (let i = 0; i < 20; i += 1) await turn();
    const { text } = await visitor.get();
    assert.equal(text, "halfrest");
    const data = await one.dataOf(visitor.token);
    assert.equal(data?.["m"], 1);
    assert.ok(Number(data?.["n"]) >= 2);
    assert.equal(await one.sessions.count(), 1);
  });
});

test("changes after the end of a response are saved or reported, and crash nothing", async (t) => {
  const seen: unknown[] = [];
  const one = await probed(t, {}, async (req, res) => {
    const { session } = req;
    if (req.url === "/set") {
      Object.assign(session, { n: 1 });
      return res.end();
    }
    if (req.url !== "/late") return res.end(JSON.stringify(session));
    JSON.stringify(session);
    res.end("done");
    await once(res, "close");
    Object.assign(session, { late: true });
    await session.save();
    seen.push({ ...session });
    return session.login("alice").catch((error: unknown) => seen.push(Reflect.get(Object(error), "code")));
  });
  const visitor = one.visitor();
  await visitor.get("/set");
  await visitor.get("/late");
  while (seen.length < 2) await turn();
  assert.deepEqual(seen, [{ n: 1, late: true }, "HEADERS_SENT"]);
  assert.equal((await visitor.get()).text, '{"n":1,"late":true}');
});
