/**
 * A class that can also be called without `new` on an object that is to become one, as half of all stores do:
 * `Store.call(this)`, then `util.inherits(MyStore, Store)`. A class alone refuses that.
 */
export function callable<C extends abstract new (...args: never[]) => object>(
  Class: C,
  initialise: (self: object) => unknown,
): C {
  const both = new Proxy(Class, {
    apply(_target, self) {
      if (typeof self !== "object" || self === null) throw new TypeError(`Class constructor ${Class.name} needs new`);
      return void initialise(self);
    },
  });
  Object.defineProperty(Class.prototype, "constructor", { value: both, writable: true, configurable: true });
  return both;
}
