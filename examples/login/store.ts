import type { SessionOptions, SessionStore } from "sojourn";
import { SealedStore } from "sojourn/sealed";
import { SqliteStore } from "sojourn/sqlite";
import type { Settings } from "./settings.ts";

/** Where sessions live: what `session()` is told, and the store whose records /compare can show. */
export interface Place {
  options: Pick<SessionOptions, "store" | "encrypt">;
  store?: SessionStore;
}

/** `SESSION_MODE` picks one; hardly anything else in this site knows which it was. */
const places: Record<string, (settings: Settings) => Place> = {
  sqlite({ file }) {
    const store = new SqliteStore(file);
    return { options: { store }, store };
  },
  encrypted({ file }) {
    const store = new SqliteStore(file);
    return { options: { store, encrypt: true }, store };
  },
  // The cookie is all there is of a session; of the ended ones a list is kept, so that a copy of the cookie ends too.
  sealed({ file, secret }) {
    return { options: { store: new SealedStore({ secret, revocations: new SqliteStore(file) }) } };
  },
};

export function openPlace(settings: Settings): Place {
  const open = places[settings.mode];
  if (!open) throw new TypeError(`SESSION_MODE is one of: ${Object.keys(places).join(", ")}`);
  return open(settings);
}
