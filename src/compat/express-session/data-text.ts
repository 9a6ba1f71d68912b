import { types } from "node:util";

/**
 * Returns a session's data as JSON. The session's own cookie is no part of it, so that a new expiry alone is no change; a `cookie` deeper in
 * the data is.
 */
export function dataText(session: unknown): string {
  const data = Object(session);
  if (!Object.hasOwn(data, "cookie")) return JSON.stringify(data);
  const { cookie } = data;
  // JSON leaves out what is undefined. A copy of the session, or a replacer function, would take as long as all the rest.
  // The set trap of a proxy may do anything.
  if (types.isProxy(data) || !Reflect.set(data, "cookie", undefined)) {
    const { cookie: _, ...rest } = data;
    return JSON.stringify(rest);
  }
  try {
    return JSON.stringify(data);
  } finally {
    data.cookie = cookie;
  }
}
