/** PostgreSQL's own limit is 63 bytes, MySQL's 64 characters. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

/**
 * A name that can be put into a statement: names can't be bound as values are, so nothing that would have to be
 * escaped gets this far (CWE-89). Statements quote it all the same, for its case and for reserved words.
 *
 * @throws TypeError for any other name; the message does not repeat it.
 */
export function checkedName(name: string, option: string): string {
  if (typeof name === "string" && NAME.test(name)) return name;
  throw new TypeError(`${option} must be a letter or _ followed by at most 62 letters, digits or _`);
}

/** @throws TypeError for anything but a whole number from 1 to `most`. */
export function checkedNumber(value: number, option: string, most: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw new TypeError(`${option} must be a whole number from 1 to ${most}`);
}
