import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Sessions } from "sojourn";

/** What happened, as the support page shows it. */
export interface Entry {
  at: Date;
  /** The session's event, such as `login`. */
  event: string;
  /** Whose session it was: an e-mail address. */
  user: string | undefined;
  /** Who acted as that user. */
  actor: string | undefined;
  detail: string;
}

/** Of each event, so that a flood of one kind pushes nothing out of the log but its own kind. */
const KEPT = 1000;
const SHOWN = 25;

/** Writes down what sessions tell by their events. These carry no token and no data, so they are safe to keep. */
export class Audit {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #forget: StatementSync;
  readonly #newest: StatementSync;

  /** Shares the file with {@link Users}, whose table has the e-mail addresses. */
  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 1000 });
    this.#database.exec(`
      CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, event TEXT NOT NULL, user_id TEXT, actor_id TEXT, detail TEXT NOT NULL
      ) STRICT;
    `);
    this.#insert = this.#database.prepare("INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?)");
    this.#forget = this.#database.prepare(`
      DELETE FROM audit WHERE event = ?1 AND id <= (
        SELECT id FROM audit WHERE event = ?1 ORDER BY id DESC LIMIT 1 OFFSET ${KEPT}
      )`);
    this.#newest = this.#database.prepare(`
      SELECT at, event, detail, users.email AS user, actors.email AS actor FROM audit
      LEFT JOIN users ON users.id = user_id LEFT JOIN users AS actors ON actors.id = actor_id
      ORDER BY audit.id DESC LIMIT ${SHOWN}`);
  }

  listen(sessions: Sessions): void {
    sessions.on("login", ({ userId }) => this.#add("login", "", userId));
    sessions.on("confirm", ({ userId }) => this.#add("confirm", "", userId));
    sessions.on("destroy", ({ userId }) => userId !== null && this.#add("destroy", "", userId));
    sessions.on("revoke", ({ userId, count }) =>
      this.#add(
        "revoke",
        Number.isNaN(count) ? "all other devices" : `${count} ${count === 1 ? "device" : "devices"}`,
        userId,
      ),
    );
    sessions.on("impersonate", ({ userId, actorId, reason }) => this.#add("impersonate", reason, userId, actorId));
    sessions.on("impersonation-ended", ({ userId, actorId, reason }) =>
      this.#add("impersonation-ended", reason, userId, actorId),
    );
    sessions.on("cross-site", ({ origin }) => this.#add("cross-site", origin ?? "an unknown site"));
  }

  newest(): Entry[] {
    return this.#newest.all().map(({ at, event, user, actor, detail }) => ({
      at: new Date(Number(at)),
      event: String(event),
      user: user === null ? undefined : String(user),
      actor: actor === null ? undefined : String(actor),
      detail: String(detail),
    }));
  }

  close(): void {
    this.#database.close();
  }

  #add(event: string, detail: string, userId?: string, actorId?: string): void {
    this.#insert.run(Date.now(), event, userId ?? null, actorId ?? null, detail);
    this.#forget.run(event);
  }
}
