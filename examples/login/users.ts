import { randomUUID } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";

export interface User {
  id: string;
  email: string;
  passwordHash: string;
  /** Works for the shop, and may act as a customer. */
  isSupport: boolean;
}

/** The people who may sign in. The library never sees these tables: to it, a user is an ID. */
export class Users {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #employ: StatementSync;
  readonly #setHash: StatementSync;
  readonly #byEmail: StatementSync;
  readonly #byId: StatementSync;

  /** Shares the file with the session store: each has its own connection, and WAL lets them read while one writes. */
  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 1000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS staff (user_id TEXT PRIMARY KEY) STRICT;
    `);
    const select = "SELECT users.*, user_id IS NOT NULL AS is_support FROM users LEFT JOIN staff ON user_id = id";
    this.#insert = this.#database.prepare("INSERT INTO users VALUES (?, ?, ?) ON CONFLICT (email) DO NOTHING");
    this.#employ = this.#database.prepare("INSERT INTO staff VALUES (?)");
    this.#setHash = this.#database.prepare("UPDATE users SET password_hash = ? WHERE id = ?");
    this.#byEmail = this.#database.prepare(`${select} WHERE email = ?`);
    this.#byId = this.#database.prepare(`${select} WHERE id = ?`);
  }

  /** The new user, or `undefined` when the e-mail is taken. The database decides: of two at once, one wins. */
  add(email: string, passwordHash: string): User | undefined {
    const user = { id: randomUUID(), email, passwordHash, isSupport: false };
    return this.#insert.run(user.id, email, passwordHash).changes === 1 ? user : undefined;
  }

  /** Lets a user act as customers. */
  employ({ id }: User): void {
    this.#employ.run(id);
  }

  setPassword({ id }: User, passwordHash: string): void {
    this.#setHash.run(passwordHash, id);
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
  if (row === undefined) return undefined;
  const { id, email, password_hash, is_support } = row;
  return {
    id: String(id),
    email: String(email),
    passwordHash: String(password_hash),
    isSupport: is_support === 1,
  };
}
