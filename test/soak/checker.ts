import type { History, Live, Operation, Violation } from "./history.ts";

/**
 * What must be true of every history, whatever failed meanwhile:
 *
 * 1. Every acknowledged append is in each later reading, once; one whose outcome is unknown may be; nothing else is.
 * 2. The counter is at least what was acknowledged before, and at most that and what may have been done.
 * 3. What was ended never opens again: after an acknowledged logout or revocation, or after it was once found absent.
 * 4. Nobody sees another one's session.
 * 5. The versions of a record never run backwards.
 * 6. A lineage has one handle that opens.
 * 7. Nobody is logged out without a reason in the history.
 */
export function check({ operations, census }: History): Violation[] {
  const lives = Map.groupBy(operations, ({ life }) => life);
  const clients = Map.groupBy(operations, ({ client }) => client);
  const violations: Violation[] = [];
  for (const life of lives.values()) {
    violations.push(...checkValues(life), ...checkCounter(life), ...checkVersions(life), ...checkReplaced(life));
  }
  for (const mine of clients.values()) violations.push(...checkEnds(mine), ...checkReasons(mine));
  violations.push(...checkOwners(operations), ...checkCensus(lives, census));
  return violations.sort((a, b) => a.invariant - b.invariant);
}

function checkValues(life: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const appends = new Map(life.filter(({ kind }) => kind === "append").map((append) => [append.value, append]));
  const acknowledged = [...appends.values()].filter(({ outcome }) => outcome === "done");
  for (const reading of readings(life)) {
    const values = new Set<unknown>();
    for (const value of reading.seen.values) {
      const append = appends.get(String(value));
      const how =
        append === undefined || append.began > reading.ended
          ? "was never appended"
          : append.outcome === "refused" || append.outcome === "absent"
            ? "was appended though that was refused"
            : values.has(value)
              ? "was appended twice"
              : undefined;
      values.add(value);
      if (how !== undefined) violations.push(found(1, `${value} ${how}`, append, reading));
    }
    for (const append of acknowledged) {
      if (append.ended < reading.began && !values.has(append.value)) {
        violations.push(found(1, `${append.value} was acknowledged and is lost`, append, reading));
      }
    }
  }
  return violations;
}

function checkCounter(life: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const counts = life.filter(({ kind }) => kind === "count");
  for (const reading of readings(life)) {
    const { counter } = reading.seen;
    const certain = counts.filter(({ outcome, ended }) => outcome === "done" && ended < reading.began);
    const possible = counts.filter(
      ({ outcome, began }) => (outcome === "done" || outcome === "unknown") && began < reading.ended,
    );
    if (counter < certain.length) {
      violations.push(
        found(2, `the counter is ${counter} after ${certain.length} were acknowledged`, ...certain, reading),
      );
    } else if (!(counter <= possible.length)) {
      violations.push(
        found(2, `the counter is ${counter}, and ${possible.length} is the most it can be`, ...possible, reading),
      );
    }
  }
  return violations;
}

function checkEnds(mine: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  /** The first that a handle's end was known by, and so the earliest after which it may not open. */
  const ends = new Map<string, Operation>();
  const endedBy = (handle: string, end: Operation) => {
    const earlier = ends.get(handle);
    if (earlier === undefined || end.ended < earlier.ended) ends.set(handle, end);
  };
  for (const operation of mine) {
    const { kind, outcome, handle } = operation;
    if (handle !== undefined && (outcome === "absent" || (kind === "logout" && outcome === "done"))) {
      endedBy(handle, operation);
    }
    if (kind === "revoke" && outcome === "done") {
      for (const { issued, ended } of mine)
        if (issued !== undefined && ended < operation.began) endedBy(issued, operation);
    }
  }
  for (const operation of mine) {
    const end = operation.handle === undefined ? undefined : ends.get(operation.handle);
    if (end !== undefined && opened(operation) && operation.began > end.ended) {
      violations.push(found(3, `what a ${end.kind} found or made ended opens again`, end, operation));
    }
  }
  return violations;
}

function checkOwners(operations: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  for (const operation of operations) {
    const { seen, client, life } = operation;
    if (seen === undefined || (seen.userId === client && seen.marker === client && seen.life === life)) continue;
    violations.push(
      found(4, `${client} sees the session of ${seen.userId} with the data of ${seen.marker}`, operation),
    );
  }
  return violations;
}

function checkVersions(life: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const handles = Map.groupBy(
    readings(life).filter(({ seen }) => seen.version !== undefined),
    ({ handle }) => handle,
  );
  for (const all of handles.values()) {
    const byEnd = all.toSorted((a, b) => a.ended - b.ended);
    let newest: (typeof all)[number] | undefined;
    let next = 0;
    for (const reading of all.toSorted((a, b) => a.began - b.began)) {
      for (let before = byEnd[next]; before !== undefined && before.ended < reading.began; before = byEnd[++next]) {
        if (newest === undefined || Number(before.seen.version) > Number(newest.seen.version)) newest = before;
      }
      if (newest !== undefined && Number(reading.seen.version) < Number(newest.seen.version)) {
        violations.push(found(5, `version ${reading.seen.version} after ${newest.seen.version}`, newest, reading));
      }
    }
  }
  return violations;
}

function checkReplaced(life: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const rotations = life.filter(({ kind, outcome }) => kind === "rotate" && outcome === "done");
  for (const rotation of rotations) {
    for (const operation of life) {
      if (operation.handle === rotation.handle && operation.began > rotation.ended && opened(operation)) {
        violations.push(found(6, "a handle opens after another took its place", rotation, operation));
      }
    }
  }
  return violations;
}

/** A rotation that failed may leave a record behind whose token nobody has; one that somebody has may never be beside another. */
function checkCensus(lives: ReadonlyMap<string, readonly Operation[]>, census: readonly Live[]): Violation[] {
  const violations: Violation[] = [];
  for (const [name, live] of Map.groupBy(census, ({ life }) => life)) {
    const life = lives.get(name) ?? [];
    const issued = new Set(life.map((operation) => operation.issued));
    const known = live.filter(({ handle }) => issued.has(handle));
    const rotations = life.filter(({ kind, outcome }) => kind === "rotate" && outcome !== "done");
    if (known.length <= 1 && live.length <= 1 + rotations.length) continue;
    const handles = live.map(({ handle }) => handle).join(", ");
    violations.push(
      found(
        6,
        `the store holds ${handles} of one lineage`,
        ...life.filter(({ kind }) => kind === "rotate" || kind === "login"),
      ),
    );
  }
  return violations;
}

function checkReasons(mine: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const reasons = mine.filter(
    ({ kind, outcome }) =>
      (kind === "logout" || kind === "rotate" || kind === "revoke") && outcome !== "refused" && outcome !== "absent",
  );
  for (const operation of mine) {
    const { outcome, handle, ended } = operation;
    if (outcome !== "absent" || handle === undefined) continue;
    const has = reasons.some(
      (reason) => reason.began < ended && (reason.kind === "revoke" || reason.handle === handle),
    );
    if (has) continue;
    const login = mine.find(({ issued }) => issued === handle);
    violations.push(found(7, "logged out without a reason", login, operation));
  }
  return violations;
}

/** Whether the session was there. */
function opened({ kind, outcome, seen }: Operation): boolean {
  return kind !== "login" && kind !== "revoke" && (outcome === "done" || seen !== undefined);
}

function readings(life: readonly Operation[]) {
  return life.flatMap((operation) =>
    operation.kind === "read" && operation.outcome === "done" && operation.seen !== undefined
      ? [{ ...operation, seen: operation.seen }]
      : [],
  );
}

function found(invariant: number, message: string, ...operations: readonly (Operation | undefined)[]): Violation {
  return { invariant, message, operations: operations.filter((operation) => operation !== undefined) };
}
