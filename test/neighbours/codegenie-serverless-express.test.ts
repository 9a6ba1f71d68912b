import { serverlessSuite } from "./serverless.ts";
import { type Any, load } from "./world.ts";

/** https://www.npmjs.com/package/@codegenie/serverless-express: the successor of Vendia's, called the same way. */
serverlessSuite("@codegenie/serverless-express", (app: Any) => load("@codegenie/serverless-express")({ app }));
