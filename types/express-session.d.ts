// For compilers that don't read `exports` ("node10"): there `import session = require()` and `import * as session` are the function too.
import { session } from "../dist/compat/express-session.js";
export = session;
