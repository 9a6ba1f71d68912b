import type { Session } from "./session.ts";

/** Tracks whether a request's session differs from what was loaded, and from what was saved last. Texts are those of `dataText`. */
export class Changes {
  /** The session's ID when the request began. `undefined` until then. */
  originalId: unknown = undefined;
  #originalText: string | undefined = undefined;
  /** `undefined`: the store may hold nothing of this session. */
  savedText: string | undefined = undefined;

  begin(id: unknown, text: string): void {
    this.originalId = id;
    this.#originalText = text;
  }

  /** The store holds the session as it was loaded. */
  keepAsSaved(): void {
    this.savedText = this.#originalText;
  }

  isModified(session: Session, text: string): boolean {
    return this.originalId !== session.id || this.#originalText !== text;
  }

  isSaved(session: Session, text: string): boolean {
    return this.originalId === session.id && this.savedText === text;
  }
}
