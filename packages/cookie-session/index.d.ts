import cookieSession = require("sojourn/cookie-session");
export = cookieSession;
