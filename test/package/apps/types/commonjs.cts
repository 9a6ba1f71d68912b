import sojourn = require("sojourn");
import memory = require("sojourn/memory");
import sqlite = require("sojourn/sqlite");

export const sessions: sojourn.Sessions = sojourn.session({ store: new memory.MemoryStore() });
export const store: sojourn.SessionStore = new sqlite.SqliteStore("sessions.db");
