import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommitAction, type CommitFacts, decideCommit } from "../../src/session/commit.ts";

/** Every combination there is: status, changed, touch due, deliverable. */
const TABLE: [CommitFacts["status"], boolean, boolean, boolean, CommitAction][] = [
  ["blank", false, false, false, "nothing"],
  ["blank", false, false, true, "nothing"],
  ["blank", false, true, false, "nothing"],
  ["blank", false, true, true, "nothing"],
  ["blank", true, false, false, "refuse"],
  ["blank", true, false, true, "store"],
  ["blank", true, true, false, "refuse"],
  ["blank", true, true, true, "store"],
  ["stored", false, false, false, "nothing"],
  ["stored", false, false, true, "nothing"],
  ["stored", false, true, false, "touch"],
  ["stored", false, true, true, "touch"],
  ["stored", true, false, false, "store"],
  ["stored", true, false, true, "store"],
  ["stored", true, true, false, "store"],
  ["stored", true, true, true, "store"],
  ["ending", false, false, false, "nothing"],
  ["ending", false, false, true, "nothing"],
  ["ending", false, true, false, "nothing"],
  ["ending", false, true, true, "nothing"],
  ["ending", true, false, false, "nothing"],
  ["ending", true, false, true, "nothing"],
  ["ending", true, true, false, "nothing"],
  ["ending", true, true, true, "nothing"],
];

test("the decision of a commit, for every combination of facts", () => {
  const seen = new Set<string>();
  for (const [status, changed, touchDue, deliverable, action] of TABLE) {
    const facts = { status, changed, touchDue, deliverable };
    seen.add(JSON.stringify(facts));
    assert.equal(decideCommit(facts), action, JSON.stringify(facts));
  }
  assert.equal(seen.size, 3 * 2 ** 3);
});

test("what an application asks for by save() begins even if it is empty", () => {
  for (const [status, changed, touchDue, deliverable, action] of TABLE) {
    const isEmpty = status === "blank" && !changed;
    const expected = isEmpty ? (deliverable ? "store" : "refuse") : action;
    assert.equal(decideCommit({ status, changed, forced: true, touchDue, deliverable }), expected);
  }
});

test("no combination brings back what is ending, or stores what nobody can reach", () => {
  for (const [status, changed, touchDue, deliverable] of TABLE) {
    const action = decideCommit({ status, changed, touchDue, deliverable });
    if (status === "ending") assert.equal(action, "nothing");
    if (action === "store") assert.ok(changed && (status === "stored" || (status === "blank" && deliverable)));
  }
});

test("a session that replaces another is committed even if it is empty, so that the other one ends", () => {
  const facts = { status: "blank", changed: false, touchDue: false, replaces: true } as const;
  assert.equal(decideCommit({ ...facts, deliverable: true }), "store");
  assert.equal(decideCommit({ ...facts, deliverable: false }), "refuse");
});
