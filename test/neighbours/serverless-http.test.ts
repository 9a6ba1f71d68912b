import { serverlessSuite } from "./serverless.ts";
import { type Any, load } from "./world.ts";

/** https://www.npmjs.com/package/serverless-http: `module.exports.handler = serverless(app)` */
serverlessSuite("serverless-http", (app: Any) => load("serverless-http")(app));
