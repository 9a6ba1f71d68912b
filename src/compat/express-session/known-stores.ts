import { Lives } from "./lives.ts";
import type { SessionStoreLike } from "./session.ts";

/** What is known of each store, however many middlewares share it. */
interface Known {
  readonly lives: Lives;
  isConnected: boolean;
}

const stores = new WeakMap<SessionStoreLike, Known>();

function known(store: SessionStoreLike): Known {
  const before = stores.get(store);
  if (before !== undefined) return before;
  const entry: Known = { lives: new Lives(), isConnected: true };
  stores.set(store, entry);
  // One pair of listeners for a store, not for each middleware.
  store.on?.("disconnect", () => {
    entry.isConnected = false;
  });
  store.on?.("connect", () => {
    entry.isConnected = true;
  });
  return entry;
}

export function livesOf(store: SessionStoreLike): Lives {
  return known(store).lives;
}

/** Whether the store is connected, by the events that it emitted. */
export function isReady(store: SessionStoreLike): () => boolean {
  const entry = known(store);
  return () => entry.isConnected;
}
