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

/** Options for {@link openStore}. The URL selects which store's options apply. */
export interface OpenStoreOptions {
  memory?: MemoryStoreOptions | undefined;
  sqlite?: SqliteStoreOptions | undefined;
  file?: FileStoreOptions | undefined;
  redis?: RedisStoreOptions | undefined;
  postgres?: PostgresStoreOptions | undefined;
  mysql?: MysqlStoreOptions | undefined;
  /** Clock for any store. Default: the system clock. */
  clock?: Clock | undefined;
}

const OPTIONS = ["memory", "sqlite", "file", "redis", "postgres", "mysql", "clock"];

/**
 * Opens the store that a URL names, so that one setting decides where sessions live. Loads only
 * that store's module, and its client's package if it needs one.
 *
 * `sqlite:sessions.db` and `sqlite:./sessions.db` are relative to the current folder.
 * `sqlite:/var/lib/app/sessions.db` and `sqlite:///var/lib/app/sessions.db` are absolute.
 * `sqlite::memory:` has no file. `file:` takes a folder in the same forms. `%20` is a space.
 *
 * Connects to nothing yet: while a server is down, calls fail, but the application starts.
 *
 * @throws TypeError (a rejection) for any other URL and for an invalid option; a `SojournError`
 * `STORE_UNAVAILABLE` if the client's package is not installed, with the command that installs it.
 * Also rejects with what the store's constructor throws. No message repeats the URL, which may hold
 * a password.
 * @example
 * import { openStore, session } from "sojourn";
 *
 * const store = await openStore(process.env.SESSION_STORE ?? "sqlite:sessions.db");
 * const sessions = session({ store });
 */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<IndexedStore> {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`openStore: ${unknown} is no option; there are ${OPTIONS.join(", ")}`);
  }
  const [, scheme = "", rest = ""] = typeof url === "string" ? (/^([a-z]+):(.*)$/s.exec(url) ?? []) : [];
  const clock = options.clock === undefined ? {} : { clock: options.clock };
  switch (scheme) {
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
    case "redis":
    case "rediss": {
      const { RedisStore } = await import("./redis.ts");
      const { loadPackage } = await import("./redis/packages.ts");
      await loadPackage(options.redis?.client);
      return new RedisStore(url, { ...clock, ...options.redis });
    }
    case "postgres":
    case "postgresql": {
      const { PostgresStore } = await import("./postgres.ts");
      await (await import("./postgres/client.ts")).requirePackage();
      return new PostgresStore(url, { ...clock, ...options.postgres });
    }
    case "mysql":
    case "mariadb": {
      const { MysqlStore } = await import("./mysql.ts");
      await (await import("./mysql/client.ts")).requirePackage();
      return new MysqlStore(url, { ...clock, ...options.mysql });
    }
    default:
      throw new TypeError(
        'openStore: the URL must be one of "redis://host:6379", "rediss://…", "postgres://…", "postgresql://…", ' +
          '"mysql://…", "mariadb://…", "sqlite:sessions.db", "file:folder" or "memory:"' +
          (url === undefined ? "; it is not set" : ""),
      );
  }
}

/** Decodes the path after `sqlite:` or `file:` (RFC 8089, and relative paths). */
function pathIn(rest: string, scheme: string): string {
  if (/^\/\/(?!\/)/.test(rest)) {
    throw new TypeError(
      `openStore: two slashes begin the name of a host; write "${scheme}:name" for a relative path, "${scheme}:///name" for an absolute one`,
    );
  }
  if (/[?#]/.test(rest)) {
    throw new TypeError(
      `openStore: "${scheme}:" takes no parameters; use options instead, and write %3F and %23 for ? and # in a path`,
    );
  }
  let path: string;
  try {
    path = decodeURIComponent(rest.replace(/^\/\//, ""));
  } catch (cause) {
    throw new TypeError(`openStore: the path after "${scheme}:" is not encoded well; write %25 for %`, { cause });
  }
  if (path === "" || path.includes("\0")) throw new TypeError(`openStore: "${scheme}:" needs a path after it`);
  return path;
}
