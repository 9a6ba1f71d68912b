import { SojournError } from "../../contract/errors.ts";
import { type Admission, type AdmissionResult, isNote } from "../../contract/store.ts";
import { endedBy } from "../admission.ts";
import type { Changes } from "./changes.ts";
import type { SqlConnection, SqlDialect, Values } from "./dialect.ts";
import type { Statements } from "./statements.ts";

/** How often an admission begins again because a session that it ends got a new handle. */
const MAX_LOOKS = 20;

/** What an admission needs of its store. */
export interface AdmissionTools<C extends SqlConnection> {
  dialect: SqlDialect<never, C>;
  statements: Statements;
  changes: Changes<C>;
  /** The quoted name. */
  table: string;
}

/** An admission, and the values of the statements that store its session. */
export interface SqlAdmission {
  admission: Admission & { userId: string };
  now: number;
  /** For an insert. */
  insert: Values;
  /** For a replace, and its text. */
  replace: { values: Values; text: string };
  /** For the insert of the tombstone, if there is one. */
  note: Values | undefined;
}

/**
 * Admits a session: locks the user, reads, writes and commits, each in a round trip. Decided here,
 * not in SQL, so that every database decides alike; the lock lets no other process decide
 * meanwhile.
 */
export async function admit<C extends SqlConnection>(
  tools: AdmissionTools<C>,
  connection: C,
  sql: SqlAdmission,
): Promise<AdmissionResult> {
  const { dialect, table } = tools;
  for (let look = 1; look <= MAX_LOOKS; look++) {
    let result: AdmissionResult | undefined;
    try {
      await dialect.beginForUser(connection, table, dialect.encode(sql.admission.userId), sql.now);
      result = await decide(tools, connection, sql);
      await dialect.end(connection, result?.result === "ok" ? "COMMIT" : "ROLLBACK");
    } catch (error) {
      // If this fails too, the connection is broken. The first error says why.
      await dialect.end(connection, "ROLLBACK").catch(() => {});
      throw error;
    }
    if (result !== undefined) return result;
  }
  throw new SojournError("STORE_UNAVAILABLE", "Other calls kept replacing the sessions of this user.");
}

/** Returns `undefined` if a session that must end has a new handle. Then nothing may be committed. */
async function decide<C extends SqlConnection>(
  { dialect, statements, changes }: AdmissionTools<C>,
  connection: C,
  { admission, now, insert, replace, note }: SqlAdmission,
): Promise<AdmissionResult | undefined> {
  const { session, userId, replaces } = admission;
  const { query, encode, decode } = dialect;
  const { rows } = await query(connection, statements.rivals, {
    userId: encode(userId),
    handle: encode(replaces?.handle ?? session.handle),
    newHandle: encode(session.handle),
    now,
  });
  const rivals = new Map(
    rows.map(([handle, version, touchedAt, secretHash, user]) => [
      decode(handle),
      {
        handle: decode(handle),
        version: Number(version),
        touchedAt: Number(touchedAt),
        secretHash: decode(secretHash),
        isUsers: user !== null && decode(user) === userId,
      },
    ]),
  );
  const there = rivals.get(session.handle);
  if (there?.secretHash === session.secretHash) return { result: "ok", revoked: [] };
  const old = replaces && rivals.get(replaces.handle);
  if (old?.version !== replaces?.expectedVersion) return { result: old === undefined ? "gone" : "conflict" };
  if (there !== undefined) return { result: "taken" };
  const others = [...rivals.values()].filter((rival) => rival.isUsers && rival !== old && !isNote(rival.handle));
  const ended = endedBy(admission, others);
  if (ended === undefined) return { result: "limit" };
  for (const { handle } of ended) {
    const { affected } = await query(connection, statements.delete, { handle: encode(handle), now });
    if (affected === 0) return undefined;
  }
  const result = replaces
    ? await changes.replace(connection, replace.values, replace.text)
    : (await changes.insert(connection, insert))
      ? "ok"
      : "taken";
  if (result === "ok" && note && statements.replaceWithTombstone === undefined) await changes.insert(connection, note);
  return result === "ok" ? { result, revoked: ended.map(({ handle }) => handle) } : { result };
}
