import { Session } from "node:inspector/promises";
import { filled } from "./check.ts";
import { Connection } from "./connection.ts";
import type { Contender } from "./contender.ts";
import { SessionData } from "./session-data.ts";

/** A process that profiles one kind of request: `node profile-process.ts <contender> <path> <cookie|none>`; tells microseconds by place. */
const [name = "", path = "", cookie = "", seconds = "3"] = process.argv.slice(2);
const SESSIONS = 96;
const INTERVAL_MICROSECONDS = 100;

const { contender }: { contender: Contender } = await import(`../contenders/${name}.ts`);
const data = new SessionData(200);
const site = await contender.open(data);
const connection = new Connection(site.listener);
const cookies: (string | undefined)[] = [];
if (cookie === "none") cookies.push(undefined);
else for (let i = 0; i < SESSIONS; i++) cookies.push((await filled(contender, connection, data)).header);

let sent = 0;
async function requests(ms: number): Promise<number> {
  const first = sent;
  for (const end = performance.now() + ms; performance.now() < end; ) {
    await new Promise((resolve) => connection.send(path, cookies[sent++ % cookies.length], resolve));
    if (sent % 8 === 0) await new Promise(setImmediate);
  }
  return sent - first;
}

await requests(Number(seconds) * 700);
const inspector = new Session();
inspector.connect();
await inspector.post("Profiler.enable");
await inspector.post("Profiler.setSamplingInterval", { interval: INTERVAL_MICROSECONDS });
await inspector.post("Profiler.start");
const count = await requests(Number(seconds) * 1_000);
const { profile } = await inspector.post("Profiler.stop");
inspector.disconnect();
await site.close();

const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
const parents = new Map(
  profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)),
);
const places = new Map<string, number>();
for (const [index, id] of (profile.samples ?? []).entries()) {
  const place = placeOf(id);
  places.set(place, (places.get(place) ?? 0) + (profile.timeDeltas?.[index] ?? 0));
}
process.send?.({ requests: count, places: [...places] });

/** The nearest code that is no part of Node: a file of `src/`, or whoever else it is. */
function placeOf(id: number): string {
  for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
    const { functionName, url } = nodes.get(at)?.callFrame ?? { functionName: "", url: "" };
    if (functionName === "(garbage collector)") return "garbage collection";
    const [, file] = /\/src\/(.+)\.ts$/.exec(url) ?? [];
    // The last step of a held response: what sending it costs without us, too.
    if (file === "http/held-response" && functionName === "pass") return "Node: sending";
    if (file !== undefined) return file;
    if (/\/node_modules\/|\/bench\//.test(url)) return "Express, handler, driver";
  }
  return "Node: the rest";
}
