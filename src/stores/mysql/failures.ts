import type { Meaning, ServerError } from "../sql/failures.ts";

const FULL: Meaning = { code: "STORE_FULL", what: "has no room left on its disk" };

/**
 * Meanings of error numbers. MySQL and MariaDB agree on them up to about 1900. The messages of the
 * listed errors name the server and its objects. Others quote values.
 */
const MEANINGS: ReadonlyMap<number, Meaning> = new Map(
  (
    [
      [FULL, 1021, 1114],
      [{ kind: "collided", what: "rolled back a statement that collided with others" }, 1020, 1213],
      [{ code: "STORE_CORRUPT", what: "has a damaged table" }, 1034, 1035, 1194, 1195, 1712, 1932],
      [{ what: "has no connection left" }, 1040, 1203, 1226],
      [{ what: "is out of memory" }, 1041],
      [{ what: "refused the login" }, 1044, 1045, 1129, 1130],
      [{ what: "is a node of a cluster without a quorum" }, 1047],
      [{ what: "does not exist" }, 1049],
      [{ kind: "lost", what: "is starting or stopping" }, 1053, 1079],
      [{ what: "denied a privilege that the store needs" }, 1142, 1143],
      [{ kind: "unprepared", what: "has lost its table" }, 1146],
      [{ kind: "lost", what: "closed the connection" }, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031],
      [{ code: "TOO_LARGE", what: "can't take a session of this size: raise max_allowed_packet" }, 1153],
      [{ what: "held a lock for too long" }, 1205],
      // The server became a replica. A new connection may reach the new primary.
      [{ discard: true, what: "is read-only, as a replica is" }, 1290, 1792, 1836],
      [{ what: "took too long" }, 1317, 1969, 3024],
    ] as const satisfies readonly (readonly [Meaning, ...number[]])[]
  ).flatMap(([meaning, ...codes]) => codes.map((code) => [code, meaning] as const)),
);

/** Returns `undefined` for an error of the network. */
export function explain(error: Error): ServerError | undefined {
  const code = errorNumber(error);
  if (code === undefined) return undefined;
  // "Error writing file" and "got error n from storage engine": 28 is the system's ENOSPC.
  const isFull = (code === 3 || code === 1026 || code === 1030) && /\b28\b/.test(error.message);
  const meaning = MEANINGS.get(code);
  return { code, meaning: isFull ? FULL : meaning, replacement: meaning === undefined ? `Error ${code}` : undefined };
}

/** Whether an insert failed because its handle is in use. */
export function isDuplicate(error: unknown): boolean {
  return errorNumber(error) === 1062;
}

/** The number of an error that the server reported. Network errors have a negative one, or none. */
function errorNumber(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("sqlMessage" in error) || !("errno" in error)) return undefined;
  return typeof error.errno === "number" && error.errno > 0 ? error.errno : undefined;
}
