import type { Awaitable } from "../stores/store.ts";
import { after } from "./awaitable.ts";
import type { StoreAccess } from "./store-access.ts";

const REMEMBERED = 1_000;
/** After this a client that still sends the old token never got the new one, and may begin anew. */
const RECENT_MS = 60_000;

/** One request's replacement of a session, and what others noted of the same session before. */
interface Replaced {
  /** The handle of what is the same session under a new name. */
  heir: string | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
  instead: Replaced | undefined;
}

/**
 * Handles that this process replaced by new ones, the last thousand: a late request with an old token must not have the client's new
 * cookie cleared, and a late logout must end the session under its new handle.
 */
export class Superseded {
  readonly #replacements = new Map<string, Replaced>();

  /**
   * Notes that a session is being replaced. If nothing comes of it, `remove` takes exactly this note back, and not that of another
   * request that replaced the session meanwhile.
   */
  add(handle: string, at: number): Replaced {
    const note = { heir: undefined, at, instead: this.#replacements.get(handle) };
    this.#replacements.set(handle, note);
    if (this.#replacements.size > REMEMBERED) {
      for (const oldest of this.#replacements.keys()) {
        this.#replacements.delete(oldest);
        break;
      }
    }
    return note;
  }

  remove(handle: string, note: Replaced): void {
    const top = this.#replacements.get(handle);
    if (top === note) {
      if (note.instead === undefined) this.#replacements.delete(handle);
      else this.#replacements.set(handle, note.instead);
      return;
    }
    for (let later = top; later !== undefined; later = later.instead) {
      if (later.instead === note) later.instead = note.instead;
    }
  }

  has(handle: string): boolean {
    return this.#replacements.has(handle);
  }

  /** Whether it happened so lately that requests sent before it may still be on their way. */
  isRecent(handle: string, now: number): boolean {
    const note = this.#replacements.get(handle);
    return note !== undefined && now - note.at < RECENT_MS;
  }

  /** Deletes a session under its handle, and under those that it was given since. Whether there was one. */
  end(access: StoreAccess, handle: string): Awaitable<boolean> {
    return after(access.delete(handle), (ended) => {
      // Asked only now: a replacement names the heir before it ends the old session.
      return this.#endHeirs(access, this.#replacements.get(handle), ended);
    });
  }

  #endHeirs(access: StoreAccess, note: Replaced | undefined, ended: boolean): Awaitable<boolean> {
    if (note === undefined) return ended;
    const { heir, instead } = note;
    if (heir === undefined) return this.#endHeirs(access, instead, ended);
    return after(this.end(access, heir), (also) => this.#endHeirs(access, instead, ended || also));
  }
}
