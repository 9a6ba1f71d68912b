import session = require("sojourn/express-session");
export = session;
