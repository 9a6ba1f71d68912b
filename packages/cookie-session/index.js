module.exports = require("sojourn/cookie-session");
