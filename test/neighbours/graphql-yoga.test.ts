import assert from "node:assert/strict";
import { test } from "node:test";
import { type Any, type Browser, type Cleanup, express, kinds, listen, load, natives } from "./world.ts";

/** https://the-guild.dev/graphql/yoga-server/docs/integrations/integration-with-express: the server context has `req` and `res`. */
const typeDefs = /* GraphQL */ `
  type Query { me: String, cart: [String!]! }
  type Mutation { login(name: String!): String, add(item: String!): [String!]! }
  type Subscription { count(to: Int!): Int! }
`;

async function serve(t: Cleanup, sessions: Any, options: { captured: boolean; native: boolean }): Promise<Browser> {
  const { createSchema, createYoga } = load("graphql-yoga");
  const of = (context: Any) => (options.captured ? context.session : context.req.session);
  const yoga = createYoga({
    logging: false,
    schema: createSchema({
      typeDefs,
      resolvers: {
        Query: {
          me: (_: unknown, _args: unknown, context: Any) => of(context).userId,
          cart: (_: unknown, _args: unknown, context: Any) => of(context).cart ?? [],
        },
        Mutation: {
          login: async (_: unknown, { name }: Any, context: Any) => {
            if (options.native) await of(context).login(name);
            else of(context).userId = name;
            return of(context).userId;
          },
          add: (_: unknown, { item }: Any, context: Any) => {
            of(context).cart = [...(of(context).cart ?? []), item];
            return of(context).cart;
          },
        },
        Subscription: {
          count: {
            subscribe: async function* (_: unknown, { to }: Any, context: Any) {
              of(context).counted = to;
              for (let count = 1; count <= to; count++) yield { count };
            },
          },
        },
      },
    }),
    context: ({ req }: Any) => ({ session: req.session }),
  });
  const app = express(sessions, (app) => {
    app.use(yoga.graphqlEndpoint, yoga);
    app.get("/counted", (req: Any, res: Any) => res.send(String(req.session.counted)));
  });
  return listen(t, app);
}

async function ask(browser: Browser, query: string): Promise<Any> {
  const answer = await browser.json("/graphql", { query });
  const { data, errors } = JSON.parse(answer.text);
  assert.deepEqual([answer.status, errors], [200, undefined]);
  return data;
}

for (const [kind, open] of Object.entries(kinds)) {
  for (const captured of [true, false]) {
    test(`Yoga, context ${captured ? "{ session }" : "{ req }"}: a document goes on after a login (${kind})`, async (t) => {
      const browser = await serve(t, open(t), { captured, native: kind in natives });
      await ask(browser, 'mutation { add(item: "lamp") }');
      assert.deepEqual(await ask(browser, 'mutation { login(name: "ada") add(item: "book") }'), {
        login: "ada",
        add: ["lamp", "book"],
      });
      assert.deepEqual(await ask(browser, "{ me cart }"), { me: "ada", cart: ["lamp", "book"] });
    });
  }

  test(`Yoga: a subscription's events come whole, and what it changed is kept (${kind})`, async (t) => {
    const browser = await serve(t, open(t), { captured: false, native: kind in natives });
    await ask(browser, 'mutation { add(item: "lamp") }');
    const answer = await browser.json(
      "/graphql",
      { query: "subscription { count(to: 3) }" },
      { accept: "text/event-stream" },
    );
    const counts = [...answer.text.matchAll(/"count":(\d)/g)].map(([, count]) => count);
    assert.deepEqual(counts, ["1", "2", "3"]);
    assert.equal((await browser.get("/counted")).text, "3");
  });
}
