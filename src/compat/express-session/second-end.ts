import type { ServerResponse } from "node:http";

/**
 * Listens for a response's errors and ignores that of a second `end`, which express-session has always swallowed. Any other error is the
 * application's: without a listener of its own it is thrown, as Node does.
 */
export function ignoreSecondEnd(this: ServerResponse, error: Error & { code?: string }): void {
  if (error.code === "ERR_STREAM_WRITE_AFTER_END") return;
  if (this.listeners("error").every((listener) => listener === ignoreSecondEnd)) throw error;
}
