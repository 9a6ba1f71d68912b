import { inspect } from "node:util";
import { type Callback, deliver } from "../contract/awaitable.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { type DeviceInfo, transportOf } from "./record.ts";
import type { SessionData } from "./session-data.ts";
import { copyError, FACTS, isWithheld, NO_COOKIE, refuseMember } from "./session-members.ts";
import type { SessionState } from "./state.ts";
import type { Duration } from "./timeouts.ts";

export interface RegenerateOptions {
  /** What the new session keeps of the data: nothing (`false`, the default), all and the user (`true`), or these properties. */
  keep?: boolean | readonly string[] | undefined;
}

export interface LoginOptions {
  /** "Remember me": the session outlives the browser and ends this long from now, however idle. Default: it ends with the browser and by the timeouts. */
  remember?: Duration | false | undefined;
  /** What the user is shown of this session: a label, or label and IP address. Default: from the request. */
  device?: string | DeviceInfo | undefined;
  /** What the new session keeps of the data. Default: all, unless the session was another user's: then nothing. */
  keep?: boolean | readonly string[] | undefined;
}

export interface LogoutOptions {
  /** End all of this user's sessions, not only this one. Default `false`. */
  everywhere?: boolean | undefined;
  /** Also have the browser drop its cache, cookies and storage of this site (`Clear-Site-Data`). Default `false`. */
  clearSiteData?: boolean | undefined;
}

/** What the methods of a session ask for. A request's visit answers. */
export interface SessionOperations {
  save(state: SessionState): Awaitable<void>;
  reload(state: SessionState): Awaitable<void>;
  regenerate(state: SessionState, options: RegenerateOptions): Awaitable<void>;
  login(state: SessionState, userId: string, options: LoginOptions): Awaitable<void>;
  logout(state: SessionState, options: LogoutOptions): Awaitable<void>;
  destroy(state: SessionState): Awaitable<void>;
  touch(state: SessionState): Awaitable<void>;
  update<T>(state: SessionState, change: () => Awaitable<T>): Awaitable<T>;
  persist(state: SessionState, duration: Duration | false): void;
  expiresAt(state: SessionState): number;
}

/** A session as handlers hold it: its own members, and the application's data as plain properties. */
export type LiveSession = Session & {
  [Name in keyof SessionData as Name extends keyof Session ? never : Name]?: SessionData[Name];
};

const STATE = Symbol("state");
const OPERATIONS = Symbol("operations");
const IS_SESSION = Symbol("is a session");

/**
 * `req.session`: a plain object to work with, whose own properties are the application's data, saved before the response
 * leaves. Every method returns a promise and also takes a Node-style callback. A promise that nobody awaits never crashes the process; but
 * await `login` and `regenerate`, or nobody is told when they fail (a failed save or logout is tried again before the response leaves).
 */
export class Session {
  // Private, so that no way of looking at a session shows what is behind it, not even `showProxy`. The accessors below are how
  // methods, called on the proxy, reach the target's private fields.
  readonly #state: SessionState;
  readonly #operations: SessionOperations;

  /** @internal Sessions are made by the middleware. */
  constructor(makeState: (values: Record<string, unknown>) => SessionState, operations: SessionOperations) {
    this.#operations = operations;
    this.#state = makeState(this as unknown as Record<string, unknown>);
  }

  /** @internal `false` for a copy that has a session's prototype. */
  get [IS_SESSION](): boolean {
    return #state in this;
  }

  /** @internal */
  get [STATE](): SessionState {
    if (!(#state in this)) throw copyError();
    return this.#state;
  }

  /** @internal */
  get [OPERATIONS](): SessionOperations {
    if (!(#operations in this)) throw copyError();
    return this.#operations;
  }

  /** The handle: the session's public name. Safe in logs, URLs and device lists; opens nothing. */
  get id(): string {
    return this[STATE].handle;
  }

  /** Whether this request began the session: nothing of it was stored before. */
  get isNew(): boolean {
    return this[STATE].isNew;
  }

  /** Whose session it is; `null` before anyone logged in. */
  get userId(): string | null {
    return this[STATE].record.userId;
  }

  get createdAt(): Date {
    return new Date(this[STATE].record.createdAt);
  }

  /** When it ends if it isn't used again. */
  get expiresAt(): Date {
    return new Date(this[OPERATIONS].expiresAt(this[STATE]));
  }

  /**
   * How its token travels: `"cookie"`, `"bearer"`, or the header's name. Only a cookie is added to other sites' requests by the browser: where it
   * is another, no CSRF check is needed. Fixed when the session begins.
   * @example if (req.session.transport === "cookie") checkCsrfToken(req);
   */
  get transport(): string {
    return transportOf(this[STATE].content.facts);
  }

  /**
   * Commits now. Not needed before a response: that waits for the commit anyway. Begins an empty session, too: its ID, `req.session.id`,
   * is then that of the next requests.
   * @throws SojournError SESSION_GONE if the session was ended meanwhile, NOT_SERIALIZABLE, TOO_LARGE, CONFLICT, HEADERS_SENT
   * (its cookie could not be sent any more), or STORE_….
   */
  save(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].save(this[STATE]), callback);
  }

  /** Reads the record again and drops unsaved changes. @throws SojournError SESSION_GONE, or STORE_…. */
  reload(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].reload(this[STATE]), callback);
  }

  /**
   * A new handle and secret; the old session dies at once. With `keep` the object goes on as the new session. Without it `req.session` is
   * then a new object; the old one can be read, and writing to it throws SESSION_ENDED.
   */
  regenerate(options?: RegenerateOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => this[OPERATIONS].regenerate(this[STATE], given), done);
  }

  /**
   * Makes this the session of a user: a new handle and secret (so that nobody who knew the old ones is logged in with them), the
   * data kept, listed among the user's devices. The object goes on as the new session, also where it was taken from `req.session` before.
   * @example await req.session.login(user.id, { remember: "30d" });
   */
  login(userId: string, options?: LoginOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => this[OPERATIONS].login(this[STATE], userId, given), done);
  }

  /** Ends this session, or all of the user's. `req.session` is then a new, empty session. */
  logout(options?: LogoutOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => this[OPERATIONS].logout(this[STATE], given), done);
  }

  /**
   * Ends the session: the record is deleted, the cookie cleared, and nothing that is written later brings it back. `req.session`
   * is then a new, empty session: a farewell message put there starts one.
   */
  destroy(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].destroy(this[STATE]), callback);
  }

  /** Moves the idle deadline now. A session in use is touched by itself, every `touchAfter`. */
  touch(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].touch(this[STATE]), callback);
  }

  /**
   * Atomic read-modify-write: commits what `change` did, and runs it again on the newest data if another request was faster. `change` may only
   * read and change the data: the session's other methods refuse to be called by it.
   * @example await req.session.update((session) => { session.n = (session.n ?? 0) + 1 });
   */
  update<T>(change: (session: LiveSession) => Awaitable<T>, callback?: Callback<T>): Promise<T> {
    if (typeof change !== "function") throw new TypeError("update(change): change must be a function");
    return deliver(() => this[OPERATIONS].update(this[STATE], () => change(this)), callback);
  }

  /**
   * With a duration the cookie outlives the browser and the session ends that long from now, however idle; with `false` it ends with
   * the browser and by the timeouts, of which the absolute one counts from now.
   */
  persist(duration: Duration | false, callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].persist(this[STATE], duration), callback);
  }

  /** Leaves a message for the next page: any JSON value, under a type of your choice. Returns nothing to wait for. */
  flash(type: string, message: unknown): void;
  /** Takes the messages of a type: they are shown once. */
  flash(type: string): unknown[];
  flash(type: string, ...message: unknown[]): unknown[] | void {
    const state = this[STATE];
    refuseIfRetired(state);
    if (typeof type !== "string") throw new TypeError("flash(type, message): type must be a string");
    if (message.length === 0) return state.takeFlash(type);
    state.addFlash(type, message[0]);
  }

  /** Shows the data as `console.log` would show a plain object's; no token or secret is part of it. */
  [inspect.custom](depth: number, options: object, show: typeof inspect): string {
    // A copy that some library made with the session's prototype is no session, and has nothing but data.
    if (!this[IS_SESSION]) return show({ ...(this as object) }, { ...options, depth });
    const state = this[STATE];
    state.decodeAll();
    return `Session ${show({ ...state.values }, { ...options, depth })}`;
  }
}

// What is written by way of a session must never reach another one's.
Object.freeze(Session.prototype);
Object.freeze(Session);

/** The object that a handler holds, and the state behind it. */
export function createSession(
  makeState: (values: Record<string, unknown>) => SessionState,
  operations: SessionOperations,
): { session: LiveSession; state: SessionState } {
  const target = new Session(makeState, operations);
  return { session: new Proxy(target, PLAIN_OBJECT), state: target[STATE] };
}

/** The state behind a session that a handler holds; `undefined` for anything else. */
export function stateOf(session: unknown): SessionState | undefined {
  return session instanceof Session && session[IS_SESSION] ? session[STATE] : undefined;
}

/**
 * Makes a session behave as a plain object whose properties are decoded when they are first looked at. One set of traps
 * for all sessions; what differs is in the target.
 */
const PLAIN_OBJECT: ProxyHandler<Session> = {
  get(target, key) {
    if (typeof key === "string") {
      if (target[STATE].content.texts.size > 0) target[STATE].decode(key);
      if (isWithheld(key) && !Object.hasOwn(target, key)) return key === "cookie" ? NO_COOKIE : undefined;
    }
    return Reflect.get(target, key);
  },
  set(target, key, value) {
    if (typeof key === "symbol") return Reflect.set(target, key, value);
    refuseMember(key);
    refuseIfRetired(target[STATE]);
    target[STATE].assign(key, value);
    return true;
  },
  has(target, key) {
    if (typeof key === "string" && (target[STATE].has(key) || isWithheld(key))) return target[STATE].has(key);
    return Reflect.has(target, key);
  },
  deleteProperty(target, key) {
    if (typeof key === "symbol") return Reflect.deleteProperty(target, key);
    refuseMember(key);
    refuseIfRetired(target[STATE]);
    return target[STATE].remove(key);
  },
  ownKeys(target) {
    target[STATE].decodeAll();
    return Reflect.ownKeys(target);
  },
  getOwnPropertyDescriptor(target, key) {
    if (typeof key === "string") {
      // Templates (Handlebars, Liquid) show only what an object says is its own. Never listed among the keys, so that it is no data.
      if (FACTS.has(key))
        return { value: Reflect.get(target, key), writable: false, enumerable: true, configurable: true };
      target[STATE].decode(key);
    }
    return Reflect.getOwnPropertyDescriptor(target, key);
  },
  defineProperty(target, key, descriptor) {
    if (typeof key === "string") {
      refuseMember(key);
      refuseIfRetired(target[STATE]);
      target[STATE].decode(key);
    }
    return Reflect.defineProperty(target, key, descriptor);
  },
  // A frozen session could no longer take up what is decoded later.
  preventExtensions: () => false,
  setPrototypeOf: () => false,
};

export function refuseIfRetired(state: SessionState): void {
  if (state.retired !== undefined) throw new SojournError("SESSION_ENDED", state.retired);
}

function optionsAndCallback<O extends object>(
  options: O | Callback<void> | undefined,
  callback: Callback<void> | undefined,
): [O | Record<string, never>, Callback<void> | undefined] {
  if (typeof options === "function") return [{}, options];
  return [options ?? {}, callback];
}
