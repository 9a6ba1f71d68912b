import type { Explanation, Meaning } from "../sql/failures.ts";

const CONNECTIONS: Meaning = { what: "has no connection left" };
const STOPPING: Meaning = { kind: "lost", what: "is starting or stopping" };
const LOST: Meaning = { kind: "lost", what: "closed the connection" };
const LOGIN: Meaning = { what: "refused the login" };
const COLLIDED: Meaning = { kind: "collided", what: "gave way to other transactions" };
// The server became a replica: connections to it stay bad, new ones may find the new primary.
const READ_ONLY: Meaning = { discard: true, what: "is read-only, as a replica is" };
const LATE: Meaning = { what: "took too long" };
const FULL: Meaning = { code: "STORE_FULL", what: "has no room left on its disk" };
const DAMAGED: Meaning = { code: "STORE_CORRUPT", what: "has a damaged table" };

/**
 * What an error number means, of MySQL and of MariaDB, which agree up to 1,900 or so. The messages of those listed here are about the server
 * and its objects; others quote values.
 */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  1020: COLLIDED,
  1021: FULL,
  1034: DAMAGED,
  1035: DAMAGED,
  1040: CONNECTIONS,
  1041: { what: "is out of memory" },
  1044: LOGIN,
  1045: LOGIN,
  1047: { what: "is a node of a cluster that has no quorum" },
  1049: { what: "is not there" },
  1053: STOPPING,
  1079: STOPPING,
  1114: FULL,
  1129: LOGIN,
  1130: LOGIN,
  1142: { what: "refused for want of a privilege" },
  1143: { what: "refused for want of a privilege" },
  1146: { kind: "unprepared", what: "has lost its table" },
  1152: LOST,
  1153: { code: "TOO_LARGE", what: "can't take a session as large as this: raise max_allowed_packet" },
  1158: LOST,
  1159: LOST,
  1160: LOST,
  1161: LOST,
  1184: LOST,
  1194: DAMAGED,
  1195: DAMAGED,
  1203: CONNECTIONS,
  1205: { what: "held a lock for too long" },
  1213: COLLIDED,
  1226: CONNECTIONS,
  1290: READ_ONLY,
  1317: LATE,
  1712: DAMAGED,
  1792: READ_ONLY,
  1836: READ_ONLY,
  1927: LOST,
  1932: DAMAGED,
  1969: LATE,
  3024: LATE,
  4031: LOST,
};

/** `undefined` for an error of the network. */
export function explain(error: Error): Explanation | undefined {
  const code = errorNumber(error);
  if (code === undefined) return undefined;
  // "Error writing file" and "got error n from storage engine": 28 is the operating system's "no space left on device".
  const isFull = (code === 3 || code === 1026 || code === 1030) && /\b28\b/.test(error.message);
  const meaning = isFull ? FULL : MEANINGS[code];
  return { code, meaning, instead: code in MEANINGS ? undefined : `Error ${code}` };
}

/** Whether an insert found its handle taken. */
export function isDuplicate(error: unknown): boolean {
  return errorNumber(error) === 1062;
}

/** The number of an error that the server reported. Those of the network have a negative one, or none. */
function errorNumber(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("sqlMessage" in error) || !("errno" in error)) return undefined;
  return typeof error.errno === "number" && error.errno > 0 ? error.errno : undefined;
}
