/**
 * An error that can be logged, in the place of a driver's. Theirs carry the statement, the row that broke a constraint (`detail`),
 * the place in it (`where`), and, for a URL that doesn't parse, the password.
 *
 * @param message what the driver said where that can't quote a value, else a description
 * @param code SQLSTATE, error number or the system's error code
 */
export function publicCause(message: string, code: string | number | undefined): Error {
  const cause = new Error(message);
  return code === undefined ? cause : Object.assign(cause, { code });
}

/** What an error of a driver or of the network says, without the credentials of the URL that it may be about. */
export function withoutCredentials(message: string, url: string | undefined): string {
  if (url === undefined) return message;
  const { username, password } = new URL(url);
  let text = message.replaceAll(url, "…");
  for (const secret of [password, decoded(password), `${username}:${password}`]) {
    if (secret !== "" && secret !== ":") text = text.replaceAll(secret, "…");
  }
  return text;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
