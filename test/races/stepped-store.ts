import type { IndexedStore } from "../../src/index.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { caller } from "../support/express-site.ts";
import type { Run } from "./steps.ts";

const UNSTEPPED: ReadonlySet<string> = new Set(["list", "count", "close"]);

/** Stops each call that a client's request makes, in the current run. Other calls pass. */
export class SteppedStore {
  run: Run | undefined = undefined;
  readonly store: IndexedStore;

  constructor(inner: IndexedStore) {
    this.store = wrapStore(inner, {
      around: (operation, call, [handle]) => {
        const { run } = this;
        if (run === undefined || !caller.getStore()) return call();
        if (UNSTEPPED.has(operation)) return run.aside(call);
        return run.call(operation, handle, call);
      },
      synchronousLoad: false,
    });
  }
}
