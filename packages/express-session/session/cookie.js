module.exports = require("sojourn/express-session/session/cookie");
