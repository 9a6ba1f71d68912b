import { goneError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { after, recover } from "../contract/time.ts";
import { type Changes, overwritten } from "./content.ts";
import { requireDone, type SessionContext } from "./context.ts";
import type { Delivery } from "./outcome.ts";
import type { TimeLimit } from "./retry.ts";
import type { SessionState } from "./state.ts";
import type { Stored } from "./store-access.ts";
import { runUpdate } from "./within-update.ts";

/**
 * Runs a function on a session's data and stores its changes. If another request was faster, it
 * rolls the changes back and runs the function again on the newest data.
 */
export function update<T>(context: SessionContext, state: SessionState, change: () => Awaitable<T>): Awaitable<T> {
  context.refuseIfUnusable(state);
  const { delivery } = context.request;
  return context.queue.run(() => {
    // Stores a pending rotation first, so that every attempt works on one record.
    const rotated = state.rotation === undefined ? undefined : context.store(state, delivery);
    return after(rotated, () => new Update(context, state, delivery, change).run());
  });
}

class Update<T> {
  readonly #context: SessionContext;
  readonly #state: SessionState;
  readonly #delivery: Delivery;
  readonly #change: () => Awaitable<T>;
  /** Earlier changes of this request, which are merged into the newest data, not repeated. */
  readonly #before: Changes | undefined;
  readonly #lost = new Set<string>();
  #limit: TimeLimit | undefined = undefined;
  /** The function's changes that are neither stored nor rolled back. */
  #undecided: Changes | undefined = undefined;

  constructor(context: SessionContext, state: SessionState, delivery: Delivery, change: () => Awaitable<T>) {
    this.#context = context;
    this.#state = state;
    this.#delivery = delivery;
    this.#change = change;
    this.#before = state.collect();
  }

  run(): Awaitable<T> {
    const failed = (error: unknown): never => {
      // Otherwise the final commit would store them over other requests' data.
      const { record, content } = this.#state;
      if (this.#undecided !== undefined) this.#state.rebase(record, content, this.#before, this.#undecided);
      throw error;
    };
    return recover(() => this.#attempt(1), failed);
  }

  #attempt(tries: number): Awaitable<T> {
    const context = this.#context;
    const { clock, committer, retries } = context.parts;
    const run = () => runUpdate(context, this.#change);
    return after(this.#limit === undefined ? run() : this.#limit.exclude(run), (result) => {
      const began = clock.now();
      const tried = this.#state.collect();
      const stored = context.store(this.#state, this.#delivery, { once: true, limit: this.#limit });
      return after(stored, (commit) => {
        if (commit.outcome !== "conflict" || tried === undefined) {
          requireDone(commit, this.#delivery);
          committer.reportOverwritten(this.#state, this.#lost);
          return result;
        }
        this.#undecided = tried;
        this.#limit ??= retries.limit(context.access, began);
        return retries.retry(context.access, this.#state, tries, this.#limit, (newest) =>
          this.#again(newest, tried, tries + 1),
        );
      });
    });
  }

  #again(newest: Stored | undefined, tried: Changes, tries: number): Awaitable<T> {
    const state = this.#state;
    const before = this.#before;
    if (newest === undefined) {
      this.#context.apply(state, this.#context.parts.committer.gone(state));
      throw goneError();
    }
    if (before !== undefined)
      for (const name of overwritten(before, state.content, newest.content)) this.#lost.add(name);
    this.#undecided = undefined;
    state.rebase(newest.record, newest.content, before, tried);
    return this.#attempt(tries);
  }
}
