// For compilers that don't read `exports` ("node10"): there `import cookieSession = require()` is the function too.
import { cookieSession } from "../dist/compat/cookie-session.js";
export = cookieSession;
