// What applications in CommonJS write, NestJS's among them.
import assert = require("node:assert/strict");
import sojourn = require("sojourn");

import { MemoryStore } from "sojourn/memory";

import sqlite = require("sojourn/sqlite");
import session = require("sojourn/express-session");
import cookieSession = require("sojourn/cookie-session");
import Cookie = require("sojourn/express-session/session/cookie");

declare module "sojourn/express-session" {
  interface SessionData {
    user: string;
  }
}

export const middlewares = [
  session({ secret: process.env["SECRET"], store: new session.MemoryStore() }),
  cookieSession({ keys: ["k"] }),
];
export const data: session.SessionData = { cookie: new Cookie(), user: "ada" };
export const sessions: sojourn.Sessions = sojourn.session({ store: new MemoryStore() });
export const names: "sojourn"[] = [session.implementation, cookieSession.implementation];
export type Later = sqlite.SqliteStore;

assert.equal(typeof sojourn.session, "function");
assert.ok(data.cookie instanceof session.Cookie);
console.log("compiled, and runs");
