// An application in CommonJS.
const { scenario } = require("./scenario.cjs");

module.exports = scenario({
  sojourn: require("sojourn"),
  sqlite: require("sojourn/sqlite"),
  redis: require("sojourn/redis"),
  postgres: require("sojourn/postgres"),
  mysql: require("sojourn/mysql"),
  dropIn: require("sojourn/express-session"),
  cookieSession: require("sojourn/cookie-session"),
  clients: process.env.CLIENTS?.split(",") ?? [],
});
