import { type SessionOptions, type SessionStore, type Sessions, session } from "sojourn";
import { SealedStore } from "sojourn/sealed";
import { SqliteStore } from "sojourn/sqlite";
import type { Settings } from "./settings.ts";

/** On how many devices one user may be signed in. */
export const MOST_DEVICES = 3;

/** Where sessions live: what `session()` is told, and the store whose records /compare can show. */
interface Place {
  options: Pick<SessionOptions, "store" | "encrypt" | "maxSessionsPerUser">;
  store?: SessionStore;
}

/** `"refuse"` lets the user choose what to end; `"revoke-oldest"`, the default, needs no page for that. */
const limited = { maxSessionsPerUser: { limit: MOST_DEVICES, exceed: "refuse" } } as const;

/** `SESSION_MODE` picks one; hardly anything else in this site knows which it was. */
const places: Record<string, (settings: Settings) => Place> = {
  sqlite({ file }) {
    const store = new SqliteStore(file);
    return { options: { store, ...limited }, store };
  },
  encrypted({ file }) {
    const store = new SqliteStore(file);
    return { options: { store, encrypt: true, ...limited }, store };
  },
  // The cookie is all there is of a session; of the ended ones a list is kept, so that a copy of the cookie ends too.
  // Nobody can count what lives in cookies, so there is no limit.
  sealed({ file, secret }) {
    return { options: { store: new SealedStore({ secret, revocations: new SqliteStore(file) }) } };
  },
};

export function openSessions(settings: Settings): { sessions: Sessions; store: SessionStore | undefined } {
  const open = places[settings.mode];
  if (!open) throw new TypeError(`SESSION_MODE is one of: ${Object.keys(places).join(", ")}`);
  const { options, store } = open(settings);
  const { secret, freshFor } = settings;
  // `freshFor`: nobody ends other devices without having entered the password this short a time ago.
  return { sessions: session({ ...options, secret, freshFor }), store };
}
