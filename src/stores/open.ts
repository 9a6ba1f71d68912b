import type { IndexedStore } from "../contract/store.ts";
import type { Clock } from "../contract/time.ts";
import type { FileStoreOptions } from "./file.ts";
import type { MemoryStoreOptions } from "./memory.ts";
import type { MysqlStoreOptions } from "./mysql.ts";
import type { PostgresStoreOptions } from "./postgres.ts";
import type { RedisStoreOptions } from "./redis.ts";
import type { SqliteStoreOptions } from "./sqlite.ts";

// What the options of openStore are made of, for `sojourn` to export: it loads no store itself.
export type { FileStoreOptions } from "./file.ts";
export type { MysqlStoreOptions } from "./mysql.ts";
export type { PostgresStoreOptions } from "./postgres.ts";
export type { WaitOptions } from "./redis/replicated-writes.ts";
export type { ClientPackage, RedisStoreOptions } from "./redis.ts";
export type { SqlStoreOptions } from "./sql/sql-store.ts";
export type { SqliteDurability, SqliteStoreOptions } from "./sqlite.ts";

/** What {@link openStore} can be told: the options of each store, of which those of the one that the URL names are used. */
export interface OpenStoreOptions {
  memory?: MemoryStoreOptions | undefined;
  sqlite?: SqliteStoreOptions | undefined;
  file?: FileStoreOptions | undefined;
  redis?: RedisStoreOptions | undefined;
  postgres?: PostgresStoreOptions | undefined;
  mysql?: MysqlStoreOptions | undefined;
  /** Of whichever store it is. Default: the machine's time. */
  clock?: Clock | undefined;
}

type Kind = Exclude<keyof OpenStoreOptions, "clock">;

/** Which store a URL's scheme means. */
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["memory", "memory"],
  ["sqlite", "sqlite"],
  ["file", "file"],
  ["redis", "redis"],
  ["rediss", "redis"],
  ["postgres", "postgres"],
  ["postgresql", "postgres"],
  ["mysql", "mysql"],
  ["mariadb", "mysql"],
]);

const OPTIONS: ReadonlySet<string> = new Set([...KINDS.values(), "clock"]);

const TAKES =
  '"redis://host:6379", "rediss://…", "postgres://…", "postgresql://…", "mysql://…", "mariadb://…", "sqlite:sessions.db", ' +
  '"file:folder" or "memory:"';

/**
 * Opens the store that a URL names, so that one setting of an application decides where its sessions live. Only that store's module is
 * loaded, and its client's package, if it needs one.
 *
 * Paths: `sqlite:sessions.db` and `sqlite:./sessions.db` are relative to the current folder, `sqlite:/var/lib/app/sessions.db` and
 * `sqlite:///var/lib/app/sessions.db` are absolute, `sqlite::memory:` has no file; likewise `file:` for a folder. `%20` is a space, and so on.
 *
 * It connects to nothing yet: a server that is down fails the calls that need it, and not the start of the application.
 *
 * @throws TypeError (a rejection) for any other URL, for an impossible option, and where the client's package is not installed, with the
 * command that installs it. What the store's constructor throws. No message repeats the URL, which may hold a password.
 * @example
 * app.use(session({ store: await openStore(process.env.SESSION_STORE ?? "sqlite:sessions.db"), secret }));
 */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<IndexedStore> {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name))
      throw new TypeError(`openStore: ${name} is no option; there are ${[...OPTIONS].join(", ")}`);
  }
  const [, scheme = "", rest = ""] = typeof url === "string" ? (/^([a-z]+):(.*)$/s.exec(url) ?? []) : [];
  const clock = options.clock === undefined ? {} : { clock: options.clock };
  switch (KINDS.get(scheme)) {
    case "memory": {
      if (rest !== "") throw new TypeError('openStore: nothing comes after "memory:"');
      const { MemoryStore } = await import("./memory.ts");
      return new MemoryStore({ ...clock, ...options.memory });
    }
    case "sqlite": {
      const path = pathIn(rest, scheme);
      const { SqliteStore } = await import("./sqlite.ts");
      return new SqliteStore(path, { ...clock, ...options.sqlite });
    }
    case "file": {
      const path = pathIn(rest, scheme);
      const { FileStore } = await import("./file.ts");
      return new FileStore(path, { ...clock, ...options.file });
    }
    case "redis": {
      const { RedisStore } = await import("./redis.ts");
      const { loadPackage } = await import("./redis/packages.ts");
      await loadPackage(options.redis?.client);
      return new RedisStore(url, { ...clock, ...options.redis });
    }
    case "postgres": {
      const { PostgresStore } = await import("./postgres.ts");
      const { requirePackage } = await import("./postgres/client.ts");
      await requirePackage();
      return new PostgresStore(url, { ...clock, ...options.postgres });
    }
    case "mysql": {
      const { MysqlStore } = await import("./mysql.ts");
      const { requirePackage } = await import("./mysql/client.ts");
      await requirePackage();
      return new MysqlStore(url, { ...clock, ...options.mysql });
    }
    case undefined:
      throw new TypeError(`openStore: the URL must be one of ${TAKES}${url === undefined ? "; it is not set" : ""}`);
  }
}

/** The path in what comes after `sqlite:` or `file:` (RFC 8089, and relative ones). */
function pathIn(rest: string, scheme: string): string {
  if (/^\/\/(?!\/)/.test(rest)) {
    throw new TypeError(
      `openStore: two slashes begin the name of a host; write "${scheme}:name" for a relative path, "${scheme}:///name" for an absolute one`,
    );
  }
  if (/[?#]/.test(rest)) {
    throw new TypeError(
      `openStore: "${scheme}:" takes no parameters; give options instead, and write %3F and %23 for ? and # in a path`,
    );
  }
  const path = decoded(rest.replace(/^\/\//, ""), scheme);
  if (path === "" || path.includes("\0")) throw new TypeError(`openStore: "${scheme}:" needs a path after it`);
  return path;
}

function decoded(path: string, scheme: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new TypeError(`openStore: the path after "${scheme}:" is not encoded well; write %25 for %`, { cause });
  }
}
