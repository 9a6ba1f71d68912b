import assert from "node:assert/strict";
import { test } from "node:test";
import { session } from "../../src/index.ts";
import { Events } from "../../src/session/events.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { resilient } from "../../src/wrap/resilient.ts";

test("a listener of an event that there isn't is refused with the names of those that there are", async (t) => {
  const sessions = session({ store: new MemoryStore({ acceptLossOnRestart: true }) });
  t.after(() => sessions.close());
  for (const event of ["logout", "constructor", "__proto__", "", undefined, Symbol("login")]) {
    assert.throws(() => Reflect.apply(sessions.on, sessions, [event, () => {}]), {
      name: "TypeError",
      message: /there is no event .*; the events are create, login, regenerate, confirm, .*overwritten/,
    });
  }
  const store = resilient(new MemoryStore({ acceptLossOnRestart: true }));
  assert.throws(() => Reflect.apply(store.on, store, ["close", () => {}]), {
    name: "TypeError",
    message: /there is no event 'close'; the events are open, half-open, closed/,
  });
});

test("a listener that is no function is refused", () => {
  assert.throws(() => Reflect.apply(new Events().on, new Events(), ["login", undefined]), {
    name: "TypeError",
    message: /listener must be a function/,
  });
});
