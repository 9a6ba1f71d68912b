/** Whether a session that a request has loaded was ended since. */
export interface Life {
  ended: boolean;
}

/**
 * The stored sessions that this process has in use, so that a request which is still running when its session is destroyed does
 * not write it back. A life is shared by all requests that hold the session, and forgotten with the last of them: nothing
 * expires, and a later session may have the same ID.
 */
export class Lives {
  readonly #inUse = new Map<string, WeakRef<Life>>();
  readonly #forgotten = new FinalizationRegistry<string>((id) => {
    if (this.#inUse.get(id)?.deref() === undefined) this.#inUse.delete(id);
  });

  of(id: string): Life {
    const known = this.#inUse.get(id)?.deref();
    if (known !== undefined) return known;
    const life = { ended: false };
    this.#inUse.set(id, new WeakRef(life));
    this.#forgotten.register(life, id);
    return life;
  }

  /** The session is being destroyed. Returns how to take that back, if the store refuses. */
  end(id: string): () => void {
    const life = this.#inUse.get(id)?.deref();
    if (life === undefined) return () => {};
    life.ended = true;
    this.#inUse.delete(id);
    return () => {
      life.ended = false;
      if (!this.#inUse.has(id)) this.#inUse.set(id, new WeakRef(life));
    };
  }
}
