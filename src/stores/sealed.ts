import type { SessionStore } from "../contract/store.ts";

export type * from "../contract/types.ts";

/** Options for {@link SealedStore}. */
export interface SealedStoreOptions {
  /**
   * At least 32 random bytes. Of a list, the first seals and all open. Default: the `secret` of
   * `session()`.
   */
  secret?: string | Buffer | readonly (string | Buffer)[] | undefined;
  /**
   * A store that remembers ended sessions: a small record each, until the last copy of the cookie
   * expires. With it a logout, `sessions.revoke` and `sessions.revokeAll` end copies of the cookie
   * too. Each request reads it once, or twice if a user is logged in. Default: none, so that a copy
   * of a cookie works until it expires.
   */
  revocations?: SessionStore | undefined;
  /**
   * How many cookies of 4 KiB a session may use: 1 (default), 2 or 3. Proxies limit a response's
   * headers, nginx to 4 or 8 KiB.
   */
  chunks?: 1 | 2 | 3 | undefined;
  /**
   * A store for the data of sessions that do not fit their cookies; it is encrypted there too. Each
   * change of such a session leaves a record until the older cookie expires, because the browser
   * may still have it. May be the same store as `revocations`. Default: none, so that data that
   * does not fit fails with `TOO_LARGE`.
   */
  overflow?: SessionStore | undefined;
}

const KNOWN = new Set(["secret", "revocations", "chunks", "overflow"]);

/**
 * Keeps each session in its cookie, encrypted and authenticated (XAES-256-GCM), and nothing on the
 * server. `req.session` has every method.
 *
 * A session in a cookie has limits (`docs/guides/sealed-sessions.md`). The changes of parallel requests are not
 * merged: the last cookie wins. Sessions can't be listed. Without `revocations` a copied cookie
 * outlives a logout. Data that does not fit fails with `TOO_LARGE`, unless you set `chunks` or
 * `overflow`.
 *
 * @throws TypeError for an option that can't work; the message names it and the remedy
 * @example
 * import { session } from "sojourn";
 * import { SealedStore } from "sojourn/sealed";
 *
 * const sessions = session({ store: new SealedStore({ secret: process.env.SESSION_SECRET }) });
 */
export class SealedStore {
  readonly #options: SealedStoreOptions;

  constructor(options: SealedStoreOptions = {}) {
    for (const name of Object.keys(options)) {
      if (!KNOWN.has(name))
        throw new TypeError(`SealedStore: ${name} is not an option; the options are ${[...KNOWN].join(", ")}`);
    }
    const { chunks = 1 } = options;
    if (chunks !== 1 && chunks !== 2 && chunks !== 3) throw new TypeError("SealedStore: chunks must be 1, 2 or 3");
    for (const name of ["revocations", "overflow"] as const) {
      if (options[name] !== undefined && typeof options[name]?.load !== "function") {
        throw new TypeError(`SealedStore: ${name} must be a store, such as new SqliteStore(file)`);
      }
    }
    this.#options = { ...options };
  }

  /**
   * @internal Returns the options. A method, so that no inspection of the store shows the secret.
   */
  sealing(): SealedStoreOptions {
    return this.#options;
  }
}
