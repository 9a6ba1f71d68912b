import { inspect } from "node:util";
import type { SojournError } from "../contract/errors.ts";

/**
 * Lists the events of sessions, with what their listeners receive, for logs, audits and metrics. A
 * handle opens nothing, and no event carries a token, a secret or session data.
 */
export interface SessionEvents {
  /** A session was stored for the first time. */
  create: { handle: string; userId: string | null };
  /** A user logged in: `handle` names the new session, `previous` the one that it replaced. */
  login: { handle: string; userId: string; previous: string | undefined };
  /** A session's ID was rotated without a login. */
  regenerate: { handle: string | undefined; previous: string };
  /** A user proved again who they are, by `confirm`. */
  confirm: { handle: string; userId: string };
  /** Somebody began to act as another user: `actorId` as `userId`, in the session `handle`, until then at the latest. */
  impersonate: {
    handle: string;
    userId: string;
    actorId: string;
    reason: string;
    until: Date;
    /** The session of `actorId` that did it. */
    previous: string;
  };
  /**
   * An impersonation ended, because a request stopped it or logged out. One that ends by its time,
   * or with the actor's sessions, emits nothing more: see `until` of `impersonate`, and `revoke`.
   */
  "impersonation-ended": { handle: string; userId: string; actorId: string; reason: string };
  /** A request ended its session, by `destroy` or `logout`. */
  destroy: { handle: string; userId: string | null };
  /** Sessions were revoked: one by its handle, or all of a user's or of a link's except one. */
  revoke: { handle?: string; userId?: string; link?: string; except?: string; count: number };
  /**
   * `session({ validate })` rejected a session, which ended. While somebody acts as another user,
   * `userId` is the one who acts.
   */
  invalidated: { handle: string; userId: string };
  /**
   * `session({ validate })` gave no answer: it threw, rejected or took too long. The error's `cause`
   * says why.
   */
  "validation-failed": { handle: string; userId: string; error: SojournError };
  /** A save found that another request had saved first, and merged its own changes into that. */
  conflict: { handle: string; attempt: number };
  /** A merge replaced the value of a property that another request had saved meanwhile. */
  overwritten: { handle: string; property: string };
  /** A save found its session ended meanwhile, and was dropped. */
  gone: { handle: string };
  /**
   * A record could not be decoded, or names another user than it was made for. It counts as absent,
   * and stays in the store.
   */
  "damaged-record": { handle: string };
  /**
   * Data of an older or newer version could not be brought to this one's, by `session({ migrate })`.
   * The error's `cause` says why; it is your own error if your function threw.
   */
  "migration-failed": { handle: string; from: number; to: number; error: SojournError };
  /** A request carried several different tokens under one cookie name. */
  "duplicate-cookie": { count: number };
  /** A token came by another transport than its session began with, and was rejected. */
  "transport-refused": { handle: string };
  /**
   * `csrf()` refused a request that a page of another site sent. `origin` is that page's, if the
   * browser named it; `"null"` is that of a sandboxed frame or a local file.
   */
  "cross-site": { reason: "sec-fetch-site" | "origin" | "no-header"; origin: string | undefined };
  /** `backchannelLogout` refused a request, and ended no session. */
  "logout-refused": { issuer: string; reason: LogoutRefusal };
  /** This process has made a new managed key, which writes from then on; `keys` is their number. */
  "keys-rotated": { keys: number; writesFrom: Date };
  /** A session was changed whose token can't reach the client. Nothing was stored. */
  "cookie-not-sent": { reason: "insecure" | "headers-sent" };
  /** The store failed or timed out. */
  "store-error": { operation: string; error: SojournError };
}

/**
 * Is why `backchannelLogout` refused a logout token: no token in the request; no JSON Web Token of
 * the form; what its header says of its type or algorithm; a signature by none of the provider's
 * keys; the claim that is wrong; or a token that was used before.
 */
export type LogoutRefusal =
  | "request"
  | "malformed"
  | "type"
  | "algorithm"
  | "signature"
  | "issuer"
  | "audience"
  | "issued-in-future"
  | "expired"
  | "not-yet-valid"
  | "events"
  | "nonce"
  | "claims"
  | "replayed";

/** Is the name of an event. */
export type SessionEvent = keyof SessionEvents;

const EVENTS: Readonly<Record<SessionEvent, true>> = {
  create: true,
  login: true,
  regenerate: true,
  confirm: true,
  impersonate: true,
  "impersonation-ended": true,
  destroy: true,
  revoke: true,
  invalidated: true,
  "validation-failed": true,
  conflict: true,
  overwritten: true,
  gone: true,
  "damaged-record": true,
  "migration-failed": true,
  "duplicate-cookie": true,
  "transport-refused": true,
  "cross-site": true,
  "logout-refused": true,
  "keys-rotated": true,
  "cookie-not-sent": true,
  "store-error": true,
};

/**
 * Calls listeners. One that throws causes a process warning, and does not affect the session.
 * @typeParam Details the detail of each event, by the event's name
 */
export class Events<Details extends object = SessionEvents> {
  readonly #known: Readonly<Record<string, true>>;
  readonly #listeners = new Map<keyof Details, Set<(detail: never) => void>>();

  /** @param known the names of all events. Default: those of sessions */
  constructor(known: Readonly<Record<keyof Details & string, true>> | undefined = undefined) {
    this.#known = known ?? EVENTS;
  }

  /**
   * Adds a listener, and returns a function that removes it.
   * @throws TypeError for an unknown event, which would never call the listener
   */
  on<E extends keyof Details>(event: E, listener: (detail: Details[E]) => void): () => void {
    if (!Object.hasOwn(this.#known, event)) {
      throw new TypeError(
        `on(event): there is no event ${inspect(event)}; the events are ${Object.keys(this.#known).join(", ")}`,
      );
    }
    if (typeof listener !== "function")
      throw new TypeError(`on(${inspect(event)}, listener): listener must be a function`);
    let listeners = this.#listeners.get(event);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(event, listeners);
    }
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<E extends keyof Details>(event: E, detail: Details[E]): void {
    const listeners = this.#listeners.get(event) as Set<(detail: Details[E]) => void> | undefined;
    if (listeners === undefined) return;
    for (const listener of listeners) {
      try {
        Promise.resolve(listener(detail)).catch((error: unknown) => warnOfListener(event, error));
      } catch (error) {
        warnOfListener(event, error);
      }
    }
  }
}

function warnOfListener(event: PropertyKey, error: unknown): void {
  // Not String(error), which throws for some values.
  const reason = inspect(error, { depth: 0 });
  process.emitWarning(`a listener of "${String(event)}" failed: ${reason}`, { code: "SOJOURN_LISTENER" });
}
