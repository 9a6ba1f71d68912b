import { type FlashStep, mergeFlash, textOf } from "./content.ts";
import { requireSerializable } from "./serializable.ts";

type Messages = Record<string, unknown[]>;

/** The messages for the next page that one request adds and takes. */
export class FlashMessages {
  #steps: FlashStep[] = [];

  add(type: string, message: unknown): void {
    const text = textOf({ flash: message }, "flash");
    if (text === undefined) throw new TypeError("flash: the message must not be undefined");
    requireSerializable(message, "req.session.flash: the message");
    // A copy: what the application does to its object later is not part of the message.
    this.#steps.push({ type, add: JSON.parse(text) });
  }

  take(type: string, stored: Messages = {}): unknown[] {
    const lists = this.#steps.length === 0 ? stored : mergeFlash(stored, this.#steps);
    const messages = lists !== undefined && Object.hasOwn(lists, type) ? (lists[type] ?? []) : [];
    if (messages.length === 0) return [];
    const take = messages.map((message) => JSON.stringify(message));
    this.#steps.push({ type, take });
    return take.map((text) => JSON.parse(text) as unknown);
  }

  /** Returns the steps if they change what is stored. */
  changes(stored: Messages | undefined): readonly FlashStep[] | undefined {
    if (this.#steps.length === 0) return undefined;
    const merged = mergeFlash(stored ?? {}, this.#steps);
    return JSON.stringify(merged) === JSON.stringify(stored) ? undefined : [...this.#steps];
  }

  /** Forgets steps that are stored by now, or rolled back. */
  drop(steps: readonly FlashStep[]): void {
    this.#steps = this.#steps.filter((step) => !steps.includes(step));
  }
}
