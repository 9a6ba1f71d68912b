import { type Arena, contentOf } from "./arena.ts";
import { Integers, NONE, Rings } from "./columns.ts";
import { Directory } from "./directory.ts";
import { Name } from "./name.ts";

/** Whose the sessions are, and which sessions somebody has. A user's ID is held once. */
export class Users {
  readonly #arena: Arena;
  readonly #name = new Name();
  readonly #directory: Directory;
  /** Each user's sessions. */
  readonly #rings = new Rings();
  readonly #firsts = new Integers(1);
  readonly #users = new Integers(1);

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#directory = new Directory(arena);
  }

  /** Of a session that has none. */
  set(session: number, userId: string | null): void {
    if (userId === null) {
      // No page is made for anonymous sessions alone.
      if (this.has(session)) this.#users.set(session, 0, NONE);
      return;
    }
    if (!this.#name.set(userId)) throw new RangeError("too long for a name");
    let user = this.#directory.find(this.#name);
    if (user === NONE) {
      const place = this.#arena.allocate(this.#name.length * 4, this.#name.kind);
      this.#name.writeTo(this.#arena.chunk(place), contentOf(place));
      user = this.#directory.add(this.#name, place);
      this.#firsts.set(user, 0, NONE);
    }
    this.#users.set(session, 0, user);
    this.#firsts.set(user, 0, this.#rings.append(this.#firsts.get(user, 0), session));
  }

  /** Whether the session is somebody's. */
  has(session: number): boolean {
    return this.#users.get(session, 0) !== NONE;
  }

  userId(session: number): string | null {
    const user = this.#users.get(session, 0);
    return user === NONE ? null : this.#directory.text(user);
  }

  /** How many bytes the user's ID counts for. */
  bytes(session: number): number {
    const user = this.#users.get(session, 0);
    return user === NONE ? 0 : this.#directory.bytes(user);
  }

  remove(session: number): void {
    const user = this.#users.get(session, 0);
    if (user === NONE) return;
    this.#users.set(session, 0, NONE);
    const left = this.#rings.remove(this.#firsts.get(user, 0), session);
    if (left === NONE) this.#directory.remove(user);
    else this.#firsts.set(user, 0, left);
  }

  /** Every session of a user. None of them must be added or removed meanwhile. */
  sessions(userId: string): Iterable<number> {
    if (!this.#name.set(userId)) return [];
    const user = this.#directory.find(this.#name);
    return user === NONE ? [] : this.#rings.slots(this.#firsts.get(user, 0));
  }

  /** Forgets everyone; what the arena holds of them is the arena's to clear. */
  clear(): void {
    this.#directory.clear();
  }
}
