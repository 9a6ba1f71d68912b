import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Everything that the environment may say. Nothing needs to be said. */
export interface Settings {
  /** Where to listen: this machine only, unless told otherwise. */
  host: string;
  port: number;
  /** The one SQLite file: sessions and users. */
  file: string;
  /** The session secret, see {@link secretKeptIn}. */
  secret: string;
  /** Where sessions live, see `store.ts`. */
  mode: string;
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const folder = env.DATA_DIR || join(import.meta.dirname, "data");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return {
    host: env.HOST || "127.0.0.1",
    port: Number(env.PORT || 3000),
    file: join(folder, "site.db"),
    secret: env.SESSION_SECRET || secretKeptIn(folder),
    mode: env.SESSION_MODE || "sqlite",
  };
}

/**
 * The secret is made on the first start and kept, because a new secret on every start would refuse every cookie
 * handed out before: a restart would sign everyone out. Only this user of the machine may read it (0600).
 */
function secretKeptIn(folder: string): string {
  const path = join(folder, "session-secret");
  if (!existsSync(path)) {
    // Written beside and renamed: a crash half-way leaves no half a secret.
    writeFileSync(`${path}.new`, randomBytes(32).toString("base64url"), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
  return readFileSync(path, "utf8").trim();
}
