import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionObject } from "../../src/session/session.ts";
import type { SessionData } from "../../src/session/session-data.ts";
import type { SessionMembers } from "../../src/session/session-interface.ts";

/** The compiler checks that each member of a session is here, and that each name here is one that data can't have. */
const members: { [Name in keyof SessionMembers as Name & string]: Name extends keyof SessionData ? true : never } = {
  actor: true,
  authenticatedAt: true,
  authenticationMethods: true,
  confirm: true,
  createdAt: true,
  destroy: true,
  expiresAt: true,
  flash: true,
  id: true,
  impersonate: true,
  isNew: true,
  login: true,
  logout: true,
  persist: true,
  regenerate: true,
  reload: true,
  save: true,
  stopImpersonating: true,
  touch: true,
  transport: true,
  update: true,
  userId: true,
};

test("SessionData reserves the name of every member of a session", () => {
  const names = Object.getOwnPropertyNames(SessionObject.prototype).filter((name) => name !== "constructor");
  assert.deepEqual(names.sort(), Object.keys(members));
});
