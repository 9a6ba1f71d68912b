import { once } from "node:events";
import { createServer, get } from "node:http";
import { Session as Inspector } from "node:inspector/promises";
import type { AddressInfo } from "node:net";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import express from "express";
import { session } from "../src/index.ts";

/**
 * Prints the source files and functions that run for one request: `npm run way`. The request is a
 * `GET` with a cookie whose handler reads and writes one property, over `MemoryStore`, on Express.
 * The counts come from V8's precise coverage. `--json` prints a list of {@link VisitedFile}.
 */

/** The functions of one source file that ran, with how often. */
export interface VisitedFile {
  readonly file: string;
  readonly functions: readonly (readonly [name: string, calls: number])[];
}

async function wayOfARequest(): Promise<VisitedFile[]> {
  const app = express();
  const sessions = session({ secret: "0123456789abcdefghijklmnopqrstuvwxyzABCDEF" });
  app.use(sessions);
  app.get("/", (req, res) => {
    const { session } = req;
    Reflect.set(session, "views", Number(Reflect.get(session, "views") ?? 0) + 1);
    res.end();
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  const inspector = new Inspector();
  inspector.connect();
  try {
    const { port } = server.address() as AddressInfo;
    const cookie = await request(port, undefined);
    await request(port, cookie);
    await inspector.post("Profiler.enable");
    await inspector.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    await request(port, cookie);
    const { result } = await inspector.post("Profiler.takePreciseCoverage");
    const src = resolve(import.meta.dirname, "../src");
    return result
      .filter(({ url }) => url.startsWith("file:") && fileURLToPath(url).startsWith(src))
      .map(({ url, functions }) => ({
        file: relative(resolve(src, ".."), fileURLToPath(url)),
        functions: functions
          .map(({ functionName, ranges }) => [functionName || "(anonymous)", ranges[0]?.count ?? 0] as const)
          .filter(([, calls]) => calls > 0),
      }))
      .filter(({ functions }) => functions.length > 0)
      .sort((a, b) => a.file.localeCompare(b.file));
  } finally {
    inspector.disconnect();
    server.close();
    await sessions.close();
  }
}

function request(port: number, cookie: string | undefined): Promise<string> {
  return new Promise((done, failed) => {
    get({ port, host: "127.0.0.1", agent: false, headers: cookie === undefined ? {} : { cookie } }, (res) => {
      const [first = ""] = res.headers["set-cookie"] ?? [];
      res.resume().once("end", () => done(first.split(";", 1)[0] ?? ""));
    }).once("error", failed);
  });
}

function print(way: readonly VisitedFile[]): void {
  for (const { file, functions } of way) {
    console.log(file);
    for (const [name, calls] of functions) console.log(`  ${name}${calls > 1 ? `, ${calls} times` : ""}`);
  }
  const calls = way.flatMap(({ functions }) => functions).reduce((sum, [, count]) => sum + count, 0);
  console.log(`${way.length} files, ${calls} calls`);
}

if (process.argv[1] === import.meta.filename) {
  const way = await wayOfARequest();
  if (process.argv[2] === "--json") console.log(JSON.stringify(way));
  else print(way);
}
