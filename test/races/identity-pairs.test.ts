import { everyStore } from "../support/every-store.ts";
import { testIdentity } from "./pairs.ts";

/** A confirmation, a request that is no use, the end of a login at its provider, an erasure and an export, with anything else. */

const SHARED = ["write", "login", "regenerate-keep", "logout", "confirm", "revoke-link", "erase"];

for (const { name, skip, open } of everyStore()) {
  if (name === "memory" || name === "SQLite") {
    testIdentity(name, open, { preemptions: 2 });
    testIdentity(name, open, { preemptions: 1, processes: 2 });
  } else testIdentity(name, open, { preemptions: 1, processes: 2, skip: skip === false ? undefined : skip }, SHARED);
}
