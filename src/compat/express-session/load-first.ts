import { once } from "../callbacks.ts";
import { isNotFound } from "./guarded-save.ts";
import type { SessionStoreLike } from "./session.ts";
import type { SessionData } from "./session-data.ts";

interface Loading {
  readonly store: SessionStoreLike;
  readonly ids: readonly string[];
  /** Called before each ID is looked up. */
  present(id: string): void;
  loaded(data: SessionData): void;
  /** The store has none of them. */
  missing(): void;
  failed(error: unknown): void;
}

/** Loads the session of the first ID that the store knows. A request may have several cookies with good signatures. */
export function loadFirst(loading: Loading, position = 0): void {
  const { store, ids } = loading;
  const id = ids[position];
  if (id === undefined) {
    loading.missing();
    return;
  }
  loading.present(id);
  let hasAnswered = false;
  try {
    store.get(
      id,
      once((error, data) => {
        hasAnswered = true;
        if (error && !isNotFound(error)) loading.failed(error);
        else if (error || !data) loadFirst(loading, position + 1);
        else loading.loaded(data);
      }),
    );
  } catch (error) {
    // After the answer, the error is the application's.
    if (hasAnswered) throw error;
    loading.failed(error);
  }
}
