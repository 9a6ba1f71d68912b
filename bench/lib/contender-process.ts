import { setMaxListeners } from "node:events";
import { check, filled } from "./check.ts";
import { Connection } from "./connection.ts";
import type { Contender, Site } from "./contender.ts";
import type { Batch, Call, Described, Prepared, Reply, Work } from "./messages.ts";
import { type Serving, serve } from "./serving.ts";
import { SessionData } from "./session-data.ts";

/**
 * A process with one contender, so that none runs code that another's requests shaped, or pays for another's garbage. `fleet.ts` starts it
 * and tells it what to do: `node contender-process.ts <file's name>`.
 */
const CONNECTIONS = 8;
/** More than are under way at once, so that no two requests write to one session. */
const SESSIONS = 96;
/** How many requests a batch of the warm-up is, and the shortest batch that is timed. */
const FEWEST = 24;

setMaxListeners(100);
const name = process.argv[2] ?? "";
const { contender }: { contender: Contender } = await import(`../contenders/${name}.ts`);

interface Open {
  site: Site;
  work: Work;
  connections: Connection[];
  cookies: (string | undefined)[];
  sent: number;
  failed: number;
}
let open: Open | undefined;
let serving: Serving | undefined;

async function describe(): Promise<Described> {
  const { name, kind, over, stateless = false, server, note } = contender;
  return { name, kind, over, stateless, server, note, missing: await contender.missing?.() };
}

/** Opens a fresh application, checks it, fills its sessions, and warms it up. */
async function prepare(work: Work): Promise<Prepared> {
  const data = new SessionData(work.bytes);
  const site = await contender.open(data);
  const connections = Array.from({ length: CONNECTIONS }, () => new Connection(site.listener));
  const [first] = connections;
  if (first === undefined) throw new Error("no connection");
  open = { site, work, connections, cookies: [undefined], sent: 0, failed: 0 };
  try {
    await check(contender, first, data);
    if (work.cookie && contender.kind !== "bare") {
      open.cookies = [];
      for (let i = 0; i < SESSIONS; i++) open.cookies.push((await filled(contender, first, data)).header);
    }
  } catch (error) {
    await close();
    if (error instanceof RangeError) return { tooLarge: error.message };
    throw error;
  }
  const deadline = performance.now() + work.warmUpMs;
  let last = await batch(FEWEST);
  while (performance.now() < deadline) last = await batch(FEWEST);
  return { requests: Math.max(FEWEST, Math.ceil((work.batchMs * 1_000 * last.requests) / last.cpuMicroseconds)) };
}

/** Requests from all connections at once, each of which sends its next one in a turn of the event loop after its last was answered. */
function batch(requests: number): Promise<Batch> {
  const { promise, resolve } = Promise.withResolvers<Batch>();
  if (open === undefined) throw new Error("nothing is open");
  const { connections, cookies, work } = open;
  const now = open;
  let started = 0;
  let finished = 0;
  const send = (connection: Connection): void => {
    if (started === requests) return;
    started++;
    connection.send(work.path, cookies[now.sent++ % cookies.length], (res) => {
      if (res.statusCode !== 200) now.failed++;
      if (++finished === requests) {
        const { user, system } = process.cpuUsage(before);
        resolve({ requests, cpuMicroseconds: user + system });
      } else setImmediate(send, connection);
    });
  };
  const before = process.cpuUsage();
  for (const connection of connections) send(connection);
  return promise;
}

/** Whether all that was timed was done. */
async function close(): Promise<void> {
  if (open === undefined) return;
  const { site, work, connections, cookies, sent, failed } = open;
  open = undefined;
  try {
    if (failed > 0) throw new Error(`${failed} of ${sent} requests failed`);
    const [connection] = connections;
    if (work.path !== "/write" || sent === 0 || contender.stateless || contender.kind === "bare") return;
    let views = -cookies.length;
    for (const cookie of cookies) views += Number((await connection?.ask("/read", cookie))?.body);
    if (views !== sent) throw new Error(`of ${sent} writes ${views} are there`);
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
