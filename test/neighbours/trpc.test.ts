import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Any,
  type Browser,
  type Cleanup,
  cookieHeader,
  express,
  keepCookies,
  kinds,
  listen,
  load,
  natives,
} from "./world.ts";

/** https://trpc.io/docs/server/adapters/express: the context is made once for all calls of a batch. */
interface Caller {
  browser: Browser;
  client: Any;
}

async function serve(
  t: Cleanup,
  sessions: Any,
  { native, streaming }: { native: boolean; streaming: boolean },
): Promise<Caller> {
  const { initTRPC } = load("@trpc/server");
  const { createExpressMiddleware } = load("@trpc/server/adapters/express");
  const { createTRPCClient, httpBatchLink, httpBatchStreamLink } = load("@trpc/client");
  const trpc = initTRPC.context().create();
  const text = (input: unknown) => String(input);
  const router = trpc.router({
    me: trpc.procedure.query(({ ctx }: Any) => ctx.session.userId ?? null),
    cart: trpc.procedure.query(({ ctx }: Any) => ctx.session.cart ?? []),
    add: trpc.procedure.input(text).mutation(({ ctx, input }: Any) => {
      ctx.session.cart = [...(ctx.session.cart ?? []), input];
      return ctx.session.cart;
    }),
    login: trpc.procedure.input(text).mutation(async ({ ctx, input }: Any) => {
      if (native) await ctx.session.login(input);
      else ctx.session.userId = input;
      return ctx.session.userId;
    }),
    logout: trpc.procedure.mutation(async ({ ctx }: Any) => {
      await ctx.session.logout();
      return true;
    }),
  });
  const app = express(sessions, (app) =>
    app.use(
      "/trpc",
      createExpressMiddleware({ router, createContext: ({ req, res }: Any) => ({ session: req.session, req, res }) }),
    ),
  );
  const browser = await listen(t, app);
  const link = streaming ? httpBatchStreamLink : httpBatchLink;
  const client = createTRPCClient({
    links: [
      link({
        url: `http://127.0.0.1:${browser.port}/trpc`,
        async fetch(url: string, options: Any) {
          const headers = { ...options.headers, cookie: cookieHeader(browser.cookies) };
          const answer = await fetch(url, { ...options, headers, signal: AbortSignal.timeout(5_000) });
          keepCookies(browser.cookies, answer.headers.getSetCookie());
          return answer;
        },
      }),
    ],
  });
  return { browser, client };
}

for (const [kind, open] of Object.entries(kinds)) {
  test(`tRPC: calls one after the other (${kind})`, async (t) => {
    const { client } = await serve(t, open(t), { native: kind in natives, streaming: false });
    assert.equal(await client.me.query(), null);
    assert.deepEqual(await client.add.mutate("lamp"), ["lamp"]);
    assert.equal(await client.login.mutate("ada"), "ada");
    assert.deepEqual(await client.add.mutate("book"), ["lamp", "book"]);
    assert.equal(await client.me.query(), "ada");
    assert.deepEqual(await client.cart.query(), ["lamp", "book"]);
    if (!(kind in natives)) return;
    await client.logout.mutate();
    assert.equal(await client.me.query(), null);
  });

  test(`tRPC: a batch whose first call logs in, and whose second one goes on using the session (${kind})`, async (t) => {
    const { client } = await serve(t, open(t), { native: kind in natives, streaming: false });
    // Calls of one tick travel in one request, and run side by side.
    const [user, cart] = await Promise.all([client.login.mutate("ada"), client.add.mutate("book")]);
    assert.deepEqual([user, cart], ["ada", ["book"]]);
    const [me, kept] = await Promise.all([client.me.query(), client.cart.query()]);
    assert.deepEqual([me, kept], ["ada", ["book"]]);
  });
}

for (const [kind, open] of Object.entries(natives)) {
  test(`tRPC: a streamed batch that only reads (${kind})`, async (t) => {
    const { client } = await serve(t, open(t), { native: true, streaming: true });
    const [me, cart] = await Promise.all([client.me.query(), client.cart.query()]);
    assert.deepEqual([me, cart], [null, []]);
  });
}
