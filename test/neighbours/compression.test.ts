import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { type Any, express, kinds, listen, load, remembersVisitors, sessionCookies } from "./world.ts";

/** https://www.npmjs.com/package/compression: pages and event streams, compressed below and above the sessions. */
for (const [kind, open] of Object.entries(kinds)) {
  describe(`compression with sessions ${kind}`, () => {
    /** The application with compression where its README has it, and after the sessions. */
    function application(t: Any, order: "above" | "below", configure: (app: Any) => void): Any {
      const compression = load("compression")({ threshold: 0 });
      const sessions = open(t);
      const app = load("express")();
      app.use(...(order === "above" ? [compression, sessions] : [sessions, compression]));
      configure(app);
      return app;
    }

    for (const order of ["above", "below"] as const) {
      test(`${order} the sessions, a compressed page comes whole and with its cookie`, async (t) => {
        const page = "a long page, ".repeat(2_000);
        const app = application(t, order, (app) =>
          app.get("/", (req: Any, res: Any) => {
            req.session.read = true;
            res.type("text").send(page);
          }),
        );
        const { port } = await listen(t, app);
        const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { "accept-encoding": "gzip" } });
        assert.equal(answer.headers.get("content-encoding"), "gzip");
        assert.equal(sessionCookies({ setCookies: answer.headers.getSetCookie() }).length, 1);
        assert.equal(await answer.text(), page);
      });

      // As in the README's "Server-Sent Events".
      test(`${order} the sessions, an event that is flushed arrives at once`, async (t) => {
        let goOn = () => {};
        const seen = new Promise<void>((resolve) => {
          goOn = resolve;
        });
        const app = application(t, order, (app) =>
          app.get("/events", async (req: Any, res: Any) => {
            req.session.listens = true;
            res.setHeader("Content-Type", "text/event-stream");
            res.setHeader("Cache-Control", "no-cache");
            res.write("data: hello\n\n");
            res.flush();
            // Nothing more comes before the browser has seen the first event.
            await seen;
            res.write("data: goodbye\n\n");
            res.flush();
            res.end();
          }),
        );
        const browser = await listen(t, app);
        const answer = await browser.ask("/events", {
          onText: (text) => text.includes("hello") && goOn(),
        });
        assert.equal(answer.text, "data: hello\n\ndata: goodbye\n\n");
        assert.equal(sessionCookies(answer).length, 1);
      });

      test(`${order} the sessions, a compressed event that is flushed arrives at once`, async (t) => {
        let goOn = () => {};
        const seen = new Promise<void>((resolve) => {
          goOn = resolve;
        });
        const app = application(t, order, (app) =>
          app.get("/events", async (req: Any, res: Any) => {
            req.session.listens = true;
            res.setHeader("Content-Type", "text/event-stream");
            res.write("data: hello\n\n");
            res.flush();
            await seen;
            res.end("data: goodbye\n\n");
          }),
        );
        const browser = await listen(t, app);
        const answer = await fetch(`http://127.0.0.1:${browser.port}/events`, {
          headers: { "accept-encoding": "gzip" },
          signal: AbortSignal.timeout(5_000),
        });
        let text = "";
        const decoder = new TextDecoder();
        assert.ok(answer.body);
        for await (const chunk of answer.body) {
          text += decoder.decode(chunk, { stream: true });
          if (text.includes("hello")) goOn();
        }
        assert.equal(text, "data: hello\n\ndata: goodbye\n\n");
      });
    }

    test("visitors are remembered", async (t) => {
      const app = application(t, "above", (app) =>
        app.get("/", (req: Any, res: Any) => {
          req.session.visits = (req.session.visits ?? 0) + 1;
          res.send(String(req.session.visits));
        }),
      );
      await remembersVisitors(await listen(t, app));
    });

    test("an answer without a body stays one", async (t) => {
      const app = application(t, "above", (app) =>
        app.post("/", (req: Any, res: Any) => {
          req.session.posted = true;
          res.sendStatus(204);
        }),
      );
      const answer = await (await listen(t, app)).ask("/", { method: "POST", headers: { "accept-encoding": "gzip" } });
      assert.deepEqual([answer.status, answer.text, sessionCookies(answer).length], [204, "", 1]);
      assert.equal(answer.headers["content-encoding"], undefined);
    });
  });
}

test("the packed bytes are gzip, whoever unpacks them", async (t) => {
  const app = express(kinds["on a distant store"]?.(t), () => {});
  const outer = load("express")();
  outer.use(load("compression")({ threshold: 0 }));
  outer.use(app);
  app.get("/", (req: Any, res: Any) => {
    req.session.read = true;
    res.send("page");
  });
  const { port } = await listen(t, outer);
  const { body } = await raw(port);
  assert.equal(gunzipSync(body).toString(), "page");
});

async function raw(port: number): Promise<{ body: Buffer }> {
  const { get } = load("node:http");
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: "/", headers: { "accept-encoding": "gzip" } }, (res: Any) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("end", () => resolve({ body: Buffer.concat(chunks) }));
    }).on("error", reject);
  });
}
