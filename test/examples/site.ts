import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as read } from "node:stream/consumers";

const SERVER = join(import.meta.dirname, "../../examples/login/server.ts");
const MOVABLE_TIME = join(import.meta.dirname, "movable-time-process.ts");
const STARTER = join(import.meta.dirname, "../../scripts/example.ts");

/** What cleanup is left to: a test, or {@link SharedCleanup}. */
interface Cleanup {
  after(action: () => unknown): void;
}

/** Cleanup for what a whole file shares: `after(() => shared.run())`, since hooks added within a `before` end with it. */
export class SharedCleanup implements Cleanup {
  readonly #actions: (() => unknown)[] = [];

  after(action: () => unknown): void {
    this.#actions.unshift(action);
  }

  async run(): Promise<void> {
    for (const action of this.#actions.splice(0)) await action();
  }
}

/** A real site in its own process, on a free port. */
export interface Site {
  url: string;
  child: ChildProcess;
  /** What it printed so far, both streams. */
  output(): string;
  /** Ends the process with a signal and says how it went. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** The demo, as `npm start` runs it. */
export interface LoginSite extends Site {
  dataDir: string;
  /** Makes it later in the process by milliseconds, at once. */
  later(ms: number): Promise<void>;
}

/** A folder of its own for the site's data, gone after the test. */
export function temporaryFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-site-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function startSite(t: Cleanup, dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<LoginSite> {
  const site = await start(t, ["--import", MOVABLE_TIME, SERVER], { DATA_DIR: dataDir, ...env });
  return {
    ...site,
    dataDir,
    async later(ms) {
      const moved = once(site.child, "message");
      site.child.send(ms);
      await moved;
    },
  };
}

/** An example as `npm run example <name>` runs it, on a free port. */
export function startExample(t: Cleanup, name: string, env: NodeJS.ProcessEnv = {}): Promise<Site> {
  return start(t, ["--disable-warning=ExperimentalWarning", STARTER, name], env);
}

async function start(t: Cleanup, args: string[], env: NodeJS.ProcessEnv): Promise<Site> {
  const child = spawn(process.execPath, ["--conditions=sojourn-source", ...args], {
    env: { PATH: process.env.PATH, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const ended = once(child, "exit");
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await ended;
  });
  let text = "";
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The site did not start:\n${text}`)), 20_000);
    const hear = (chunk: Buffer) => {
      text += chunk;
      const port = /http:\/\/localhost:(\d+)/.exec(text)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(`http://localhost:${port}`);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`The site ended with ${code}:\n${text}`));
    });
  });
  return {
    url,
    child,
    output: () => text,
    async end(signal) {
      child.kill(signal);
      const [code, by] = await ended;
      return { code, signal: by };
    },
  };
}

/** A page as a test looks at it. */
export interface Page {
  status: number;
  headers: Headers;
  text: string;
  /** Where it redirects to. */
  location: string | null;
  /** The `Set-Cookie` headers. */
  cookies: string[];
}

/** A browser's cookie jar and forms, and nothing else of it: follows no redirect by itself. */
export class Visitor {
  readonly site: Site;
  readonly jar = new Map<string, string>();

  constructor(site: Site, jar: Iterable<[string, string]> = []) {
    this.site = site;
    for (const [name, value] of jar) this.jar.set(name, value);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Page> {
    return this.#send(path, headers);
  }

  post(path: string, form: Record<string, string> | string = {}, headers: Record<string, string> = {}): Promise<Page> {
    return this.#send(path, headers, new URLSearchParams(form).toString());
  }

  /** A form sent, and the page that it redirects to. */
  async submit(path: string, form: Record<string, string> = {}): Promise<Page> {
    const { location, status, text } = await this.post(path, form);
    if (status !== 303 || location === null) throw new Error(`POST ${path} answered ${status}, no redirect:\n${text}`);
    return this.get(location);
  }

  async #send(path: string, headers: Record<string, string>, body?: string): Promise<Page> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join("; ");
    // Not `fetch`, which says that each of its requests is a script's and no page view.
    const asked = request(new URL(path, this.site.url), {
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...(cookie && { cookie }),
        ...(body !== undefined && { "content-type": "application/x-www-form-urlencoded" }),
        accept: "text/html",
        ...headers,
      },
      signal: AbortSignal.timeout(20_000),
    });
    asked.end(body);
    const [response]: IncomingMessage[] = await once(asked, "response");
    assert.ok(response);
    const answered = new Headers();
    for (const [name, values] of Object.entries(response.headersDistinct))
      for (const value of values ?? []) answered.append(name, value);
    const cookies = answered.getSetCookie();
    for (const line of cookies) this.#keep(line);
    const location = answered.get("location");
    return { status: response.statusCode ?? 0, headers: answered, text: await read(response), location, cookies };
  }

  #keep(line: string): void {
    const [pair = "", ...attributes] = line.split(/; */);
    const at = pair.indexOf("=");
    const expires = attributes.find((attribute) => /^expires=/i.test(attribute))?.slice("expires=".length);
    const ended =
      attributes.some((attribute) => /^max-age=0$/i.test(attribute)) || (expires && Date.parse(expires) < Date.now());
    if (ended) this.jar.delete(pair.slice(0, at));
    else this.jar.set(pair.slice(0, at), pair.slice(at + 1));
  }
}
