// An application that has the drop-ins under the originals' names.
const cookieSession = require("cookie-session");
const session = require("express-session");

function check(truth) {
  if (!truth) throw new Error("not as it should be");
}
check(session.implementation === "sojourn" && cookieSession.implementation === "sojourn");
check(session === require("sojourn/express-session") && cookieSession === require("sojourn/cookie-session"));
check(require("express-session/session/store") === session.Store);
check(typeof session({ secret: "s", resave: false, saveUninitialized: false }) === "function");
// As test doubles do it.
const { Cookie } = session;
session.Cookie = class Fake {};
check(session.Cookie !== Cookie);
session.Cookie = Cookie;
console.log("the aliases work");
