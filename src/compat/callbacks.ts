import { queueMicrotask } from "../contract/time.ts";

/** Is a Node-style callback: its first argument is an error, `null` or `undefined`. */
export type Done<T = void> = (error?: unknown, value?: T) => unknown;

/**
 * A callback that takes the first answer only. Some stores call back within a `try` of their own, and again with the error when
 * the callback throws: that error is the application's, so the second time it is thrown where only the process can catch it.
 */
export function once<T>(callback: Done<T>): Done<T> {
  let called = false;
  let thrown: { error: unknown } | undefined;
  return (error, value) => {
    if (called) {
      const again = thrown;
      thrown = undefined;
      if (again !== undefined && again.error === error) {
        queueMicrotask(() => {
          throw error;
        });
      }
      return;
    }
    called = true;
    try {
      callback(error, value);
    } catch (caught) {
      thrown = { error: caught };
      throw caught;
    }
  };
}

/**
 * With a callback: does the work, and returns `self` as express-session does. Without one: a promise, and one that nobody
 * awaits never brings the process down.
 */
export function promised<S>(
  self: S,
  callback: Done | undefined | null,
  work: (done: Done) => unknown,
): S | Promise<void> {
  if (typeof callback === "function") {
    work(once(callback));
    return self;
  }
  const outcome = new Promise<void>((resolve, reject) => {
    work((error) => (error ? reject(error) : resolve()));
  });
  outcome.catch(() => {});
  return outcome;
}

/** Returns `undefined` if `call` calls back before it returns, and else a promise for that. Errors go to `report`. */
export function completion(call: (done: Done) => unknown, report: (error: unknown) => void): void | Promise<void> {
  let isDone = false;
  let resolve: (() => void) | undefined;
  call(
    once((error) => {
      if (error) report(error);
      isDone = true;
      resolve?.();
    }),
  );
  if (isDone) return undefined;
  return new Promise<void>((done) => {
    resolve = done;
  });
}

/** Tells the compiler that any property of an object may be looked up and set. */
export function assertIndexable(_object: object): asserts _object is Record<string, unknown> {}
