import { serverlessSuite } from "./serverless.ts";
import { type Any, load } from "./world.ts";

/** https://www.npmjs.com/package/@h4ad/serverless-adapter: put together as in its README. */
const { ServerlessAdapter } = load("@h4ad/serverless-adapter");
const { ExpressFramework } = load("@h4ad/serverless-adapter/lib/frameworks/express");
const { DefaultHandler } = load("@h4ad/serverless-adapter/lib/handlers/default");
const { PromiseResolver } = load("@h4ad/serverless-adapter/lib/resolvers/promise");
const { AlbAdapter, ApiGatewayV1Adapter, ApiGatewayV2Adapter } = load("@h4ad/serverless-adapter/lib/adapters/aws");

serverlessSuite("@h4ad/serverless-adapter", (app: Any) =>
  ServerlessAdapter.new(app)
    .setFramework(new ExpressFramework())
    .setHandler(new DefaultHandler())
    .setResolver(new PromiseResolver())
    .addAdapter(new ApiGatewayV1Adapter())
    .addAdapter(new ApiGatewayV2Adapter())
    .addAdapter(new AlbAdapter())
    .build(),
);
