import type { SessionStore } from "sojourn";
import { SqliteStore } from "sojourn/sqlite";
import type { Settings } from "./settings.ts";

/** Where sessions can live. `SESSION_MODE` picks one; nothing else in this site knows which it was. */
const stores: Record<string, (settings: Settings) => SessionStore> = {
  sqlite: ({ file }) => new SqliteStore(file),
};

export function openStore(settings: Settings): SessionStore {
  const open = stores[settings.mode];
  if (!open) throw new TypeError(`SESSION_MODE is one of: ${Object.keys(stores).join(", ")}`);
  return open(settings);
}
