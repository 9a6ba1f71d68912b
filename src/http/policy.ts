import type { IndexedStore, SessionStore } from "../contract/store.ts";
import type { Clock } from "../contract/time.ts";
import { DataFormat } from "../session/data-format.ts";
import type { Events } from "../session/events.ts";
import { type Policy, UserLimit } from "../session/policy.ts";
import { parseDuration } from "../session/timeouts.ts";
import { Validation } from "../session/validation.ts";
import { SealedStore } from "../stores/sealed.ts";
import type { SessionLimit, SessionOptions } from "./options.ts";

/**
 * Reads the options on users' sessions.
 * @throws TypeError for a limit that the store can't keep
 */
export function policyOf(
  options: SessionOptions,
  store: SessionStore | SealedStore,
  shared: { readonly clock: Clock; readonly events: Events },
): Policy {
  const { freshFor, maxSessionsPerUser } = options;
  const freshMs = freshFor === undefined ? undefined : parseDuration(freshFor || 0, "freshFor");
  return {
    freshMs,
    userLimit: maxSessionsPerUser === undefined ? undefined : userLimitOf(maxSessionsPerUser, store),
    validation: validationOf(options, shared),
  };
}

/** Reads the options on the form of the data; `undefined` for any form. @throws TypeError */
export function formatOf({ schema, migrate, onSchemaError }: SessionOptions, events: Events): DataFormat | undefined {
  if (schema !== undefined || migrate !== undefined) return new DataFormat({ schema, migrate, onSchemaError }, events);
  if (onSchemaError !== undefined) throw new TypeError("onSchemaError needs migrate, the steps that may fail");
  return undefined;
}

function validationOf(
  options: SessionOptions,
  shared: { readonly clock: Clock; readonly events: Events },
): Validation | undefined {
  const { validate, validateEvery, validateTimeout, onValidateError } = options;
  if (validate !== undefined) {
    return new Validation({ validate, validateEvery, validateTimeout, onValidateError }, shared);
  }
  for (const [name, value] of Object.entries({ validateEvery, validateTimeout, onValidateError })) {
    if (value !== undefined) throw new TypeError(`${name} needs validate, the function that says who may stay`);
  }
  return undefined;
}

function userLimitOf(
  maxSessionsPerUser: NonNullable<SessionOptions["maxSessionsPerUser"]>,
  store: SessionStore | SealedStore,
): UserLimit {
  const { limit, exceed }: Partial<SessionLimit> =
    typeof maxSessionsPerUser === "object" ? (maxSessionsPerUser ?? {}) : { limit: maxSessionsPerUser };
  const userLimit = new UserLimit(limit, exceed);
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
  return userLimit;
}

function canAdmit(store: SessionStore & Partial<Pick<IndexedStore, "admit">>): boolean {
  return typeof store.admit === "function";
}
