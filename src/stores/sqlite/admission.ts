import type { Admission, AdmissionResult, SessionRecord } from "../../contract/store.ts";
import { checkedAdmission, endedBy } from "../admission.ts";
import { recordOf } from "../sql/records.ts";
import { valuesOf } from "./database.ts";
import { codec, encode, rowOf, type SqliteStatements } from "./statements.ts";

/** Admits a session. Runs inside a write transaction, so no other process writes meanwhile. */
export function admit(sql: SqliteStatements, admission: Admission, now: number): AdmissionResult {
  const { session, userId, replaces } = checkedAdmission(admission);
  const load = (handle: string): SessionRecord | undefined => {
    const row = sql.load.get(encode(handle), now);
    return row === undefined ? undefined : recordOf(codec, valuesOf(row));
  };
  const there = load(session.handle);
  if (there?.secretHash === session.secretHash) return { result: "ok", revoked: [] };
  const old = replaces && load(replaces.handle);
  if (old?.version !== replaces?.expectedVersion) return { result: old === undefined ? "gone" : "conflict" };
  if (there !== undefined) return { result: "taken" };
  const others = sql.usesOfUser.all(encode(userId), now).map((row) => {
    const [touchedAt, handle] = valuesOf(row);
    return { touchedAt: codec.number(touchedAt), handle: codec.decode(handle) };
  });
  const ended = endedBy(
    admission,
    others.filter(({ handle }) => handle !== replaces?.handle),
  );
  if (ended === undefined) return { result: "limit" };
  // First, because only this can fail alone, for its size, and the transaction goes on then.
  const row = rowOf(session.handle, session);
  const stored = replaces
    ? sql.replace.run(...row, encode(replaces.handle), replaces.expectedVersion, now)
    : sql.create.run(...row, now);
  if (stored.changes === 0) return { result: "taken" };
  if (replaces?.tombstone) {
    // Overwrites an earlier tombstone as if that had expired.
    sql.create.run(...rowOf(replaces.tombstone.handle, replaces.tombstone), Number.MAX_SAFE_INTEGER);
  }
  for (const { handle } of ended) sql.delete.get(encode(handle));
  return { result: "ok", revoked: ended.map(({ handle }) => handle) };
}
