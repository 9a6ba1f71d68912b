import assert from "node:assert/strict";
import { test } from "node:test";
import { type Any, type Browser, type Cleanup, express, kinds, listen, load, natives } from "./world.ts";

/**
 * https://www.npmjs.com/package/@as-integrations/express5: the context is made once a request, before any resolver runs, and the resolvers of
 * one document use the session object that was put there, also after one of them logged somebody in.
 */
const typeDefs = `#graphql
  type Query { me: String, cart: [String!]! }
  type Mutation { login(name: String!): String, add(item: String!): [String!]!, logout: Boolean! }
`;

/** What a context has of the session. */
const contexts: Record<string, (req: Any) => { session(): Any }> = {
  "{ session: req.session }": (req) => {
    const { session } = req;
    return { session: () => session };
  },
  "{ req }": (req) => ({ session: () => req.session }),
};

function resolvers(login: (session: Any, name: string) => unknown): object {
  return {
    Query: {
      me: (_: unknown, _args: unknown, { session }: Any) => session().userId,
      cart: (_: unknown, _args: unknown, { session }: Any) => session().cart ?? [],
    },
    Mutation: {
      login: async (_: unknown, { name }: Any, { session }: Any) => {
        await login(session(), name);
        return session().userId;
      },
      add: (_: unknown, { item }: Any, { session }: Any) => {
        session().cart = [...(session().cart ?? []), item];
        return session().cart;
      },
      logout: async (_: unknown, _args: unknown, { session }: Any) => {
        await session().logout();
        return true;
      },
    },
  };
}

const loginMethod = (session: Any, name: string) => session.login(name);
/** As with express-session: a property. */
const loginProperty = (session: Any, name: string) => {
  session.userId = name;
};

async function serve(
  t: Cleanup,
  sessions: Any,
  context: (req: Any) => object,
  login: typeof loginMethod,
): Promise<Browser> {
  const { ApolloServer } = load("@apollo/server");
  const { expressMiddleware } = load("@as-integrations/express5");
  const server = new ApolloServer({
    typeDefs,
    resolvers: resolvers(login),
    allowBatchedHttpRequests: true,
    includeStacktraceInErrorResponses: false,
  });
  await server.start();
  t.after(() => server.stop());
  const app = express(sessions, (app) =>
    app.use(
      "/graphql",
      load("express").json(),
      expressMiddleware(server, { context: async ({ req }: Any) => context(req) }),
    ),
  );
  return listen(t, app);
}

async function ask(browser: Browser, query: string): Promise<Any> {
  const answer = await browser.json("/graphql", { query });
  const { data, errors } = JSON.parse(answer.text);
  assert.deepEqual([answer.status, errors], [200, undefined]);
  return data;
}

for (const [name, context] of Object.entries(contexts)) {
  for (const [kind, open] of Object.entries(natives)) {
    test(`Apollo, context ${name}: what follows a login in one document (${kind})`, async (t) => {
      const browser = await serve(t, open(t), context, loginMethod);
      assert.deepEqual(await ask(browser, "{ me } "), { me: null });
      assert.deepEqual(await ask(browser, 'mutation { add(item: "lamp") }'), { add: ["lamp"] });
      assert.deepEqual(await ask(browser, 'mutation { login(name: "ada") add(item: "book") }'), {
        login: "ada",
        add: ["lamp", "book"],
      });
      assert.deepEqual(await ask(browser, "{ me cart }"), { me: "ada", cart: ["lamp", "book"] });
    });

    test(`Apollo, context ${name}: a batch of operations shares the context (${kind})`, async (t) => {
      const browser = await serve(t, open(t), context, loginMethod);
      const answer = await browser.json("/graphql", [
        { query: 'mutation { login(name: "ada") }' },
        { query: 'mutation { add(item: "book") }' },
      ]);
      const [first, second] = JSON.parse(answer.text);
      assert.deepEqual([first, second], [{ data: { login: "ada" } }, { data: { add: ["book"] } }]);
      assert.deepEqual(await ask(browser, "{ me cart }"), { me: "ada", cart: ["book"] });
    });

    test(`Apollo, context ${name}: logout (${kind})`, async (t) => {
      const browser = await serve(t, open(t), context, loginMethod);
      await ask(browser, 'mutation { login(name: "ada") }');
      assert.deepEqual(await ask(browser, "mutation { logout }"), { logout: true });
      assert.deepEqual(await ask(browser, "{ me }"), { me: null });
    });
  }

  for (const kind of ["as the drop-in", "by express-session"]) {
    test(`Apollo, context ${name}, sessions ${kind}: a property that a mutation sets`, async (t) => {
      const browser = await serve(t, kinds[kind]?.(t), context, loginProperty);
      assert.deepEqual(await ask(browser, 'mutation { login(name: "ada") add(item: "book") }'), {
        login: "ada",
        add: ["book"],
      });
      assert.deepEqual(await ask(browser, "{ me cart }"), { me: "ada", cart: ["book"] });
    });
  }
}
