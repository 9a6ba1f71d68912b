import type { Meaning, ServerError } from "../sql/failures.ts";

const COLLIDED: Meaning = { kind: "collided", what: "rolled back a statement that collided with others" };

/**
 * Meanings of SQLSTATE codes and classes. The longest matching prefix counts.
 * See https://www.postgresql.org/docs/current/errcodes-appendix.html.
 */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  "08": { kind: "lost", what: "lost the connection" },
  // The server became a replica. A new connection may reach the new primary.
  "25006": { discard: true, what: "is read-only, as a replica is" },
  "25P03": { kind: "lost", what: "ended a transaction that was idle for too long" },
  "26000": { what: "has lost a prepared statement: behind PgBouncer in transaction mode, set prepare: false" },
  "42P05": { what: "has another prepared statement: behind PgBouncer in transaction mode, set prepare: false" },
  "28": { what: "refused the login" },
  "3D": { what: "does not exist" },
  "3F": { what: "has no such schema" },
  "40001": COLLIDED,
  "40P01": COLLIDED,
  "42501": { what: "denied a privilege that the store needs" },
  "42P01": { kind: "unprepared", what: "has lost its table" },
  "42703": { what: "has a table with other columns" },
  "53100": { code: "STORE_FULL", what: "has no room left on its disk" },
  "53": { what: "is out of connections or memory" },
  "54": { code: "TOO_LARGE", what: "can't hold a session of this size" },
  "55P03": { what: "held a lock for too long" },
  "57014": { what: "took too long" },
  "57": { kind: "lost", what: "is starting or stopping" },
  "58P01": { code: "STORE_CORRUPT", what: "is missing one of its files" },
  XX001: { code: "STORE_CORRUPT", what: "is damaged" },
  XX002: { code: "STORE_CORRUPT", what: "has a damaged index" },
};

/** Classes whose messages name objects of the server only. Others quote values. */
const PUBLIC = /^(08|25|26|28|3D|3F|40|42|53|54|55|57|58|XX)/;

/** Returns `undefined` for an error of the network. */
export function explain(error: Error): ServerError | undefined {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (!("severity" in error) || !/^[0-9A-Z]{5}$/.test(code)) return undefined;
  const meaning = MEANINGS[code] ?? MEANINGS[code.slice(0, 2)];
  return { code, meaning, replacement: PUBLIC.test(code) ? undefined : `SQLSTATE ${code}` };
}

/** Whether a statement failed because a handle is in use. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "23505";
}
