import type { RequestListener } from "node:http";
import { isPromise, ROUTES, type Site, type Uses } from "./contender.ts";
import { load } from "./peer.ts";

interface Reply {
  type(contentType: string): this;
  send(body: string): this;
}
export type FastifyPlugin = (app: FastifyInstance, options: object, done: () => void) => void;
export interface FastifyInstance {
  readonly routing: RequestListener;
  get(path: string, handler: (req: object, reply: Reply) => unknown): this;
  register(plugin: FastifyPlugin, options?: object): PromiseLike<unknown>;
  ready(): PromiseLike<unknown>;
  close(): Promise<void>;
}
const fastify: () => FastifyInstance = load("fastify");

/** Fastify with these plugins, and a route for every use. */
export async function fastifySite(
  register: (app: FastifyInstance) => unknown,
  uses: Uses<object, Reply>,
): Promise<Site> {
  const app = fastify();
  await register(app);
  app.get("/none", (_req, reply) => answer(reply, "hello"));
  for (const route of ROUTES) {
    app.get(`/${route}`, (req, reply) => {
      const value = uses[route](req, reply);
      return isPromise(value) ? value.then((settled) => answer(reply, settled)) : answer(reply, value);
    });
  }
  await app.ready();
  return { listener: app.routing, close: () => app.close() };
}

function answer(reply: Reply, value: unknown): Reply {
  return reply.type("text/plain").send(String(value ?? "nothing"));
}
