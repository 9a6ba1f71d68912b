import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, type Clock, isPromise, recover, withDeadline } from "../contract/time.ts";
import { TwoGenerationCache } from "../crypto/token.ts";
import { authenticatedAt } from "./authentication.ts";
import type { Events } from "./events.ts";
import type { SessionMeta } from "./meta.ts";
import type { StoreAccess, Stored } from "./store-access.ts";
import { parseDuration } from "./timeouts.ts";

/** Asks the application, once a minute and session, whether a user may still be logged in. */

/** Describes a session to the function `session({ validate })`. */
export interface SessionToValidate {
  /** The user who is logged in. While somebody acts as another user, the one who acts. */
  readonly userId: string;
  /** When that user last authenticated: at the login, or at a later `confirm`. */
  readonly authenticatedAt: Date;
  /** The `stamp` of that user's login; `null` if it had none. */
  readonly stamp: string | null;
}

/** The options on validation, as an application gives them. */
export interface ValidationOptions {
  validate: unknown;
  validateEvery?: number | string | undefined;
  validateTimeout?: number | string | undefined;
  onValidateError?: unknown;
}

/**
 * `ended`: the application said no, and the store has ended the session. `refused`: it said no, and
 * the store could not be told. `gone`: the session had ended by then, or was replaced.
 */
export type Verdict = "valid" | "ended" | "refused" | "gone";

/** What an application's answer is about, and how a session that it rejects ends. */
export interface Question {
  readonly handle: string;
  /** `undefined` if there is no such session any more. */
  facts(): Awaitable<SessionToValidate | undefined>;
  /** Ends the session, and no session that replaced it. Returns whether it was there. */
  end(): Awaitable<boolean>;
}

type Named = Stored & { readonly handle: string };

interface Check {
  /** Epoch milliseconds. Before that, the last answer counts. */
  dueAt: number;
  running: Promise<Verdict> | undefined;
}

/** How many sessions a generation of the cache has. One that was dropped is asked about again. */
const REMEMBERED = 50_000;

export class Validation {
  readonly #validate: (session: SessionToValidate) => Awaitable<unknown>;
  readonly #everyMs: number;
  readonly #timeoutMs: number;
  readonly #keeps: boolean;
  readonly #clock: Clock;
  readonly #events: Events;
  /** By handle: what the answer depends on never changes under one handle. */
  readonly #checks = new TwoGenerationCache<Check>(REMEMBERED);

  /** @throws TypeError for an option that can't work */
  constructor(options: ValidationOptions, { clock, events }: { readonly clock: Clock; readonly events: Events }) {
    const { validate, validateEvery = "1m", validateTimeout = "2s", onValidateError = "refuse" } = options;
    if (!isFunction(validate)) {
      throw new TypeError(
        "validate must be a function ({ userId, authenticatedAt, stamp }) that returns true or false",
      );
    }
    if (onValidateError !== "refuse" && onValidateError !== "keep") {
      throw new TypeError('onValidateError must be "refuse" or "keep"');
    }
    this.#validate = validate;
    this.#everyMs = parseDuration(validateEvery || 0, "validateEvery");
    this.#timeoutMs = parseDuration(validateTimeout || 0, "validateTimeout");
    this.#keeps = onValidateError === "keep";
    this.#clock = clock;
    this.#events = events;
  }

  /** Returns whether the application must be asked about a session again. */
  isDue(handle: string): boolean {
    const check = this.#checks.get(handle);
    return check === undefined || this.#clock.now() >= check.dueAt;
  }

  /** Notes that a session has no user, whom it will never get under this handle. */
  pass(handle: string): "valid" {
    this.#checks.set(handle, { dueAt: Number.POSITIVE_INFINITY, running: undefined });
    return "valid";
  }

  /**
   * Returns the application's answer, which parallel requests share.
   * @throws SojournError VALIDATION_FAILED if it gives none; `STORE_…`
   */
  check(question: Question): Awaitable<Verdict> {
    const { handle } = question;
    let check = this.#checks.get(handle);
    if (check === undefined) {
      check = { dueAt: 0, running: undefined };
      this.#checks.set(handle, check);
    }
    if (this.#clock.now() < check.dueAt) return "valid";
    if (check.running !== undefined) return check.running;
    const verdict = this.#ask(question, check);
    if (!isPromise(verdict)) return verdict;
    const known = check;
    const done = (): void => {
      known.running = undefined;
    };
    check.running = verdict;
    verdict.then(done, done);
    return verdict;
  }

  #ask(question: Question, check: Check): Awaitable<Verdict> {
    // From the question on, because what it is about may change before the answer arrives.
    const dueAt = this.#clock.now() + this.#everyMs;
    return after(question.facts(), (facts) => {
      if (facts === undefined) return "gone";
      const answer = recover(
        () => this.#answer(facts),
        (error) => this.#failed(question.handle, facts, error),
      );
      return after(answer, (isValid) => {
        if (isValid === false) return this.#end(question, facts);
        if (isValid === true) check.dueAt = dueAt;
        return "valid";
      });
    });
  }

  #answer(facts: SessionToValidate): Awaitable<boolean | undefined> {
    const answer = this.#validate(facts);
    if (!isPromise(answer)) return checkedAnswer(answer);
    const late = (): Error => new Error(`validate did not answer within ${this.#timeoutMs} ms`);
    return withDeadline(answer, this.#timeoutMs, this.#clock, late).then(checkedAnswer);
  }

  /** Returns `undefined` if the session goes on, although nothing is known. */
  #failed(handle: string, { userId }: SessionToValidate, cause: unknown): undefined {
    const error = new SojournError(
      "VALIDATION_FAILED",
      "validate threw, rejected, took too long, or returned neither true nor false; see the error's cause",
      cause,
    );
    this.#events.emit("validation-failed", { handle, userId, error });
    if (!this.#keeps) throw error;
    return undefined;
  }

  #end({ handle, end }: Question, { userId }: SessionToValidate): Awaitable<Verdict> {
    const ended = (): Awaitable<Verdict> =>
      after(end(), (wasThere) => {
        if (!wasThere) return "gone";
        this.#events.emit("invalidated", { handle, userId });
        return "ended";
      });
    // The store's error is an event already. The next request asks again.
    return recover(ended, () => "refused");
  }
}

/** Returns what the application is asked about a stored session. */
export function questionAbout(access: StoreAccess, { handle, record, content }: Named): Question {
  const { actor } = content.meta;
  const end = (): Awaitable<boolean> => access.delete(handle);
  if (actor === undefined) return { handle, facts: () => factsOf(record, content.meta), end };
  // Who acts is who authenticated, in the session that waits for the end.
  return {
    handle,
    facts: () =>
      after(access.reread(actor.session, actor.userId), (own) => own && factsOf(own.record, own.content.meta)),
    end: () => after(access.delete(actor.session), end),
  };
}

/** Returns what the application is told of a user's own session; `undefined` for any other. */
export function factsOf(record: SessionRecord, meta: SessionMeta): SessionToValidate | undefined {
  const { userId } = record;
  const at = authenticatedAt(record, meta);
  if (userId === null || at === null) return undefined;
  return { userId, authenticatedAt: new Date(at), stamp: meta.stamp ?? null };
}

function checkedAnswer(answer: unknown): boolean {
  if (typeof answer === "boolean") return answer;
  throw new TypeError("validate must return true or false, or a promise of one of them");
}

function isFunction(value: unknown): value is (session: SessionToValidate) => Awaitable<unknown> {
  return typeof value === "function";
}
