/**
 * Plays generated handlers on real servers and checks what the client reads, byte by byte: always one well-formed answer, its own, and the same
 * as without sessions. Any Node runs this file: `node run.mjs <first seed> <how many>`.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { createRequire } from "node:module";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { session } from "sojourn";
import { MemoryStore } from "sojourn/memory";
import { faulty } from "sojourn/testing";
import { programOf, randomOf } from "./generate.mjs";

const require = createRequire(import.meta.url);
const [first = 1, count = 400] = process.argv.slice(2).map(Number);
const turn = () => new Promise((resolve) => setImmediate(resolve));

const FRAMEWORKS = ["express5", "express4", "connect", "http", "http2"];
const NEIGHBOURS = ["none", "none", "compression above", "compression beneath", "morgan", "apicache"];
const hasSqlite = (() => {
  try {
    return process.getBuiltinModule("node:sqlite") !== undefined;
  } catch {
    return false;
  }
})();
const STORES = ["memory", "slow", "slow", ...(hasSqlite ? ["sqlite"] : [])];
if (!hasSqlite) console.log(`skipped: SQLite, which Node ${process.version} has not`);
const { SqliteStore } = hasSqlite ? await import("sojourn/sqlite") : {};

function storeOf(kind) {
  if (kind === "memory") return new MemoryStore();
  if (kind === "sqlite") return new SqliteStore(join(tmpdir(), `sojourn-programs-${process.pid}-${Math.random()}.db`));
  const { store, fail } = faulty(new MemoryStore(), { synchronousLoad: false });
  fail("any", { kind: "delay", ms: 2 }, Number.POSITIVE_INFINITY);
  return store;
}

/** A plain object with a session's methods: what a handler meets where there are no sessions. */
function standIn(req, _res, next) {
  req.session = { save: async () => {}, login: async () => {} };
  next();
}

const patient = { idleTimeout: "1h" };

/** @param {import("node:http").RequestListener | undefined} sessions */
function listenerOf({ framework, neighbour }, sessions, play) {
  const run = (req, res, next) => {
    Promise.resolve()
      .then(() => undefined)
      .catch(() => {});
    play(req, res, next);
  };
  const compression = require("compression")({ threshold: 0 });
  const morgan = require("morgan")((tokens, req, res) => `${req.session?.userId ?? "-"} ${tokens.status(req, res)}`, {
    stream: { write() {} },
  });
  const apicache = require("apicache").newInstance().middleware("1 minute");
  const above = { "compression beneath": [compression], morgan: [morgan] }[neighbour] ?? [];
  const below = { "compression above": [compression], apicache: [apicache] }[neighbour] ?? [];
  const middleware = [...above, sessions ?? standIn, ...below, run];
  if (framework === "http" || framework === "http2") {
    return (req, res) => {
      const go = (position) => {
        const next = (error) => (error === undefined ? go(position + 1) : bareError(error, res));
        const one = middleware[position];
        if (one === undefined) return bareError(new Error("nobody answered"), res);
        try {
          one(req, res, next);
        } catch (error) {
          bareError(error, res);
        }
      };
      go(0);
    };
  }
  const app = {
    express5: () => require("express")(),
    express4: () => require("express4")(),
    connect: () => require("connect")(),
  }[framework]();
  app.set?.("env", "test");
  for (const one of middleware) app.use(one);
  app.use((_error, _req, res, _next) => bareError(_error, res));
  return app;
}

/** Handlers of this round that failed after they had begun to answer. */
let late = 0;

function bareError(_error, res) {
  if (res.headersSent) {
    late += 1;
    if (res.stream?.close === undefined) res.destroy();
    else res.stream.close(2);
    return;
  }
  res.statusCode = 500;
  res.setHeader("Content-Type", "text/plain");
  res.end("failed");
}

/** One handler, as the program says. Everything it throws or rejects with goes to `next`. */
function player(program, seen) {
  return (req, res, next) => {
    const touch = (kind) => {
      if (kind === "nothing") return "";
      if (kind === "set") {
        req.session.sets = (req.session.sets ?? 0) + 1;
        seen.sets += 1;
      }
      return kind === "read" ? `${typeof req.session.nothing};` : "set;";
    };
    const play = async () => {
      // The first steps run in the handler's own turn, as most handlers do.
      for (const step of program.steps) {
        const waiting = perform(step);
        if (waiting !== undefined) await waiting;
      }
    };
    const perform = (step) => {
      switch (step.kind) {
        case "touch":
          touch(step.touch);
          return undefined;
        case "write":
          res.write(`${touch(step.touch)}${step.text}`);
          return undefined;
        case "writeHead": {
          const value = () => touch(step.touch).replace(";", "") || "none";
          if (step.shape === "none") res.writeHead(step.status);
          else if (step.shape === "flat") res.writeHead(step.status, ["X-Head", value()]);
          else res.writeHead(step.status, { "X-Head": value() });
          return undefined;
        }
        case "flushHeaders":
          res.flushHeaders();
          return undefined;
        case "flush":
          res.flush?.();
          return undefined;
        case "header":
          res.setHeader("X-Set", `${touch(step.touch)}1`);
          return undefined;
        case "wait":
          return step.turns === 0
            ? Promise.resolve()
            : Array.from({ length: step.turns }).reduce((all) => all.then(turn), turn());
        case "save":
        case "login": {
          const done = step.kind === "save" ? req.session.save() : req.session.login("alice");
          // A session that can't get its cookie any more says so: that is no part of the answer.
          const settled = done.catch((error) => assert.match(String(error.code), /HEADERS_SENT|SESSION_GONE/));
          return step.awaited ? settled : undefined;
        }
        default:
          return step.later ? turn().then(() => last(step)) : last(step);
      }
    };
    const last = (step) => {
      switch (step.kind) {
        case "end":
          touch(step.touch);
          if (step.text === undefined) res.end();
          else res.end(`${touch(step.touch)}${step.text}`);
          return undefined;
        case "send":
          if (res.send === undefined) res.end(`${touch(step.touch)}sent`);
          else res.send(`${touch(step.touch)}sent`);
          return undefined;
        case "redirect":
          touch(step.touch);
          if (res.redirect === undefined) res.writeHead(302, { Location: "/next" }).end();
          else res.redirect("/next");
          return undefined;
        case "pipe":
          touch(step.touch);
          Readable.from(["one;", "two;".repeat(9_000), "three;"]).pipe(res);
          return undefined;
        case "throw":
          throw new Error("of the handler");
        case "reject":
          return Promise.reject(new Error("of the handler"));
        default:
          next(new Error("of the handler"));
          return undefined;
      }
    };
    play().catch((error) => next(error));
  };
}

/** The bytes of one answer, strictly read: a head, then exactly the body that it announces. */
function readStrictly(bytes) {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return { complete: false, bytes };
  const [statusLine, ...lines] = bytes.slice(0, headEnd).split("\r\n");
  assert.match(statusLine, /^HTTP\/1\.1 \d{3} /, `no status line: ${statusLine}`);
  const headers = {};
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+\-.^_`|~\w]+): ?(.*)$/.exec(line) ?? assert.fail(`no header: ${line}`);
    const key = name.toLowerCase();
    headers[key] = key in headers ? `${headers[key]}\n${value}` : value;
  }
  let rest = bytes.slice(headEnd + 4);
  let body = "";
  let complete = true;
  const status = Number(statusLine.slice(9, 12));
  if (status === 304 || status === 204) assert.equal(rest, "");
  else if (headers["content-length"] !== undefined) {
    body = rest;
    complete = body.length === Number(headers["content-length"]);
    assert.ok(body.length <= Number(headers["content-length"]), "more bytes than the head says");
  } else if (headers["transfer-encoding"] === "chunked") {
    complete = false;
    for (;;) {
      const lineEnd = rest.indexOf("\r\n");
      if (lineEnd < 0) break;
      assert.match(rest.slice(0, lineEnd), /^[0-9a-f]+$/i, "a chunk begins with its size");
      const size = Number.parseInt(rest.slice(0, lineEnd), 16);
      const after = lineEnd + 2 + size + 2;
      if (rest.length < after) break;
      assert.equal(rest.slice(after - 2, after), "\r\n", "a chunk ends with a line");
      body += rest.slice(lineEnd + 2, after - 2);
      rest = rest.slice(after);
      if (size === 0) {
        assert.equal(rest, "", "nothing comes after the last chunk");
        complete = true;
        break;
      }
    }
  } else body = rest;
  return { status, headers, body, complete };
}

function ask(port, path) {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(port, "127.0.0.1");
    let bytes = "";
    socket.setEncoding("latin1");
    socket.setTimeout(20_000, () => socket.destroy(new Error("no answer in 20 s")));
    socket.on("data", (text) => {
      bytes += text;
    });
    socket.on("error", (error) => (error.code === "ECONNRESET" ? undefined : reject(error)));
    socket.on("close", () => {
      try {
        resolve(readStrictly(bytes));
      } catch (error) {
        reject(error);
      }
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`);
  });
}

function askHttp2(port, path) {
  return new Promise((resolve, reject) => {
    const client = connectHttp2(`http://127.0.0.1:${port}`);
    client.on("error", reject);
    const stream = client.request({ ":path": path, "accept-encoding": "gzip" });
    const answer = { status: 0, headers: {}, body: "", complete: false };
    stream.setEncoding("latin1");
    stream.setTimeout(20_000, () => stream.destroy(new Error("no answer in 20 s")));
    stream.on("response", (headers) => {
      for (const [name, value] of Object.entries(headers)) answer.headers[name] = [value].flat().join("\n");
      answer.status = headers[":status"];
    });
    stream.on("data", (text) => {
      answer.body += text;
    });
    stream.on("end", () => {
      answer.complete = true;
    });
    stream.on("error", () => {
      answer.complete = false;
    });
    stream.on("close", () => {
      if (stream.rstCode !== 0 || answer.status === 0) answer.complete = false;
      client.close();
      resolve(answer);
    });
    stream.end();
  });
}

function unpacked({ headers, body, complete }) {
  if (headers?.["content-encoding"] !== "gzip" || !complete || body === "") return body;
  return gunzipSync(Buffer.from(body, "latin1")).toString("latin1");
}

async function serve(setting, sessions, play, talk) {
  const listener = listenerOf(setting, sessions, play);
  const server = setting.framework === "http2" ? createHttp2Server(listener) : createServer(listener);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await talk((path) => (setting.framework === "http2" ? askHttp2 : ask)(server.address().port, path));
  } finally {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections?.();
    await closed;
  }
}

const uncaught = [];
process.on("uncaughtException", (error) => uncaught.push(error));
process.on("unhandledRejection", (error) => uncaught.push(error));
process.on("warning", () => {});
process.removeAllListeners("warning");

/** Plays one program without sessions and with them, and compares. */
async function check(seed) {
  const program = programOf(seed);
  const random = randomOf(seed ^ 0x5bd1e995);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const framework = pick(FRAMEWORKS);
  // These two patch HTTP/1.1's methods only.
  const neighbour = framework === "http2" ? "none" : pick(NEIGHBOURS);
  const setting = { framework, neighbour, store: pick(STORES) };
  const path = `/${seed}`;
  uncaught.length = 0;
  late = 0;
  if (process.env.PROGRAMS_LOG) console.log(JSON.stringify({ setting, program }));

  const plainSeen = { sets: 0 };
  const plain = await serve(setting, undefined, player(program, plainSeen), (get) => get(path));
  // What Node itself makes an uncaught error of is the handler's own affair.
  const plainUncaught = uncaught.splice(0).map(String);

  const store = storeOf(setting.store);
  const sessions = session({ store, ...patient, storeTimeout: { read: "30s", commit: "30s" } });
  const seen = { sets: 0 };
  const { held, again } = await serve(setting, sessions, player(program, seen), async (get) => {
    const answer = await get(path);
    return { held: answer, again: setting.neighbour === "apicache" ? await get(path) : undefined };
  });
  await sessions.close();

  const say = JSON.stringify({ setting, program });
  // While the head waits, a text after the end is dropped, where Node would make an error of it.
  const heldUncaught = uncaught.splice(0).map(String);
  assert.deepEqual(
    heldUncaught.filter((error) => !plainUncaught.includes(error)),
    [],
    `uncaught: ${say}`,
  );
  // Who fails after the end cuts off what still waits, and what Node has sent already not.
  if (plain.complete && late === 0) {
    assert.ok(held.complete, `complete: ${say}`);
    assert.equal(held.status, plain.status, `status: ${say}`);
    assert.equal(unpacked(held), unpacked(plain), `body: ${say}`);
    for (const name of ["x-head", "x-set", "content-type", "location"]) {
      assert.equal(held.headers[name], plain.headers[name], `${name}: ${say}`);
    }
  }
  const cookies = (answer) =>
    (answer?.headers?.["set-cookie"] ?? "").split("\n").filter((line) => line.startsWith("sid="));
  assert.ok(cookies(held).length <= 1, `one cookie at most: ${say}`);
  if (cookies(held).length === 1) assert.equal(held.headers["cache-control"], "no-store", say);
  if (again?.headers?.["apicache-version"] !== undefined && plainSeen.sets === seen.sets) {
    assert.deepEqual(cookies(again), [], `a cached answer has no cookie: ${say}`);
  }
  return setting;
}

// The library's timers keep no process alive.
const awake = setInterval(() => {}, 1_000);
const played = new Map();
for (let seed = first; seed < first + count; seed += 1) {
  try {
    const began = Date.now();
    const setting = await check(seed);
    if (Date.now() - began > 2_000) console.log(`seed ${seed} took ${Date.now() - began} ms`);
    for (const value of Object.values(setting)) played.set(value, (played.get(value) ?? 0) + 1);
  } catch (error) {
    console.error(`seed ${seed}: ${error.message}`);
    process.exitCode = 1;
    if (process.env.PROGRAMS_STOP) process.exit(1);
  }
}
clearInterval(awake);
console.log(
  `${process.version}: ${count} programs from ${first} on: ${[...played].map(([name, times]) => `${name} ${times}`).join(", ")}`,
);
// apicache's timers would keep it alive for another minute.
process.exit();
