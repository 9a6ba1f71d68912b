const warned = new Set<string>();

/** Emits a process warning. */
export function warn(message: string): void {
  process.emitWarning(message, { code: "SOJOURN" });
}

/** Emits a process warning, unless this process has emitted it before. */
export function warnOnce(message: string): void {
  if (warned.has(message)) return;
  warned.add(message);
  warn(message);
}
