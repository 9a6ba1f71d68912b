import { textOf } from "./content.ts";

/** An object that handlers may still hold after a merge brought a newer value for its property. */
export interface Detached {
  readonly name: string;
  readonly value: object;
  /** The object's JSON text when it was detached. */
  readonly text: string;
}

/** The objects of one session that handlers may still change although it has newer values. */
export class DetachedObjects {
  #objects: Detached[] = [];
  /** Properties that were changed through a detached object, until they are stored. */
  readonly #blind = new Set<string>();

  add(object: Detached): void {
    this.#objects.push(object);
  }

  /**
   * The application has replaced a property: what it does to the old object is no change any more.
   */
  forget(name: string): void {
    this.#objects = this.#objects.filter((one) => one.name !== name);
  }

  /** Removes and returns the objects that the application has changed since they were detached. */
  takeChanged(): readonly Detached[] {
    const all = this.#objects;
    this.#objects = all.filter(({ name, value, text }) => isText({ [name]: value }, name, text));
    const changed = all.filter((one) => !this.#objects.includes(one));
    for (const { name } of changed) this.#blind.add(name);
    return changed;
  }

  /** Returns which of these properties were changed without a look at their stored value. */
  blindAmong(names: ReadonlyMap<string, unknown>): readonly string[] | undefined {
    return this.#blind.size === 0 ? undefined : [...this.#blind].filter((name) => names.has(name));
  }

  /** These properties are stored. */
  settled(names: readonly string[]): void {
    for (const name of names) this.#blind.delete(name);
  }
}

/** Whether a property has this JSON text. */
export function isText(holder: Readonly<Record<string, unknown>>, name: string, text: string | undefined): boolean {
  try {
    return textOf(holder, name) === text;
  } catch {
    return false;
  }
}
