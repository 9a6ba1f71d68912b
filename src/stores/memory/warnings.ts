import { queueMicrotask } from "../../contract/time.ts";

let hasWarned = false;

/** Warns once that this store forgets. */
export function warnOfLoss(): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    "Sessions are kept in this process's memory: a restart signs everyone out, and other processes don't see them. " +
      'Use a store that lasts, such as `new SqliteStore("sessions.db")` from "sojourn/sqlite", ' +
      "or state `new MemoryStore({ acceptLossOnRestart: true })`.",
    { code: "SOJOURN_MEMORY_STORE" },
  );
}

/** Calls later, so that the listener may use the store; and its failure is not the failure of a request. */
export function tell<Event>(listener: (event: Event) => void, event: Event): void {
  queueMicrotask(() => {
    try {
      listener(event);
    } catch (error) {
      const name = error instanceof Error ? error.name : typeof error;
      process.emitWarning(`The memory store's onEvict threw (${name}).`, { code: "SOJOURN_LISTENER_THREW" });
    }
  });
}
