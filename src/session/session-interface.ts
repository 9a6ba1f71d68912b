import type { Awaitable } from "../contract/store.ts";
import type { Callback } from "../contract/time.ts";
import type { AuthenticationMethod } from "./authentication.ts";
import type { Actor, DeviceInfo } from "./meta.ts";
import type { NotForData, SessionData } from "./session-data.ts";
import type { Duration } from "./timeouts.ts";

/** Options for `req.session.regenerate`. */
export interface RegenerateOptions {
  /** What the new session keeps: `false` nothing (default), `true` all data and the user, a list only these properties. */
  keep?: boolean | readonly string[] | undefined;
}

/** Options for `req.session.login`. */
export interface LoginOptions {
  /**
   * Keeps the user logged in for this long after the login, however idle, and across restarts of the browser ("remember me").
   * Default `false`: the cookie ends with the browser, and the timeouts apply.
   */
  remember?: Duration | false | undefined;
  /** How `sessions.list` shows this session: a label, or a label and an IP address. Default: taken from the request. */
  device?: string | DeviceInfo | undefined;
  /** What the new session keeps of the data. Default: all of it, or nothing if another user was logged in. */
  keep?: boolean | readonly string[] | undefined;
  /**
   * How the user authenticated, by the names of RFC 8176, such as `["pwd", "otp"]`. Default: none.
   */
  methods?: readonly AuthenticationMethod[] | undefined;
  /**
   * The session's latest end, a `Date` or epoch milliseconds, such as that of an identity
   * provider's session. Nothing lengthens it. Default: none.
   */
  notAfter?: Date | number | undefined;
  /**
   * A name by which `sessions.list`, `count` and `revokeAll` find this login and others of the same name, such as an identity provider's session ID.
   * Non-empty, at most 255 bytes of UTF-8. Sealed sessions can't have one. Default: none.
   */
  link?: string | undefined;
  /** Any text, kept with the session and shown by `sessions.get`. Default: none. */
  stamp?: string | undefined;
}

/** Options for `req.session.confirm`. */
export interface ConfirmOptions {
  /**
   * How the user authenticated this time, by the names of RFC 8176. They replace those of the
   * login. Default: none.
   */
  methods?: readonly AuthenticationMethod[] | undefined;
}

/** Options for `req.session.impersonate`. */
export interface ImpersonateOptions {
  /**
   * Why: any text of at most 1,000 characters, for `req.session.actor` and the event `impersonate`.
   */
  reason: string;
  /** How long at most, such as `"30m"` (default). It never outlasts the actor's own session. */
  for?: Duration | undefined;
}

/** Options for `req.session.logout`. */
export interface LogoutOptions {
  /** Ends all of this user's sessions, not only this one. Default `false`. */
  everywhere?: boolean | undefined;
  /** Sends `Clear-Site-Data`, so that the browser drops its cache, cookies and storage of this site. Default `false`. */
  clearSiteData?: boolean | undefined;
}

/** Selects the application's own properties of a session's data: all optional, and none with the name of a session's member. */
export type DataOf<Data extends object> = {
  [Name in keyof Data as Name extends keyof SessionMembers ? never : Name]?: Data[Name];
};

/** Rejects data whose properties have the name of a session's member, such as `userId`. */
export type ValidData = object & { [Name in keyof SessionMembers]?: NotForData };

/**
 * Describes `req.session`: the members of a session, and the application's data as plain, optional properties. `Data` is what you declare in
 * {@link SessionData}, or the type that you give to `session<Data>()`.
 *
 * @example
 * import type { Session } from "sojourn";
 *
 * interface Shop {
 *   cart: string[];
 * }
 *
 * export function addToCart(session: Session<Shop>, article: string): void {
 *   session.cart = [...(session.cart ?? []), article];
 * }
 */
export type Session<Data extends object = SessionData> = SessionMembers<Data> & DataOf<Data>;

/**
 * Describes what every session has beside the application's data.
 *
 * Each method returns a promise and also accepts a Node-style callback. A promise that you do not await never crashes the process. Await
 * `login` and `regenerate` all the same: nothing else reports their failure. A failed save or logout is tried again before the response leaves.
 */
export interface SessionMembers<Data extends object = SessionData> {
  /** The session's public name. It opens nothing, so it is safe in logs, URLs and device lists. */
  readonly id: string;

  /** Whether this request began the session, so that nothing of it was stored before. */
  readonly isNew: boolean;

  /** The user who is logged in; `null` before a login. */
  readonly userId: string | null;

  /** When the session began. */
  readonly createdAt: Date;

  /**
   * When the user last authenticated: at the login, or at a later {@link confirm}. `null` before a
   * login.
   */
  readonly authenticatedAt: Date | null;

  /** How the user authenticated then: the `methods` of that call, such as `["pwd", "otp"]`. */
  readonly authenticationMethods: readonly string[];

  /**
   * Who acts in this session in the place of its user, since {@link impersonate}; `null` in a
   * user's own session.
   */
  readonly actor: Actor | null;

  /** When the session ends if nobody uses it again. */
  readonly expiresAt: Date;

  /**
   * How the session's token travels: `"cookie"`, `"bearer"`, or the header's name. It never changes. Browsers add only cookies to requests
   * from other sites, so a session with another transport needs no CSRF check; `csrf()` of `sojourn/csrf` goes by it.
   *
   * @example
   * console.log(`a session by ${req.session.transport}`);
   */
  readonly transport: string;

  /**
   * Saves now. You don't need it before a response, which waits for the save anyway. It also begins an empty session, whose `id` is then the
   * same in the next request.
   *
   * @throws SojournError `SESSION_GONE` if the session was ended meanwhile; `NOT_SERIALIZABLE` and `TOO_LARGE` for data that can't be stored;
   * `CONFLICT` if other requests kept changing the session; `HEADERS_SENT` if its cookie can't be sent any more; `STORE_…` if the store fails
   * @example
   * await req.session.save();
   * await jobs.start(req.session.id);
   */
  save(callback?: Callback<void>): Promise<void>;

  /**
   * Reads the session from the store again and drops unsaved changes.
   *
   * @throws SojournError `SESSION_GONE` if the session was ended meanwhile; `STORE_…` if the store fails
   */
  reload(callback?: Callback<void>): Promise<void>;

  /**
   * Rotates the session ID and the secret; the old session ends when this is stored. With `keep` this object becomes the new session. Without it
   * `req.session` is a new, empty object: the old one can still be read, and writing to it throws `SESSION_ENDED`. It is stored with the
   * response, as a login is.
   *
   * @throws SojournError `HEADERS_SENT` if the new cookie can't be sent any more; `SESSION_GONE` if the session is known to have ended
   * @example
   * await req.session.regenerate({ keep: ["language"] });
   */
  regenerate(options?: RegenerateOptions | Callback<void>, callback?: Callback<void>): Promise<void>;

  /**
   * Logs a user in. Rotates the session ID, which prevents session fixation, keeps the data, and
   * lists the session under the user's devices. This object becomes the new session.
   *
   * The login is stored with the response, in one write with the data; the response waits for it.
   * Call {@link save} to store it at once.
   *
   * @throws SojournError `HEADERS_SENT` if the new cookie can't be sent any more;
   * `TOO_MANY_SESSIONS` if `maxSessionsPerUser` refuses it
   * @throws TypeError if `userId` is not a non-empty string, or an option can't be
   * @example
   * await req.session.login(user.id, { remember: "30d", methods: ["pwd", "otp"] });
   */
  login(userId: string, options?: LoginOptions | Callback<void>, callback?: Callback<void>): Promise<void>;

  /**
   * Records that the user has just proved again who they are. Sets {@link authenticatedAt} and
   * {@link authenticationMethods}, and rotates the session ID. Keeps the data, and no end moves.
   * Check the password before. It is stored with the response, as a login is.
   *
   * @throws SojournError `NOT_LOGGED_IN` if no user is logged in; `HEADERS_SENT` if the new cookie
   * can't be sent any more; `SESSION_GONE` if the session is known to have ended
   * @throws TypeError for an unknown method
   * @example
   * await req.session.confirm({ methods: ["pwd"] });
   */
  confirm(options?: ConfirmOptions | Callback<void>, callback?: Callback<void>): Promise<void>;

  /**
   * Lets the user act as another one for a while. `req.session` is then a new, empty session of
   * that user; the user's own session waits, and {@link stopImpersonating} returns to it. Check
   * first that the user may do that. It is stored at once, and rotates the session ID.
   *
   * It ends by {@link stopImpersonating}, a logout (which ends both sessions), after `for`, and
   * when the actor's or the other user's sessions are revoked. After `for` the client is logged
   * out. `login`, `confirm`, `impersonate` and `logout({ everywhere })` reject meanwhile.
   *
   * @throws SojournError `NOT_LOGGED_IN` if no user is logged in; `IMPERSONATING` if this is an
   * impersonation; `HEADERS_SENT` if the new cookie can't be sent; `SESSION_GONE` if the session
   * has ended; `STORE_…` if the store fails
   * @throws TypeError without a reason, for the user's own ID, and for sealed sessions
   * @example
   * await req.session.impersonate("bob", { reason: "ticket 4711", for: "15m" });
   */
  impersonate(userId: string, options: ImpersonateOptions, callback?: Callback<void>): Promise<void>;

  /**
   * Ends an impersonation. `req.session` is then the actor's own session again, with its data.
   * Rotates the session ID, and is stored at once.
   *
   * @throws SojournError `NOT_IMPERSONATING` if there is none; `SESSION_GONE` if the actor's
   * session has ended; `HEADERS_SENT` if the new cookie can't be sent; `STORE_…` if the store fails
   * @example
   * if (req.session.actor !== null) await req.session.stopImpersonating();
   */
  stopImpersonating(callback?: Callback<void>): Promise<void>;

  /**
   * Logs the user out. Ends this session, or with `everywhere` all of the user's; `req.session` is
   * then a new, empty session.
   *
   * @throws SojournError `STORE_…` if the store fails; for `everywhere`, `NO_USER_INDEX` if the
   * store can't list a user's sessions, and `NOT_FRESH` if `session()` has `freshFor` and the user
   * authenticated too long ago
   * @example
   * await req.session.logout({ everywhere: true });
   */
  logout(options?: LogoutOptions | Callback<void>, callback?: Callback<void>): Promise<void>;

  /**
   * Ends the session. Deletes its record, clears its cookie, and nothing that is written later brings it back. `req.session` is then a new,
   * empty session; data that you put there starts one.
   *
   * @throws SojournError `STORE_…` if the store fails
   */
  destroy(callback?: Callback<void>): Promise<void>;

  /**
   * Moves the idle deadline now. Sojourn does it for every session in use, at most every `touchAfter`.
   *
   * @throws SojournError `SESSION_GONE` if the session was ended meanwhile; `STORE_…` if the store fails
   */
  touch(callback?: Callback<void>): Promise<void>;

  /**
   * Changes the session atomically: saves what `change` did, and runs it again on the newest data if another request saved first. It may only
   * read and change data, because it may run several times.
   *
   * @returns what `change` returned
   * @throws SojournError as {@link save}
   * @example
   * await req.session.update((session) => {
   *   session.points = (session.points ?? 0) + 10;
   * });
   */
  update<T>(change: (session: Session<Data>) => Awaitable<T>, callback?: Callback<T>): Promise<T>;

  /**
   * Sets how long the session lives. With a duration the cookie outlives the browser, and the session ends exactly that long from now. With
   * `false` it ends with the browser and by the timeouts; the absolute one counts from now.
   *
   * @throws TypeError if the duration is not positive
   * @example
   * await req.session.persist("30d");
   */
  persist(duration: Duration | false, callback?: Callback<void>): Promise<void>;

  /**
   * Leaves a message for the next page: any JSON value, under a type of your choice.
   *
   * @example
   * req.session.flash("success", "Saved.");
   */
  flash(type: string, message: unknown): void;
  /**
   * Takes the messages of a type: each is returned once.
   *
   * @example
   * const messages = req.session.flash("success");
   */
  flash(type: string): unknown[];
}
