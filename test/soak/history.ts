/** What clients did and were told: the only thing that the checker looks at. */

export type Kind = "login" | "append" | "count" | "rotate" | "logout" | "revoke" | "read";

/**
 * `done`: acknowledged. `absent`: the answer was that there is no such session. `refused`: certainly nothing was done, now or later. `unknown`:
 * a failure, or no answer, so that it may have been done, may still be, or may never be.
 */
export type Outcome = "done" | "absent" | "refused" | "unknown";

/** What an answer tells of the session that it was given in. */
export interface Seen {
  userId: unknown;
  marker: unknown;
  life: unknown;
  values: readonly unknown[];
  counter: number;
  /** The record's, as the store gives it while the request is served; only a read asks. */
  version?: number | undefined;
}

export interface Operation {
  /** Position in the history. */
  id: number;
  /** Who; also the user's ID and the marker in the session. */
  client: string;
  kind: Kind;
  /** One lineage: everything from a login to its end, whatever handles it has meanwhile. */
  life: string;
  /** Which token was sent, by its handle. */
  handle?: string | undefined;
  /** What was appended. */
  value?: string;
  /** Places in one order of all beginnings and ends, so that `a.ended < b.began` means that a was answered before b was asked. */
  began: number;
  ended: number;
  outcome: Outcome;
  /** The token that the answer brought, by its handle. */
  issued?: string;
  seen?: Seen;
  /** For whoever reads the history: when, by which process, and with which answer. */
  note?: string;
}

/** A session that the store holds at the end. */
export interface Live {
  client: string;
  life: string;
  handle: string;
}

export interface History {
  operations: readonly Operation[];
  census: readonly Live[];
}

export interface Violation {
  /** 1 to 7, see `checker.ts`. */
  invariant: number;
  message: string;
  /** Those that contradict each other. */
  operations: readonly Operation[];
}

/** A line for people. */
export function lineOf({
  id,
  kind,
  life,
  handle,
  value,
  began,
  ended,
  outcome,
  issued,
  seen,
  note,
}: Operation): string {
  const parts = [
    `#${id}`,
    `${began}..${ended}`,
    kind,
    value,
    `life ${life}`,
    handle !== undefined && `sent ${handle}`,
    outcome,
    issued !== undefined && `got ${issued}`,
    seen !== undefined && `saw ${JSON.stringify({ ...seen, values: summaryOf(seen.values) })}`,
    note !== undefined && `(${note})`,
  ];
  return parts.filter((part) => typeof part === "string").join(" ");
}

function summaryOf(values: readonly unknown[]): readonly unknown[] {
  return values.length <= 6 ? values : [`${values.length - 6} more`, ...values.slice(-6)];
}
