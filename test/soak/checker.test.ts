import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { check } from "./checker.ts";
import type { History, Live, Operation, Seen } from "./history.ts";

type Step = Partial<Operation> & Pick<Operation, "kind">;

/** One client's life, one operation after the other; `began` and `ended` overlap only where a step says so. */
function history(steps: readonly Step[], census: readonly Live[] = []): History {
  const operations = steps.map((step, id) => ({
    id,
    client: "ada",
    life: "L1",
    began: id * 10,
    ended: id * 10 + 5,
    outcome: "done" as const,
    ...(step.kind !== "login" && step.kind !== "revoke" && { handle: "H1" }),
    ...step,
  }));
  return { operations, census };
}

function seen(values: readonly string[] = [], counter = 0, rest: Partial<Seen> = {}): Seen {
  return { userId: "ada", marker: "ada", life: "L1", values, counter, ...rest };
}

const login: Step = { kind: "login", issued: "H1" };
const append = (value: string, rest: Partial<Operation> = {}): Step => ({ kind: "append", value, ...rest });
const read = (what: Seen = seen(), rest: Partial<Operation> = {}): Step => ({ kind: "read", seen: what, ...rest });
const absent = (rest: Partial<Operation> = {}): Step => ({ kind: "read", outcome: "absent", ...rest });

const sound: Record<string, History> = {
  "a whole life": history([
    login,
    append("a"),
    { kind: "count" },
    read(seen(["a"], 1, { version: 3 })),
    { kind: "rotate", issued: "H2" },
    append("b", { handle: "H2" }),
    read(seen(["a", "b"], 1, { version: 2 }), { handle: "H2" }),
    absent(),
    { kind: "logout", handle: "H2" },
    absent({ handle: "H2" }),
  ]),
  "an append of unknown outcome that is there": history([
    login,
    append("a", { outcome: "unknown" }),
    read(seen(["a"])),
  ]),
  "one that is not": history([login, append("a", { outcome: "unknown" }), read(seen([]))]),
  "one that is there later only": history([login, append("a", { outcome: "unknown" }), read(), read(seen(["a"]))]),
  "an append at the same time as a read": history([
    login,
    append("a", { began: 20, ended: 30 }),
    read(seen([]), { began: 25 }),
  ]),
  "counts of unknown outcome": history([
    login,
    { kind: "count", outcome: "unknown" },
    read(seen([], 1)),
    read(seen([], 1)),
  ]),
  "a read during a logout": history([login, { kind: "logout", ended: 30 }, read(seen(), { began: 12, ended: 29 })]),
  "a logout of unknown outcome": history([login, { kind: "logout", outcome: "unknown" }, read(), absent()]),
  "a rotation of unknown outcome": history(
    [login, { kind: "rotate", outcome: "unknown" }, absent()],
    [
      { client: "ada", life: "L1", handle: "H1" },
      { client: "ada", life: "L1", handle: "H9" },
    ],
  ),
  "a login while everything is being revoked": history([
    { kind: "revoke", ended: 30 },
    { ...login, began: 12, ended: 29 },
    read(seen(), { began: 40, ended: 45 }),
  ]),
  "older versions, read at the same time": history([
    login,
    read(seen([], 0, { version: 2 }), { ended: 30 }),
    read(seen([], 0, { version: 1 }), { began: 29, ended: 40 }),
  ]),
  "one live session": history([login, read()], [{ client: "ada", life: "L1", handle: "H1" }]),
};

const forged: readonly (readonly [invariant: number, what: string, History])[] = [
  [1, "an acknowledged append that is lost", history([login, append("a"), append("b"), read(seen(["b"]))])],
  [1, "one that is lost after it was seen", history([login, append("a"), read(seen(["a"])), read(seen([]))])],
  [1, "an append that nobody made", history([login, read(seen(["x"]))])],
  [
    1,
    "an append that was refused, and is there",
    history([login, append("a", { outcome: "refused" }), read(seen(["a"]))]),
  ],
  [1, "an append that was made twice", history([login, append("a", { outcome: "unknown" }), read(seen(["a", "a"]))])],
  [1, "an append that was made before it was asked for", history([login, read(seen(["a"])), append("a")])],
  [2, "a count that is lost", history([login, { kind: "count" }, { kind: "count" }, read(seen([], 1))])],
  [2, "a count that was made twice", history([login, { kind: "count" }, read(seen([], 2))])],
  [2, "a count that was refused, and made", history([login, { kind: "count", outcome: "refused" }, read(seen([], 1))])],
  [2, "a counter that is no number", history([login, read(seen([], Number.NaN))])],
  [3, "a session that opens after its logout", history([login, { kind: "logout" }, read()])],
  [3, "one that can be written to after its logout", history([login, { kind: "logout" }, append("a")])],
  [3, "a session that opens after everything was revoked", history([login, { kind: "revoke" }, read()])],
  [3, "a session that comes back", history([login, { kind: "logout", outcome: "unknown" }, absent(), read()])],
  [4, "another one's marker", history([login, read(seen([], 0, { marker: "bob" }))])],
  [4, "another one's session", history([login, read(seen([], 0, { userId: "bob" }))])],
  [4, "another lineage", history([login, read(seen([], 0, { life: "L2" }))])],
  [
    4,
    "a session without its data",
    history([login, append("a", { outcome: "unknown", seen: seen([], 0, { marker: undefined }) })]),
  ],
  [5, "an older version", history([login, read(seen([], 0, { version: 3 })), read(seen([], 0, { version: 2 }))])],
  [6, "the old handle opens", history([login, { kind: "rotate", issued: "H2" }, read()])],
  [
    6,
    "two handles of one lineage are stored, and both are known",
    history(
      [login, { kind: "rotate", outcome: "unknown", issued: "H2" }],
      [
        { client: "ada", life: "L1", handle: "H1" },
        { client: "ada", life: "L1", handle: "H2" },
      ],
    ),
  ],
  [
    6,
    "two handles of one lineage are stored, and no rotation failed",
    history(
      [login, read()],
      [
        { client: "ada", life: "L1", handle: "H1" },
        { client: "ada", life: "L1", handle: "H9" },
      ],
    ),
  ],
  [7, "logged out without a reason", history([login, read(), absent()])],
  [7, "logged out by a logout that came later", history([login, absent(), { kind: "logout", outcome: "unknown" }])],
  [7, "logged out by a logout that was refused", history([login, { kind: "logout", outcome: "refused" }, absent()])],
  [7, "logged out by another handle's logout", history([login, { kind: "logout", handle: "H8" }, absent()])],
];

for (const [what, told] of Object.entries(sound)) {
  test(`nothing is wrong with ${what}`, () => deepEqual(check(told), []));
}

for (const [invariant, what, told] of forged) {
  test(`invariant ${invariant} finds ${what}`, () => {
    const violations = check(told);
    equal(violations[0]?.invariant, invariant);
    ok(
      violations.every((violation) => violation.invariant === invariant),
      "and no other one",
    );
    ok((violations[0]?.operations.length ?? 0) > 0);
  });
}
