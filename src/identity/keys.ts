import type { SessionStore } from "../contract/store.ts";
import { type Clock, systemClock } from "../contract/time.ts";
import { KeyRing, type Secret } from "../crypto/key-ring.ts";
import { Sealer } from "../crypto/seal.ts";
import { warn } from "../http/warn.ts";
import { type KeySealer, ManagedKeys } from "../session/managed-keys.ts";
import { type Duration, LONGEST_COOKIE_MS, parseDuration } from "../session/timeouts.ts";
import { refuseUnknownOptions } from "./options.ts";

export type { Clock } from "../contract/time.ts";
export type * from "../contract/types.ts";
export type { Secret } from "../crypto/key-ring.ts";
export type { KeySealer, ManagedKeys } from "../session/managed-keys.ts";
export type { Duration } from "../session/timeouts.ts";

/** Options for {@link managedKeys}. */
export interface ManagedKeysOptions {
  /**
   * Where the keys are: a store that all processes share, such as that of the sessions. Only
   * `sessions.close()` of sessions in the same store closes it.
   */
  store: SessionStore;
  /**
   * Seals the keys in the store: at least 32 random bytes, or a list of such secrets of which the
   * first seals and all open; or your own {@link KeySealer}, which calls a key management service.
   */
  rootKey: Secret | KeySealer;
  /** How long a key writes. Default `"90d"`; at least `"1h"`. */
  rotateEvery?: Duration | undefined;
  /**
   * How long a key reads after it no longer writes: at least as long as a session can live. Default
   * `"400d"`, which is as long as browsers keep a cookie; `false` for ever.
   */
  keepFor?: Duration | false | undefined;
  /** Names the keys within the store. Applications with one name share them. Default `"sojourn"`. */
  name?: string | undefined;
  /** The source of the time. Default: `systemClock`. */
  clock?: Clock | undefined;
}

const OPTIONS = [
  "store",
  "rootKey",
  "rotateEvery",
  "keepFor",
  "name",
  "clock",
] as const satisfies readonly (keyof ManagedKeysOptions)[];

const SHORTEST_ROTATION_MS = 60 * 60_000;
const LONGEST_REFRESH_MS = 5 * 60_000;

/**
 * Creates keys that rotate by themselves, for `session({ secret })`. The first process makes the
 * first key. Each process reads the keys every few minutes, and one of them makes the next one in
 * time. A key reads from then on, and writes once every process knows it; old ones read until
 * nothing they made can live.
 *
 * Requests wait for the first read. If the store is down later, the known keys go on.
 *
 * @throws TypeError for an option that can't work; the message names it and the remedy
 * @example
 * import { session } from "sojourn";
 * import { managedKeys } from "sojourn/keys";
 * import { SqliteStore } from "sojourn/sqlite";
 *
 * const store = new SqliteStore("sessions.db");
 * const rootKey = process.env.SESSION_SECRET ?? "";
 * const sessions = session({ store, secret: managedKeys({ store, rootKey, rotateEvery: "90d" }) });
 */
export function managedKeys(options: ManagedKeysOptions): ManagedKeys {
  refuseUnknownOptions("managedKeys", options, OPTIONS);
  const { store, rootKey, name = "sojourn", clock = systemClock } = options;
  if (typeof store?.load !== "function" || typeof store.create !== "function" || typeof store.update !== "function") {
    throw new TypeError("managedKeys({ store }): store must have load, create and update: see SessionStore");
  }
  if (store.capabilities?.atomicUpdate === false) {
    throw new TypeError(
      "managedKeys({ store }) needs a store that updates atomically, or two processes would make different keys: use one of Sojourn's",
    );
  }
  if (typeof name !== "string" || !/^[\w.-]{1,64}$/.test(name)) {
    throw new TypeError(`managedKeys({ name }): name must have 1 to 64 letters, digits, dots, hyphens or underscores`);
  }
  const rotateMs = parseDuration(options.rotateEvery ?? "90d", "managedKeys({ rotateEvery })");
  if (rotateMs < SHORTEST_ROTATION_MS) {
    throw new TypeError(
      'managedKeys({ rotateEvery }): rotateEvery must be at least "1h", so that every process learns of a key in time',
    );
  }
  const keepMs = parseDuration(options.keepFor ?? LONGEST_COOKIE_MS, "managedKeys({ keepFor })");
  const refreshMs = Math.min(LONGEST_REFRESH_MS, rotateMs / 12);
  return new ManagedKeys(store, name, sealerOf(rootKey, name), { rotateMs, refreshMs, keepMs }, clock);
}

function sealerOf(rootKey: unknown, name: string): KeySealer {
  if (isSealer(rootKey)) return rootKey;
  if (!isSecret(rootKey)) {
    throw new TypeError(
      "managedKeys({ rootKey }): rootKey must be a secret of at least 32 random bytes, or { seal, open }",
    );
  }
  const ring = new KeyRing(rootKey, { production: process.env["NODE_ENV"] === "production", warn });
  const sealer = new Sealer(ring, { purpose: "keys", name });
  return {
    seal: (key) => sealer.seal(key),
    open(sealed) {
      const opened = sealer.open(sealed);
      if (opened === undefined)
        throw new Error("no rootKey opens the stored keys: set the one that sealed them, or list both");
      return opened.body;
    },
  };
}

function isSealer(rootKey: unknown): rootKey is KeySealer {
  return typeof Object(rootKey).seal === "function" && typeof Object(rootKey).open === "function";
}

function isSecret(rootKey: unknown): rootKey is Secret {
  return typeof rootKey === "string" || Buffer.isBuffer(rootKey) || Array.isArray(rootKey);
}
