import { randomUUID } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";

export interface User {
  id: string;
  email: string;
  passwordHash: string;
}

/** The people who may sign in. The library never sees this table: to it, a user is an ID. */
export class Users {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #byEmail: StatementSync;
  readonly #byId: StatementSync;

  /** Shares the file with the session store: each has its own connection, and WAL lets them read while one writes. */
  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 1000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL) STRICT;
    `);
    this.#insert = this.#database.prepare("INSERT INTO users VALUES (?, ?, ?) ON CONFLICT (email) DO NOTHING");
    this.#byEmail = this.#database.prepare("SELECT * FROM users WHERE email = ?");
    this.#byId = this.#database.prepare("SELECT * FROM users WHERE id = ?");
  }

  /** The new user, or `undefined` when the e-mail is taken. The database decides: of two at once, one wins. */
  add(email: string, passwordHash: string): User | undefined {
    const user = { id: randomUUID(), email, passwordHash };
    return this.#insert.run(user.id, email, passwordHash).changes === 1 ? user : undefined;
  }

  withEmail(email: string): User | undefined {
    return toUser(this.#byEmail.get(email));
  }

  withId(id: string): User | undefined {
    return toUser(this.#byId.get(id));
  }

  close(): void {
    this.#database.close();
  }
}

function toUser(row: ReturnType<StatementSync["get"]>): User | undefined {
  return row && { id: String(row.id), email: String(row.email), passwordHash: String(row.password_hash) };
}
