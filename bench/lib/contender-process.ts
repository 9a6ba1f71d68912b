import { setMaxListeners } from "node:events";
import { isBefore, originalOf, useSourceBefore } from "./before.ts";
import { check, filled } from "./check.ts";
import { Connection } from "./connection.ts";
import type { Contender, Site } from "./contender.ts";
import type { Jar } from "./jar.ts";
import {
  type Batch,
  type Call,
  type Described,
  MOST_AT_ONCE,
  type Prepared,
  type Reply,
  type Work,
} from "./messages.ts";
import { type Serving, serve } from "./serving.ts";
import { SessionData } from "./session-data.ts";

/**
 * A process with one contender, so that none runs code that another's requests shaped, or pays for another's garbage. `fleet.ts` starts it
 * and tells it what to do: `node contender-process.ts <file's name>`.
 */
/** More than are under way at once, so that no two requests write to one session. */
const SESSIONS = 96;
/** For so long a visitor's cookies are good without a look at them: less than any library waits to renew one. */
const COOKIES_MS = 40_000;
/** How many requests a batch of the warm-up is, and the shortest batch that is timed. */
const FEWEST = 24;

setMaxListeners(100);
const file = process.argv[2] ?? "";
if (isBefore(file)) useSourceBefore();
const { contender }: { contender: Contender } = await import(`../contenders/${originalOf(file)}.ts`);

interface Open {
  site: Site;
  bytes: number;
  properties: number | undefined;
  connections: Connection[];
  /** Of visitors who have a session. */
  jars: Jar[];
  /** Their headers, and when they were looked at: a client that never took a renewed cookie would have it renewed with every request. */
  cookies: string[];
  cookiesAt: number;
  sent: number;
  written: number;
  failed: number;
}
let open: Open | undefined;
let serving: Serving | undefined;
let current: Work | undefined;

async function describe(): Promise<Described> {
  const { kind, over, stateless = false, server, note } = contender;
  const name = isBefore(file) ? `${contender.name}, before` : contender.name;
  return { name, kind, over, stateless, server, note, missing: await contender.missing?.() };
}

/** Opens the application and checks it, unless it is open, and warms this kind of request up. */
async function prepare(work: Work): Promise<Prepared> {
  if (open?.bytes !== work.bytes || open.properties !== work.properties) {
    await close();
    try {
      open = await opened(work);
    } catch (error) {
      if (error instanceof RangeError) return { tooLarge: error.message };
      throw error;
    }
  }
  await renewCookies(open);
  current = work;
  const deadline = performance.now() + work.warmUpMs;
  let last = await batch(FEWEST);
  while (performance.now() < deadline) last = await batch(FEWEST);
  return { requests: Math.max(FEWEST, Math.ceil((work.batchMs * 1_000 * last.requests) / last.cpuMicroseconds)) };
}

/** A fresh application, checked, with its sessions. */
async function opened({ bytes, properties }: Work): Promise<Open> {
  const data = new SessionData(bytes, properties);
  const site = await contender.open(data);
  const connections = Array.from({ length: MOST_AT_ONCE }, () => new Connection(site.listener));
  const jars: Jar[] = [];
  try {
    const [first] = connections;
    if (first === undefined) throw new Error("no connection");
    await check(contender, first, data);
    if (contender.kind !== "bare") {
      while (jars.length < SESSIONS) jars.push(await filled(contender, first, data));
    }
  } catch (error) {
    await site.close();
    throw error;
  }
  return { site, bytes, properties, connections, jars, cookies: [], cookiesAt: 0, sent: 0, written: 0, failed: 0 };
}

/** Each visitor comes by once. Not timed. */
async function renewCookies(now: Open): Promise<void> {
  const [connection] = now.connections;
  for (const jar of now.jars) jar.take((await connection?.ask("/none", jar.header))?.setCookies ?? []);
  now.cookies = now.jars.map(({ header }) => header);
  now.cookiesAt = performance.now();
}

/** Requests from some connections at once, each of which sends its next one in a turn of the event loop after its last was answered. */
async function batch(requests: number): Promise<Batch> {
  const { promise, resolve } = Promise.withResolvers<Batch>();
  if (open === undefined || current === undefined) throw new Error("nothing is open");
  if (performance.now() - open.cookiesAt > COOKIES_MS) await renewCookies(open);
  const { cookies } = open;
  const { path, cookie, atOnce } = current;
  const now = open;
  let started = 0;
  let finished = 0;
  const send = (connection: Connection): void => {
    if (started === requests) return;
    started++;
    now.sent++;
    connection.send(path, cookie ? cookies[now.sent % cookies.length] : undefined, (res) => {
      if (res.statusCode !== 200) now.failed++;
      if (++finished === requests) {
        const { user, system } = process.cpuUsage(before);
        resolve({ requests, cpuMicroseconds: user + system });
      } else setImmediate(send, connection);
    });
  };
  if (path === "/write") now.written += requests;
  const before = process.cpuUsage();
  for (const connection of now.connections.slice(0, atOnce)) send(connection);
  return await promise;
}

/** Whether all that was timed was done. */
async function close(): Promise<void> {
  if (open === undefined) return;
  const { site, connections, cookies, sent, written, failed } = open;
  open = undefined;
  current = undefined;
  try {
    if (failed > 0) throw new Error(`${failed} of ${sent} requests failed`);
    const [connection] = connections;
    if (written === 0 || contender.stateless || contender.kind === "bare") return;
    let views = -cookies.length;
    for (const cookie of cookies) views += Number((await connection?.ask("/read", cookie))?.body);
    if (views !== written) throw new Error(`of ${written} writes ${views} are there`);
  } finally {
    await site.close();
  }
}

async function answer(call: Call): Promise<Reply> {
  switch (call.method) {
    case "describe":
      return await describe();
    case "prepare":
      return await prepare(call.work);
    case "batch":
      return await batch(call.requests);
    case "close":
      return await close();
    case "serve":
      serving = await serve(contender, call.settings);
      return serving.served;
    case "cpu":
      return cpuMicroseconds();
    case "cookies":
      return (await serving?.cookies()) ?? [];
    case "stopServing":
      return await serving?.close(call.writes);
  }
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

process.on("message", (call: Call) => {
  answer(call).then(
    (value) => process.send?.({ value }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
process.on("disconnect", () => process.exit());
// With its servers, if it has started any.
process.on("SIGTERM", () => process.exit());
