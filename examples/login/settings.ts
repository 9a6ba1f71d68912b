import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { duration } from "sojourn";

/** Everything that the environment may say. Nothing needs to be said. */
export interface Settings {
  /** Where to listen: this machine only, unless told otherwise. */
  host: string;
  port: number;
  /** The one SQLite file: sessions, users and the audit log. */
  file: string;
  /** The session secret, see {@link keptIn}. */
  secret: string;
  /** The first password of the support's account, and the file that it is kept in. */
  support: { password: string; path: string };
  /** Where sessions live, see `sessions.ts`. */
  mode: string;
  /** How long a password counts as entered just now, in milliseconds. */
  freshFor: number;
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const folder = env.DATA_DIR || join(import.meta.dirname, "data");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const supportPath = join(folder, "support-password");
  return {
    host: env.HOST || "127.0.0.1",
    port: Number(env.PORT || 3000),
    file: join(folder, "site.db"),
    secret: env.SESSION_SECRET || keptIn(join(folder, "session-secret"), 32),
    support: { password: keptIn(supportPath, 12), path: supportPath },
    mode: env.SESSION_MODE || "sqlite",
    freshFor: duration(env.FRESH_FOR || "1m"),
  };
}

/**
 * A secret is made on the first start and kept: a new session secret on every start would refuse every cookie
 * handed out before, so a restart would sign everyone out. Only this user of the machine may read it (0600).
 */
function keptIn(path: string, bytes: number): string {
  if (!existsSync(path)) {
    // Written beside and renamed: a crash half-way leaves no half a secret.
    writeFileSync(`${path}.new`, randomBytes(bytes).toString("base64url"), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
  return readFileSync(path, "utf8").trim();
}
