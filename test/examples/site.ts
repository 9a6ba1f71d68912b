import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SERVER = join(import.meta.dirname, "../../examples/login/server.ts");
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

/** The real site in its own process, as `npm start` runs it, on a free port. */
export interface Site {
  url: string;
  child: ChildProcess;
  /** What it printed so far, both streams. */
  output(): string;
  /** Ends the process with a signal and says how it went. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** A folder of its own for the site's data, gone after the test. */
export function temporaryFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-site-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function startSite(t: Cleanup, dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<Site> {
  return start(t, [SERVER], { DATA_DIR: dataDir, ...env });
}

/** An example as `npm run example <name>` runs it, on a free port. */
export function startExample(t: Cleanup, name: string, env: NodeJS.ProcessEnv = {}): Promise<Site> {
  return start(t, ["--disable-warning=ExperimentalWarning", STARTER, name], env);
}

async function start(t: Cleanup, args: string[], env: NodeJS.ProcessEnv): Promise<Site> {
  const child = spawn(process.execPath, ["--conditions=sojourn-source", ...args], {
    env: { PATH: process.env.PATH, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
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
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
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
    return this.#send(path, { headers });
  }

  post(path: string, form: Record<string, string> | string = {}, headers: Record<string, string> = {}): Promise<Page> {
    return this.#send(path, { method: "POST", headers, body: new URLSearchParams(form) });
  }

  /** A form sent, and the page that it redirects to. */
  async submit(path: string, form: Record<string, string> = {}): Promise<Page> {
    const { location, status, text } = await this.post(path, form);
    if (status !== 303 || location === null) throw new Error(`POST ${path} answered ${status}, no redirect:\n${text}`);
    return this.get(location);
  }

  async #send(
    path: string,
    init: { method?: string; headers: Record<string, string>; body?: URLSearchParams },
  ): Promise<Page> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(new URL(path, this.site.url), {
      ...init,
      headers: { ...(cookie && { cookie }), ...init.headers },
      redirect: "manual",
      signal: AbortSignal.timeout(20_000),
    });
    const cookies = response.headers.getSetCookie();
    for (const line of cookies) this.#keep(line);
    const { status, headers } = response;
    return { status, headers, text: await response.text(), location: headers.get("location"), cookies };
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
