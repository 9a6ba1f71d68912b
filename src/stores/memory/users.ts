import { type Arena, contentOf } from "./arena.ts";
import { Directory } from "./directory.ts";
import { Name } from "./name.ts";
import { NONE, Rings, Rows } from "./rows.ts";

/** Words of a user's row: the user's first session. */
const FIRST = 0;
const USER_WORDS = 1;
/** Words of a session's: its user, and its neighbours among the user's sessions. */
const USER = 0;
const SIBLINGS = 1;
const SESSION_WORDS = 3;

/** Whose the sessions are, and which sessions somebody has. A user's ID is held once. */
export class Users {
  readonly #arena: Arena;
  readonly #name = new Name();
  readonly #rows = new Rows(USER_WORDS);
  readonly #directory: Directory;
  /** By session. Anonymous sessions alone need none of it. */
  readonly #sessions = new Rows(SESSION_WORDS);
  readonly #rings = new Rings(this.#sessions, SIBLINGS);

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#directory = new Directory(arena);
  }

  /** Of a session that has none. */
  set(session: number, userId: string | null): void {
    if (userId === null) {
      // No page is made for anonymous sessions alone.
      if (this.has(session)) this.#sessions.setInteger(session, USER, NONE);
      return;
    }
    if (!this.#name.set(userId)) throw new RangeError("too long for a name");
    let user = this.#directory.find(this.#name);
    if (user === NONE) {
      const place = this.#arena.allocate(this.#name.length * 4, this.#name.kind);
      this.#name.writeTo(this.#arena.chunk(place), contentOf(place));
      user = this.#directory.add(this.#name, place);
      this.#rows.setInteger(user, FIRST, NONE);
    }
    this.#sessions.setInteger(session, USER, user);
    this.#rows.setInteger(user, FIRST, this.#rings.append(this.#rows.integer(user, FIRST), session));
  }

  /** Whether the session is somebody's. */
  has(session: number): boolean {
    return this.#sessions.integer(session, USER) !== NONE;
  }

  userId(session: number): string | null {
    const user = this.#sessions.integer(session, USER);
    return user === NONE ? null : this.#directory.text(user);
  }

  /** How many bytes the user's ID counts for. */
  bytes(session: number): number {
    const user = this.#sessions.integer(session, USER);
    return user === NONE ? 0 : this.#directory.bytes(user);
  }

  remove(session: number): void {
    const user = this.#sessions.integer(session, USER);
    if (user === NONE) return;
    this.#sessions.setInteger(session, USER, NONE);
    const left = this.#rings.remove(this.#rows.integer(user, FIRST), session);
    if (left === NONE) this.#directory.remove(user);
    else this.#rows.setInteger(user, FIRST, left);
  }

  /** Every session of a user. None of them must be added or removed meanwhile. */
  sessions(userId: string): Iterable<number> {
    if (!this.#name.set(userId)) return [];
    const user = this.#directory.find(this.#name);
    return user === NONE ? [] : this.#rings.slots(this.#rows.integer(user, FIRST));
  }

  /** Forgets everyone; what the arena holds of them is the arena's to clear. */
  clear(): void {
    this.#directory.clear();
  }
}
