import { systemClock } from "../contract/time.ts";

/**
 * Calls back after a pause of the system's time, because what the caller waits for is another
 * process. The clock's timers don't keep this process alive, but a waiting write must: an open port
 * does.
 */
export function afterPause(ms: number, action: () => void): void {
  const { port1 } = new MessageChannel();
  port1.ref();
  systemClock.after(ms, () => {
    port1.close();
    action();
  });
}
