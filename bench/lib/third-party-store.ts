import { load } from "./peer.ts";

type Done = (error?: unknown, session?: unknown) => void;

const { Store }: { Store: new () => object } = load("express-session");

/**
 * A store as third parties write it for express-session: JSON under an ID, and an answer in a later
 * turn of the event loop, as from a server that costs nothing.
 */
export class ThirdPartyStore extends Store {
  readonly #sessions = new Map<string, string>();

  get(id: string, done: Done): void {
    const text = this.#sessions.get(id);
    setImmediate(done, null, text === undefined ? undefined : JSON.parse(text));
  }

  set(id: string, session: object, done: Done = () => undefined): void {
    this.#sessions.set(id, JSON.stringify(session));
    setImmediate(done, null);
  }

  touch(_id: string, _session: object, done: Done = () => undefined): void {
    setImmediate(done, null);
  }

  destroy(id: string, done: Done = () => undefined): void {
    this.#sessions.delete(id);
    setImmediate(done, null);
  }
}
