import { ManualClock } from "../../src/testing/manual-clock.ts";

/** Time stands still, but the short pauses between retries pass at once. */
export class ImpatientClock extends ManualClock {
  override after(ms: number, action: () => void): () => void {
    if (ms > 100) return super.after(ms, action);
    const immediate = setImmediate(action);
    return () => clearImmediate(immediate);
  }
}
