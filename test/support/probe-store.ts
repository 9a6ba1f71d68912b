import type { Awaitable, IndexedStore } from "../../src/contract/store.ts";
import { type StoreOperation, wrapStore } from "../../src/wrap/wrap.ts";

/** Where calls of an asynchronous probe wait until the test lets them go on. */
export class Gate {
  #waiting: (() => void)[] = [];
  #watchers: { count: number; tell: () => void }[] = [];
  #isOpen = false;
  #arrived = 0;

  /** Resolves once `count` calls in all have come to this gate. */
  arrived(count = 1): Promise<void> {
    return new Promise((resolve) => {
      this.#watchers.push({ count, tell: resolve });
      this.#tell();
    });
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets the first in line go on. */
  releaseOne(): void {
    this.#waiting.shift()?.();
  }

  /** Lets all go on, also those that come later. */
  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  pass(): Promise<void> {
    this.#arrived += 1;
    const passing = new Promise<void>((go) => {
      if (this.#isOpen) go();
      else this.#waiting.push(go);
    });
    this.#tell();
    return passing;
  }

  #tell(): void {
    for (const { tell } of this.#watchers.filter(({ count }) => this.#arrived >= count)) tell();
    this.#watchers = this.#watchers.filter(({ count }) => this.#arrived < count);
  }
}

/**
 * A store around a real one that notes its calls and, for as long as the test wants, fails, hangs or waits. With `async` it answers
 * with promises, as a store on a network does.
 */
export class ProbeStore {
  readonly store: IndexedStore;
  readonly inner: IndexedStore;
  /** What was called since the last `reset`. */
  operations: StoreOperation[] = [];
  readonly #isAsync: boolean;
  readonly #failures = new Map<StoreOperation, unknown>();
  readonly #hanging = new Set<StoreOperation>();
  readonly #gates = new Map<string, Gate>();

  constructor(inner: IndexedStore, { async = false }: { async?: boolean } = {}) {
    this.inner = inner;
    this.#isAsync = async;
    this.store = wrapStore(inner, {
      around: (operation, call) => this.#around(operation, call),
      synchronousLoad: async ? false : undefined,
    });
  }

  reset(): void {
    this.operations = [];
  }

  /** From now on these operations, or all, fail: at once, or with a rejection where the probe is asynchronous. */
  fail(error: unknown, ...operations: StoreOperation[]): void {
    for (const operation of operations.length === 0 ? ALL : operations) this.#failures.set(operation, error);
  }

  /** From now on these operations, or all, never answer. */
  hang(...operations: StoreOperation[]): void {
    for (const operation of operations.length === 0 ? ALL : operations) this.#hanging.add(operation);
  }

  /** Everything works again. */
  heal(): void {
    this.#failures.clear();
    this.#hanging.clear();
  }

  /** Calls of this operation wait before the store acts, or, with `"after"`, before they tell what it did. */
  gate(operation: StoreOperation, when: "before" | "after" = "before"): Gate {
    const gate = new Gate();
    this.#gates.set(`${when} ${operation}`, gate);
    return gate;
  }

  #around<T>(operation: StoreOperation, call: () => Awaitable<T>): Awaitable<T> {
    this.operations.push(operation);
    if (this.#isAsync) return this.#later(operation, call);
    if (this.#failures.has(operation)) throw this.#failures.get(operation);
    return call();
  }

  async #later<T>(operation: StoreOperation, call: () => Awaitable<T>): Promise<T> {
    if (this.#hanging.has(operation)) return new Promise<T>(() => {});
    await this.#gates.get(`before ${operation}`)?.pass();
    if (this.#failures.has(operation)) throw this.#failures.get(operation);
    const result = await call();
    await this.#gates.get(`after ${operation}`)?.pass();
    return result;
  }
}

const ALL: StoreOperation[] = [
  "load",
  "create",
  "update",
  "touch",
  "delete",
  "replace",
  "list",
  "deleteAll",
  "count",
  "prune",
  "close",
];
