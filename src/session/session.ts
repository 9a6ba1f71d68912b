import { inspect } from "node:util";
import type { Awaitable } from "../contract/store.ts";
import { type Callback, deliver } from "../contract/time.ts";
import { actorOf } from "./acting.ts";
import { authenticatedAt, authenticationMethods } from "./authentication.ts";
import { transportOf } from "./content.ts";
import { refuseIfReplaced, type SessionContext } from "./context.ts";
import { destroy, logout } from "./end.ts";
import { impersonate, stopImpersonating } from "./impersonation.ts";
import { confirm, login } from "./login.ts";
import { FACTS, MEMBERS, refuseMember } from "./members.ts";
import type { Actor } from "./meta.ts";
import { regenerate } from "./rotate.ts";
import type {
  ConfirmOptions,
  ImpersonateOptions,
  LoginOptions,
  LogoutOptions,
  RegenerateOptions,
  Session,
  SessionMembers,
} from "./session-interface.ts";
import type { SessionState } from "./state.ts";
import type { Duration } from "./timeouts.ts";
import { update } from "./update.ts";

const STATE = Symbol("state");
const CONTEXT = Symbol("context");
const IS_SESSION = Symbol("is a session");

/** Implements `req.session`; {@link SessionMembers} documents its members. */
export class SessionObject implements SessionMembers {
  // Private, so that no inspection of a session shows its state, not even `showProxy`. Methods run
  // on the proxy, and reach the target's private fields through the accessors below.
  readonly #state: SessionState;
  readonly #context: SessionContext;

  /** The application's data. */
  [name: string]: unknown;

  constructor(context: SessionContext, state: SessionState) {
    this.#context = context;
    this.#state = state;
  }

  /** @internal Whether this is a session: `false` for a copy with its prototype. */
  get [IS_SESSION](): boolean {
    return #state in this;
  }

  /** @internal */
  get [STATE](): SessionState {
    if (!(#state in this)) throw copyError();
    return this.#state;
  }

  /** @internal */
  get [CONTEXT](): SessionContext {
    if (!(#context in this)) throw copyError();
    return this.#context;
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

  get authenticatedAt(): Date | null {
    const { record, content } = this[STATE];
    const at = authenticatedAt(record, content.meta);
    return at === null ? null : new Date(at);
  }

  get authenticationMethods(): readonly string[] {
    return authenticationMethods(this[STATE].content.meta);
  }

  get actor(): Actor | null {
    return actorOf(this[STATE].content.meta);
  }

  get expiresAt(): Date {
    return new Date(this[CONTEXT].expiresAt(this[STATE]));
  }

  get transport(): string {
    return transportOf(this[STATE].content.meta);
  }

  save(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[CONTEXT].save(this[STATE]), callback);
  }

  reload(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[CONTEXT].reload(this[STATE]), callback);
  }

  regenerate(options?: RegenerateOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => regenerate(this[CONTEXT], this[STATE], given), done);
  }

  login(userId: string, options?: LoginOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => login(this[CONTEXT], this[STATE], userId, given), done);
  }

  confirm(options?: ConfirmOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => confirm(this[CONTEXT], this[STATE], given), done);
  }

  impersonate(userId: string, options: ImpersonateOptions, callback?: Callback<void>): Promise<void> {
    return deliver(() => impersonate(this[CONTEXT], this[STATE], userId, options ?? {}), callback);
  }

  stopImpersonating(callback?: Callback<void>): Promise<void> {
    return deliver(() => stopImpersonating(this[CONTEXT], this[STATE]), callback);
  }

  logout(options?: LogoutOptions | Callback<void>, callback?: Callback<void>): Promise<void> {
    const [given, done] = optionsAndCallback(options, callback);
    return deliver(() => logout(this[CONTEXT], this[STATE], given), done);
  }

  destroy(callback?: Callback<void>): Promise<void> {
    return deliver(() => destroy(this[CONTEXT], this[STATE]), callback);
  }

  touch(callback?: Callback<void>): Promise<void> {
    return deliver(() => this[CONTEXT].touch(this[STATE]), callback);
  }

  update<T>(change: (session: Session) => Awaitable<T>, callback?: Callback<T>): Promise<T> {
    if (typeof change !== "function") throw new TypeError("update(change): change must be a function");
    return deliver(() => update(this[CONTEXT], this[STATE], () => change(this)), callback);
  }

  persist(duration: Duration | false, callback?: Callback<void>): Promise<void> {
    return deliver(() => this[CONTEXT].persist(this[STATE], duration), callback);
  }

  flash(type: string, message: unknown): void;
  flash(type: string): unknown[];
  flash(type: string, ...message: unknown[]): unknown[] | void {
    const state = this[STATE];
    refuseIfReplaced(state);
    if (typeof type !== "string") throw new TypeError("flash(type, message): type must be a string");
    if (message.length === 0) return state.flash.take(type, state.content.meta.flash);
    state.flash.add(type, message[0]);
  }

  /** Shows the data as `console.log` shows a plain object, without any token or secret. */
  [inspect.custom](depth: number, options: object, show: typeof inspect): string {
    // A copy that a library made with the session's prototype has only data.
    if (!this[IS_SESSION]) return show({ ...(this as object) }, { ...options, depth });
    const state = this[STATE];
    state.decodeAll();
    return `Session ${show({ ...state.values }, { ...options, depth })}`;
  }
}

// Frozen, because a write through one session must never reach another.
Object.freeze(SessionObject.prototype);
Object.freeze(SessionObject);

/** Returns the object that handlers use for a context's current session. */
export function sessionOf(context: SessionContext): Session {
  const { state } = context;
  if (state.object === undefined) {
    const target = new SessionObject(context, state);
    state.values = target;
    state.object = new Proxy(target, PLAIN_OBJECT);
  }
  return state.object;
}

/** Returns what is behind a session that a handler holds; `undefined` for any other value. */
export function openedBy(session: unknown): { context: SessionContext; state: SessionState } | undefined {
  if (!(session instanceof SessionObject) || !session[IS_SESSION]) return undefined;
  return { context: session[CONTEXT], state: session[STATE] };
}

/** Returns the state of a session that a handler holds; `undefined` for any other value. */
export function stateOf(session: unknown): SessionState | undefined {
  return openedBy(session)?.state;
}

/**
 * Makes a session behave like a plain object that decodes each property on its first read. All
 * sessions share these traps; their targets differ.
 */
const PLAIN_OBJECT: ProxyHandler<SessionObject> = {
  get(target, key) {
    if (typeof key === "string") {
      if (target[STATE].content.encoded.size > 0) target[STATE].decode(key);
      if (isWithheld(key) && !Object.hasOwn(target, key)) return key === "cookie" ? NO_COOKIE : undefined;
    }
    return Reflect.get(target, key);
  },
  set(target, key, value) {
    if (typeof key === "symbol") return Reflect.set(target, key, value);
    if (MEMBERS.has(key)) refuseMember(key);
    refuseIfReplaced(target[STATE]);
    target[STATE].assign(key, value);
    return true;
  },
  has(target, key) {
    if (typeof key === "string" && (target[STATE].has(key) || isWithheld(key))) return target[STATE].has(key);
    return Reflect.has(target, key);
  },
  deleteProperty(target, key) {
    if (typeof key === "symbol") return Reflect.deleteProperty(target, key);
    if (MEMBERS.has(key)) refuseMember(key);
    refuseIfReplaced(target[STATE]);
    return target[STATE].remove(key);
  },
  ownKeys(target) {
    target[STATE].decodeAll();
    return Reflect.ownKeys(target);
  },
  getOwnPropertyDescriptor(target, key) {
    if (typeof key === "string") {
      // Templates (Handlebars, Liquid) show only own properties. `ownKeys` omits these, so that
      // they are no data.
      if (FACTS.has(key))
        return { value: Reflect.get(target, key), writable: false, enumerable: true, configurable: true };
      target[STATE].decode(key);
    }
    return Reflect.getOwnPropertyDescriptor(target, key);
  },
  defineProperty(target, key, descriptor) {
    if (typeof key === "string") {
      if (MEMBERS.has(key)) refuseMember(key);
      refuseIfReplaced(target[STATE]);
      target[STATE].decode(key);
      const state = target[STATE];
      state.assigned = (state.assigned ?? new Set()).add(key);
    }
    return Reflect.defineProperty(target, key, descriptor);
  },
  // A frozen session could not take up properties that are decoded later.
  preventExtensions: () => false,
  setPrototypeOf: () => false,
};

function optionsAndCallback<O extends object>(
  options: O | Callback<void> | undefined,
  callback: Callback<void> | undefined,
): [O | Record<string, never>, Callback<void> | undefined] {
  if (typeof options === "function") return [{}, options];
  return [options ?? {}, callback];
}

/** Returns whether a name yields nothing unless it is data: a way to the prototype, or `cookie`. */
function isWithheld(name: string): boolean {
  return name === "constructor" || name === "__proto__" || name === "cookie";
}

const COOKIE_MEMBERS: ReadonlySet<string | symbol> = new Set([
  "maxAge", "originalMaxAge", "expires", "path", "domain", "secure", "httpOnly", "sameSite", "partitioned", "priority",
]); // biome-ignore format: a list of names

function refuseCookie(): never {
  throw new TypeError(
    "req.session.cookie does not exist in Sojourn. To set the lifetime, call await req.session.persist(duration), or " +
      "login(userId, { remember: duration }). Read the end from req.session.expiresAt. To end the session, call " +
      "await req.session.destroy(). Set the cookie's attributes by session({ cookie })",
  );
}

/** Is `req.session.cookie`, for code written for express-session. Its members throw advice. */
const NO_COOKIE: object = new Proxy(Object.freeze({}), {
  get: (_target, name) => (COOKIE_MEMBERS.has(name) ? refuseCookie() : undefined),
  set: refuseCookie,
  defineProperty: refuseCookie,
  deleteProperty: refuseCookie,
});

/** Returns the error for a member read on something else, most often a copy that a library made. */
function copyError(): TypeError {
  return new TypeError(
    "this is a copy of a session, which has only its data: use req.session itself, or copy the data with { ...req.session }",
  );
}
