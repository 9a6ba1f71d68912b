/**
 * An error that can be logged, in the place of a driver's. Theirs carry the statement, the row that broke a constraint (`detail`),
 * the place in it (`where`), and, for a URL that doesn't parse, the password.
 *
 * @param message what the driver said where that can't quote a value, else a description
 * @param code SQLSTATE, error number or the system's error code
 */
export function publicCause(message: string, code: string | number | undefined): Error {
  // A name with several addresses, none of which answers, is an error without a message of its own.
  const cause = new Error(message === "" ? String(code) : message);
  return code === undefined ? cause : Object.assign(cause, { code });
}
