import { queueMicrotask } from "../../contract/time.ts";
import { assertIndexable, type Done, promised } from "../callbacks.ts";

/** What the methods of a session ask of its request. */
export interface Holder {
  /** Writes the cookie's value; what can't be written is thrown now rather than with the headers. */
  save(session: CookieSession): void;
  /** Reads the cookie again. */
  reload(): void;
  /** Puts an empty session in the place of this one. */
  regenerate(): void;
  /** Ends the session: the cookie is cleared. */
  destroy(): void;
}

interface Context {
  readonly holder: Holder;
  /** The cookie's value that the session was read from; `undefined` for a new one. */
  readonly value: string | undefined;
}

/** Named so that data of these names, which the original can store, is read all the same. */
const METHODS = new Set(["save", "reload", "regenerate", "destroy"]);

/** Is `req.session`: plain properties, all of them in the browser's cookie. With a callback a method returns the session, without one a promise. */
export class CookieSession {
  /** @internal */
  declare readonly _ctx: Context;
  // biome-ignore lint/suspicious/noExplicitAny: as the original's types have it: data of applications that declare none.
  [name: string]: any;

  /** @internal */
  constructor(context: Context, data?: unknown) {
    Object.defineProperty(this, "_ctx", { value: context });
    if (typeof data !== "object" || data === null) return;
    assertIndexable(data);
    for (const name in data) if (!(name in this) || METHODS.has(name)) this[name] = data[name];
  }

  /** Whether the request came without a session. */
  get isNew(): boolean {
    return this._ctx.value === undefined;
  }

  /** Whether there is anything to send. */
  get isChanged(): boolean {
    return this._ctx.value === undefined || this._ctx.value !== serialize(this);
  }

  /** Whether there is anything in it. */
  get isPopulated(): boolean {
    return Object.keys(this).length > 0;
  }

  /** Checks that the session can be saved. The response's headers save it. */
  save(callback?: Done): this | Promise<void> {
    return settle(this, callback, () => this._ctx.holder.save(this));
  }

  /** Reads the request's cookie again. `req.session` is then a new object. */
  reload(callback?: Done): this | Promise<void> {
    return settle(this, callback, () => this._ctx.holder.reload());
  }

  /** Replaces the session by an empty one. `req.session` is then a new object. */
  regenerate(callback?: Done): this | Promise<void> {
    return settle(this, callback, () => this._ctx.holder.regenerate());
  }

  /** Ends the session and clears its cookie. */
  destroy(callback?: Done): this | Promise<void> {
    return settle(this, callback, () => this._ctx.holder.destroy());
  }
}

/** The callback comes later, as from a store, and never within the caller's own `try`. */
function settle<S>(session: S, callback: Done | undefined, work: () => void): S | Promise<void> {
  return promised(session, callback, (done) => {
    let failure: unknown;
    try {
      work();
    } catch (error) {
      failure = error;
    }
    queueMicrotask(() => done(failure));
  });
}

/** Base64 of JSON. */
export function serialize(session: object): string {
  return Buffer.from(JSON.stringify(session)).toString("base64");
}

/** The data in a cookie's value. @throws SyntaxError */
export function deserialize(value: string): unknown {
  return JSON.parse(Buffer.from(value, "base64").toString("utf8"));
}
