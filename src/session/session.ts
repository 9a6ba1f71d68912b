import { inspect } from "node:util";
import { type Callback, deliver } from "../contract/awaitable.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { transportOf } from "./record.ts";
import type { LoginOptions, LogoutOptions, RegenerateOptions, Session, SessionMembers } from "./session-interface.ts";
import { copyError, FACTS, isWithheld, NO_COOKIE, refuseMember } from "./session-members.ts";
import type { SessionState } from "./state.ts";
import type { Duration } from "./timeouts.ts";

export type { LoginOptions, LogoutOptions, RegenerateOptions } from "./session-interface.ts";

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

/** `req.session` with the data that the application declares. */
export type LiveSession = Session;

const STATE = Symbol("state");
const OPERATIONS = Symbol("operations");
const IS_SESSION = Symbol("is a session");

/** What is behind `req.session`; {@link SessionMembers} documents its members. */
export class SessionObject implements SessionMembers {
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

  get id(): string {
    return this[STATE].handle;
  }

  get isNew(): boolean {
    return this[STATE].isNew;
  }

  get userId(): string | null {
    return this[STATE].record.userId;
  }

  get createdAt(): Date {
    return new Date(this[STATE].record.createdAt);
  }

  get expiresAt(): Date {
    return new Date(this[OPERATIONS].expiresAt(this[STATE]));
  }

  get transport(): string {
    return transportOf(this[STATE].content.facts);
  }

  save(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].save(this[STATE]), callback);
  }

  reload(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].reload(this[STATE]), callback);
  }

  regenerate(options?: RegenerateOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => this[OPERATIONS].regenerate(this[STATE], given), done);
  }

  login(userId: string, options?: LoginOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => this[OPERATIONS].login(this[STATE], userId, given), done);
  }

  logout(options?: LogoutOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => this[OPERATIONS].logout(this[STATE], given), done);
  }

  destroy(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].destroy(this[STATE]), callback);
  }

  touch(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].touch(this[STATE]), callback);
  }

  update<T>(change: (session: LiveSession) => Awaitable<T>, callback?: Callback<T>): Promise<T> {
    if (typeof change !== "function") throw new TypeError("update(change): change must be a function");
    return deliver(() => this[OPERATIONS].update(this[STATE], () => change(this)), callback);
  }

  persist(duration: Duration | false, callback?: Callback<void>): Promise<void> {
    return deliver(() => this[OPERATIONS].persist(this[STATE], duration), callback);
  }

  flash(type: string, message: unknown): void;
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
Object.freeze(SessionObject.prototype);
Object.freeze(SessionObject);

/** The object that a handler holds, and the state behind it. */
export function createSession(
  makeState: (values: Record<string, unknown>) => SessionState,
  operations: SessionOperations,
): { session: LiveSession; state: SessionState } {
  const target = new SessionObject(makeState, operations);
  return { session: new Proxy(target, PLAIN_OBJECT), state: target[STATE] };
}

/** The state behind a session that a handler holds; `undefined` for anything else. */
export function stateOf(session: unknown): SessionState | undefined {
  return session instanceof SessionObject && session[IS_SESSION] ? session[STATE] : undefined;
}

/**
 * Makes a session behave as a plain object whose properties are decoded when they are first looked at. One set of traps
 * for all sessions; what differs is in the target.
 */
const PLAIN_OBJECT: ProxyHandler<SessionObject> = {
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
