/** Where connections come from, and whose the pool is. */
export interface PoolSource<P> {
  /** The pool, @throws TypeError where its package is not installed */
  open(): Promise<P>;
  /** Ends a pool of the store's own. */
  end(): Promise<void>;
  /** Hears a pool's event, where it may be used by others and has events. @returns how to stop */
  on(event: string, listener: (connection: object) => void): (() => void) | undefined;
  /** Takes the credentials out of what a driver or the network says. */
  redact(message: string): string;
}

/** A pool of the application's, which ends it too. */
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

/**
 * A pool of the store's own. Its package begins to load at once, so that no request has to wait for that; it connects to nothing yet.
 */
export function ownPool<P>(url: string, opening: Promise<{ pool: P; end(): Promise<void> }>): PoolSource<P> {
  // Told to whoever needs the pool.
  opening.catch(() => {});
  return {
    async open() {
      return (await opening).pool;
    },
    async end() {
      const opened = await opening.catch(() => undefined);
      await opened?.end();
    },
    on: () => undefined,
    redact: (message) => withoutCredentials(message, url),
  };
}

function withoutCredentials(message: string, url: string): string {
  const { username, password } = new URL(url);
  let text = message.replaceAll(url, "…");
  for (const secret of [`${username}:${password}`, password, decoded(password)]) {
    if (secret !== "" && secret !== ":") text = text.replaceAll(secret, "…");
  }
  return text;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
