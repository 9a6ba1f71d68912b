/** @throws TypeError for a value that can't be assigned to `req.session` */
export function requirePlain(value: unknown): asserts value is Record<string, unknown> {
  if (isPlain(value)) return;
  throw new TypeError(
    "req.session can be set to a plain object, its new data, or to null, which ends it: for a new session use await req.session.regenerate()",
  );
}

/** Replaces a session's data with the properties of a plain object. */
export function assignData(session: object, value: Record<string, unknown>): void {
  const old = new Set(Object.keys(session));
  for (const [name, one] of Object.entries(value)) {
    Reflect.set(session, name, one);
    old.delete(name);
  }
  for (const name of old) Reflect.deleteProperty(session, name);
}

/** Whether a value is an object literal, which can be assigned to `req.session`. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
