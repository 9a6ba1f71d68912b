// `import` and `require` give one copy of the code and its state.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import session, { Store } from "sojourn/express-session";
import { MemoryStore } from "sojourn/memory";

const sojourn = await import("sojourn");
const require = createRequire(import.meta.url);
const required = require("sojourn");
assert.deepEqual(Object.keys(sojourn).sort(), Object.keys(required).sort());
for (const name of Object.keys(sojourn)) assert.equal(sojourn[name], required[name]);
assert.ok(new required.MemoryStore() instanceof MemoryStore);
assert.ok(new (require("sojourn/memory").MemoryStore)() instanceof sojourn.MemoryStore);
assert.equal(session, require("sojourn/express-session"));
assert.ok(new (require("sojourn/express-session").MemoryStore)() instanceof Store);
