/** Provides a pool. */
export interface PoolSource<P> {
  /** @throws TypeError when the pool's package is not installed */
  open(): Promise<P>;
  /** Ends the pool if the store owns it. */
  end(): Promise<void>;
  /**
   * Listens to an event of a pool that others use too.
   *
   * @returns how to stop; `undefined` when the store is the only user, or the pool has no events
   */
  on(event: string, listener: (connection: object) => void): (() => void) | undefined;
  /** Removes the credentials from a message of the driver or the network. */
  redact(message: string): string;
}

/** Wraps the application's own pool, which `close` leaves open. */
export function givenPool<P extends object>(pool: P): PoolSource<P> {
  return {
    open: async () => pool,
    end: async () => {},
    on(event, listener) {
      if (!isEmitter(pool)) return undefined;
      pool.on(event, listener);
      return () => pool.removeListener(event, listener);
    },
    redact: (message) => message,
  };
}

interface Emitter {
  on(event: string, listener: (connection: object) => void): unknown;
  removeListener(event: string, listener: (connection: object) => void): unknown;
}

function isEmitter(pool: object): pool is Emitter {
  return "on" in pool && typeof pool.on === "function" && "removeListener" in pool;
}

/** @throws TypeError for an invalid URL or another scheme; the message does not repeat the URL */
export function checkedUrl(store: string, url: string, ...schemes: string[]): string {
  const starts = schemes.map((scheme) => `${scheme}://`);
  if (URL.canParse(url) && starts.some((start) => url.startsWith(start))) return url;
  throw new TypeError(`${store}: the URL must begin with ${starts.join(" or ")} and be valid; escape its password`);
}

/** Wraps a pool that the store makes for a URL. Its package is still loading. */
export function ownPool<P>(url: string, opening: Promise<{ pool: P; end(): Promise<void> }>): PoolSource<P> {
  // `open` reports the failure.
  opening.catch(() => {});
  const { username, password } = new URL(url);
  const secrets = [url, `${username}:${password}`, password, decoded(password)];
  return {
    open: async () => (await opening).pool,
    async end() {
      await (await opening.catch(() => undefined))?.end();
    },
    on: () => undefined,
    redact: (message) =>
      secrets.reduce((text, secret) => (/^:?$/.test(secret) ? text : text.replaceAll(secret, "…")), message),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
