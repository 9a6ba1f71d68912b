import type { Awaitable } from "../stores/store.ts";
import { after } from "./awaitable.ts";
import type { StoreAccess } from "./store-access.ts";

const REMEMBERED = 1_000;

/**
 * Handles that this process replaced by new ones, the last thousand: a late request with an old token must not have the client's new
 * cookie cleared, and a late logout must end the session under its new handle.
 */
export class Superseded {
  readonly #heirs = new Map<string, string | undefined>();

  /** `heir`: the handle of what is the same session under a new name. */
  add(handle: string, heir?: string): void {
    this.#heirs.set(handle, heir);
    if (this.#heirs.size <= REMEMBERED) return;
    for (const oldest of this.#heirs.keys()) {
      this.#heirs.delete(oldest);
      break;
    }
  }

  remove(handle: string): void {
    this.#heirs.delete(handle);
  }

  has(handle: string): boolean {
    return this.#heirs.has(handle);
  }

  /** Deletes a session under its handle, and under those that it was given since. Whether there was one. */
  end(access: StoreAccess, handle: string): Awaitable<boolean> {
    return after(access.delete(handle), (ended) => {
      // Asked only now: a replacement names the heir before it ends the old session.
      const heir = this.#heirs.get(handle);
      return heir === undefined ? ended : after(this.end(access, heir), (endedHeir) => ended || endedHeir);
    });
  }
}
