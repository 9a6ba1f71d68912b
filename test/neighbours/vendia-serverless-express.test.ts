import { serverlessSuite } from "./serverless.ts";
import { type Any, load } from "./world.ts";

/** https://www.npmjs.com/package/@vendia/serverless-express: `exports.handler = serverlessExpress({ app })` */
serverlessSuite("@vendia/serverless-express", (app: Any) => load("@vendia/serverless-express")({ app }));
