import type { IndexedStore, SessionStore } from "../contract/store.ts";
import { type Policy, UserLimit } from "../session/policy.ts";
import { SealedStore } from "../stores/sealed.ts";
import type { SessionOptions } from "./options.ts";

/**
 * Reads the options on users' sessions.
 * @throws TypeError for a limit that the store can't keep
 */
export function policyOf({ maxSessionsPerUser }: SessionOptions, store: SessionStore | SealedStore): Policy {
  if (maxSessionsPerUser === undefined) return {};
  const isObject = typeof maxSessionsPerUser === "object" && maxSessionsPerUser !== null;
  const userLimit = isObject
    ? new UserLimit(maxSessionsPerUser.limit, maxSessionsPerUser.exceed)
    : new UserLimit(maxSessionsPerUser);
  if (store instanceof SealedStore) {
    throw new TypeError(
      "maxSessionsPerUser: nothing counts sealed sessions, which live in their cookies; keep sessions in a store, such as new SqliteStore(file)",
    );
  }
  if (!canAdmit(store)) {
    throw new TypeError(
      "maxSessionsPerUser needs a store with the method admit, which counts and stores in one step: use a store of Sojourn, such as SqliteStore or RedisStore",
    );
  }
  return { userLimit };
}

function canAdmit(store: SessionStore & Partial<Pick<IndexedStore, "admit">>): boolean {
  return typeof store.admit === "function";
}
