const session = require("sojourn/express-session");

module.exports = session;
// One by one, so that `import { Store } from "express-session"` finds them: Node reads these lines without running them.
module.exports.Cookie = session.Cookie;
module.exports.implementation = session.implementation;
module.exports.MemoryStore = session.MemoryStore;
module.exports.Session = session.Session;
module.exports.Store = session.Store;
module.exports.toExpressStore = session.toExpressStore;
