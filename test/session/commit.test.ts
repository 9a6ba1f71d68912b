import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommitAction, type CommitFacts, decideCommit } from "../../src/session/commit.ts";

/** Every combination there is: standing, changed, touch due, deliverable. */
const TABLE: [CommitFacts["standing"], boolean, boolean, boolean, CommitAction][] = [
  ["blank", false, false, false, "nothing"],
  ["blank", false, false, true, "nothing"],
  ["blank", false, true, false, "nothing"],
  ["blank", false, true, true, "nothing"],
  ["blank", true, false, false, "refuse"],
  ["blank", true, false, true, "create"],
  ["blank", true, true, false, "refuse"],
  ["blank", true, true, true, "create"],
  ["stored", false, false, false, "nothing"],
  ["stored", false, false, true, "nothing"],
  ["stored", false, true, false, "touch"],
  ["stored", false, true, true, "touch"],
  ["stored", true, false, false, "update"],
  ["stored", true, false, true, "update"],
  ["stored", true, true, false, "update"],
  ["stored", true, true, true, "update"],
  ["ending", false, false, false, "delete"],
  ["ending", false, false, true, "delete"],
  ["ending", false, true, false, "delete"],
  ["ending", false, true, true, "delete"],
  ["ending", true, false, false, "delete"],
  ["ending", true, false, true, "delete"],
  ["ending", true, true, false, "delete"],
  ["ending", true, true, true, "delete"],
];

test("the decision of a commit, for every combination of facts", () => {
  const seen = new Set<string>();
  for (const [standing, changed, touchDue, deliverable, action] of TABLE) {
    const facts = { standing, changed, touchDue, deliverable };
    seen.add(JSON.stringify(facts));
    assert.equal(decideCommit(facts), action, JSON.stringify(facts));
  }
  assert.equal(seen.size, 3 * 2 ** 3);
});

test("what an application asks for by save() begins even if it is empty", () => {
  for (const [standing, changed, touchDue, deliverable, action] of TABLE) {
    const isEmpty = standing === "blank" && !changed;
    const expected = isEmpty ? (deliverable ? "create" : "refuse") : action;
    assert.equal(decideCommit({ standing, changed, asked: true, touchDue, deliverable }), expected);
  }
});

test("no combination brings back what is ending, or stores what nobody can reach", () => {
  for (const [standing, changed, touchDue, deliverable] of TABLE) {
    const action = decideCommit({ standing, changed, touchDue, deliverable });
    if (standing === "ending") assert.equal(action, "delete");
    if (action === "create") assert.ok(standing === "blank" && changed && deliverable);
    if (!changed) assert.ok(action !== "create" && action !== "update");
  }
});
