const { session } = require("sojourn");
const { MemoryStore } = require("sojourn/memory");
const { visit } = require("./visit.cjs");

visit({ session }, new MemoryStore());
