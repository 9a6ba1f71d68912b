import type { SessionStore } from "../contract/store.ts";
import type { Secret } from "../crypto/key-ring.ts";

/** What {@link SealedStore} can be told. */
export interface SealedStoreOptions {
  /** At least 32 random bytes, or several such: the first seals, all of them open. Default: the middleware's `secret`. */
  secret?: Secret | undefined;
  /**
   * A store for the sessions that were ended: a small record each, until the last copy of its seal would have died anyway. With it a
   * logout, `sessions.revoke` and `sessions.revokeAll` end copies of the cookie too; each request asks it once, and twice for a user.
   * Default: none; a copy of a cookie then lives until its own deadline.
   */
  revocations?: SessionStore | undefined;
  /** How many cookies of 4 KiB a session may take: 1 (the default), 2 or 3. Proxies limit a response's headers, nginx to 4 or 8 KiB. */
  chunks?: 1 | 2 | 3 | undefined;
  /**
   * A store for the data of sessions that do not fit their cookies: sealed there too, and named by the seal. Sessions that fit cost it nothing. Each
   * change of one that does not leaves a record behind until the older cookie's own deadline, because the browser may still have that.
   * May be the same store as `revocations`. Default: none; what does not fit is an error, `TOO_LARGE`.
   */
  overflow?: SessionStore | undefined;
}

const KNOWN = new Set(["secret", "revocations", "chunks", "overflow"]);

/**
 * Sessions without a server's memory: the data itself travels in the cookie, encrypted and authenticated (XAES-256-GCM), with its
 * deadlines. `req.session` has every method. What a session in a cookie can't do by nature, `docs/SEALED.md` says: parallel requests are
 * not merged (the last cookie wins), nobody can list sessions, and without `revocations` a copied cookie outlives a logout. What is too
 * large for a cookie is an error, unless there are more `chunks`, or a store for `overflow`.
 *
 * @throws TypeError for an impossible option
 * @example
 * app.use(session({ store: new SealedStore({ secret: process.env.SESSION_SECRET }) }));
 */
export class SealedStore {
  readonly #options: SealedStoreOptions;

  constructor(options: SealedStoreOptions = {}) {
    for (const name of Object.keys(options)) {
      if (!KNOWN.has(name))
        throw new TypeError(`SealedStore: ${name} is no option; there are ${[...KNOWN].join(", ")}`);
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

  /** @internal What the middleware seals with. A method, so that no way of looking at the store shows the secret. */
  sealing(): SealedStoreOptions {
    return this.#options;
  }
}
