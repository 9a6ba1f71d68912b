import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import cookieSession from "../../src/compat/cookie-session.ts";
import { session as sojourn } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { faulty } from "../../src/testing/faulty-store.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { type Any, load } from "./world.ts";

/** Responses that are not Node's own: a stream that gets its status by `writeHead`, as Sails makes them; half a response; none. */
const libraries: Record<"theirs" | "ours", Any> = {
  theirs: load("express-session"),
  ours: load("../../src/compat/express-session.ts"),
};

const METHODS = {
  setHeader(this: Any, name: string, value: unknown) {
    this.headers[name.toLowerCase()] = value;
  },
  getHeader(this: Any, name: string) {
    return this.headers[name.toLowerCase()];
  },
  writeHead(this: Any, status: number) {
    this.statusCode = status;
  },
  _implicitHeader(this: Any) {
    this.writeHead(this.statusCode ?? 200);
  },
};

function virtualResponse(): Any {
  return Object.assign(new PassThrough(), { headers: {} }, METHODS);
}

function virtualRequest(headers = {}): Any {
  return { headers, url: "/", method: "GET", connection: {} };
}

/** What such a response comes to: its body, its status, and the names of its cookies. */
async function received(response: Any): Promise<unknown[]> {
  let text = "";
  for await (const chunk of response) text += chunk;
  return [text, response.statusCode, namesOf(response)];
}

function namesOf(response: Any): string[] {
  return [response.headers["set-cookie"] ?? []].flat().map((line: string) => line.split("=")[0] ?? "");
}

const ends: Record<string, (res: Any) => unknown> = {
  "end(text)": (res) => res.end("text"),
  "end()": (res) => res.end(),
  "write, then end": (res) => [res.write("te"), res.end("xt")],
  "writeHead, then end": (res) => [res.writeHead(201), res.end("text")],
  "a status, then end": (res) => [Object.assign(res, { statusCode: 404 }), res.end("text")],
  "a source that is piped": (res) => {
    const source = new PassThrough();
    source.pipe(res);
    source.end("text");
  },
};

describe("a stream that gets its status by writeHead", () => {
  for (const [how, end] of Object.entries(ends)) {
    test(`${how}: the drop-in stores the session once and sends its cookie, as the original does`, async () => {
      const seen: Record<string, unknown[]> = {};
      for (const [which, library] of Object.entries(libraries)) {
        const store = new library.MemoryStore();
        const set = store.set.bind(store);
        let sets = 0;
        store.set = (...args: Any[]) => {
          sets += 1;
          set(...args);
        };
        const middleware = library({ secret: "keyboard cat", resave: false, saveUninitialized: false, store });
        const req = virtualRequest();
        const res = virtualResponse();
        middleware(req, res, () => {
          req.session.user = "ada";
          end(res);
        });
        seen[which] = [...(await received(res)), sets];
      }
      assert.deepEqual(seen["theirs"]?.slice(-2), [["connect.sid"], 1]);
      assert.deepEqual(seen["ours"], seen["theirs"]);
    });

    for (const [kind, store] of Object.entries({
      "in memory": undefined,
      elsewhere: asynchronous(new MemoryStore()),
    })) {
      test(`${how}: sojourn with a store ${kind} stores the session and sends its cookie`, async () => {
        const sessions = sojourn(store === undefined ? {} : { store });
        const play = async (headers: object, action: (req: Any) => void) => {
          const req = virtualRequest(headers);
          const res = virtualResponse();
          sessions(req, res, () => {
            action(req);
            end(res);
          });
          return { res, answer: await received(res) };
        };
        const { res, answer } = await play({}, (req) => Object.assign(req.session, { name: "ada" }));
        assert.deepEqual(answer.at(-1), ["sid"]);
        const cookie = [res.headers["set-cookie"]].flat()[0].split(";")[0];
        let name: unknown;
        await play({ cookie }, (req) => (name = req.session.name));
        assert.equal(name, "ada");
      });
    }
  }

  for (const [how, end] of Object.entries(ends)) {
    test(`${how}: a commit that fails is answered with an error, by the drop-in and by sojourn`, async () => {
      const { store, fail } = faulty(new MemoryStore(), { synchronousLoad: false });
      fail("create", { kind: "error" });
      const failing = {
        // What JSON can't hold fails before anything has left.
        "the drop-in": libraries.ours({ secret: "keyboard cat", resave: false, saveUninitialized: false }),
        sojourn: sojourn({ store }),
      };
      for (const [name, middleware] of Object.entries(failing)) {
        const req = virtualRequest();
        const res = virtualResponse();
        const errors: unknown[] = [];
        middleware(req, res, (error: unknown) => {
          if (error) {
            errors.push(error);
            res.statusCode = 500;
            return res.end("failed");
          }
          req.session.user = name === "sojourn" ? "ada" : 1n;
          end(res);
        });
        const [text, status, cookies] = await received(res);
        assert.deepEqual([Number(status) >= 500, cookies], [true, []], name);
        assert.notEqual(text, "text", name);
      }
    });
  }

  test("the cookie-session drop-in sends its cookies", async () => {
    const req = virtualRequest();
    const res = virtualResponse();
    cookieSession({ keys: ["a"] })(req, res, () => {
      req.session.user = "ada";
      res.end("text");
    });
    assert.deepEqual(await received(res), ["text", 200, ["session", "session.sig"]]);
  });
});

/** As Engine.IO makes it for a WebSocket handshake, in its older and its newer versions: `end` is not called. */
const handshakes: Record<string, () => Any> = {
  "without events": () => ({ headers: {}, ...METHODS, write() {}, end() {} }),
  "with events": () => Object.assign(new EventEmitter(), { headers: {} }, METHODS, { write() {}, end() {} }),
};

for (const [kind, make] of Object.entries(handshakes)) {
  test(`a handshake's response ${kind} takes the drop-ins' cookies, as it takes the originals'`, async () => {
    const middlewares = {
      ...Object.fromEntries(
        Object.entries(libraries).map(([which, library]) => [
          which,
          library({ secret: "keyboard cat", resave: false, saveUninitialized: false, genid: () => "id" }),
        ]),
      ),
      theirCookies: load("cookie-session")({ keys: ["a"] }),
      ourCookies: cookieSession({ keys: ["a"] }),
    };
    const seen: Record<string, unknown> = {};
    for (const [which, middleware] of Object.entries(middlewares)) {
      const req = virtualRequest();
      const res = make();
      await new Promise<void>((resolve) => middleware(req, res, resolve));
      req.session.user = "ada";
      res.writeHead();
      res.writeHead();
      seen[which] = res.headers;
    }
    assert.deepEqual(seen["ours"], seen["theirs"]);
    assert.deepEqual(seen["ourCookies"], seen["theirCookies"]);
    assert.ok(Object(seen["ours"])["set-cookie"]);
  });

  test(`a handshake's response ${kind}: sojourn's session is saved by save()`, async () => {
    const sessions = sojourn({});
    const req = virtualRequest();
    await new Promise<void>((resolve) => sessions(req, make(), () => resolve()));
    req.session.user = "ada";
    await req.session.save().catch((error: Any) => assert.equal(error.code, "HEADERS_SENT"));
  });
}

test("an error of a response reaches the application's listener alone", async () => {
  const req = virtualRequest();
  const res = virtualResponse();
  libraries.ours({ secret: "keyboard cat", resave: false, saveUninitialized: false })(req, res, () => {});
  const failed = once(res as ServerResponse, "error");
  res.emit("error", new Error("mine"));
  assert.deepEqual((await failed).map(String), ["Error: mine"]);
  res.emit("error", Object.assign(new Error("again"), { code: "ERR_STREAM_WRITE_AFTER_END" }));
  assert.throws(() => res.emit("error", new Error("nobody's")), /nobody's/);
});
