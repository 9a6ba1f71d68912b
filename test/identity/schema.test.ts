import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { type Migration, type SessionEvents, type SessionOptions, SojournError, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { increment, peek, put } from "../support/express-site.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Cleanup, type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

type Kind = "a synchronous store" | "an asynchronous store" | "sealed sessions";
const KINDS: readonly Kind[] = ["a synchronous store", "an asynchronous store", "sealed sessions"];
const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const SECRET_VALUE = "4111-1111-1111-1111";

const SCHEMAS: [string, NonNullable<SessionOptions["schema"]>][] = [
  [
    "zod",
    z.object({
      cart: z.array(z.object({ title: z.string(), price: z.number() })),
      views: z.number(),
      theme: z.enum(["light"]),
    }),
  ],
  [
    "valibot",
    v.object({
      cart: v.array(v.object({ title: v.string(), price: v.number() })),
      views: v.number(),
      theme: v.picklist(["light"]),
    }),
  ],
  ["arktype", type({ cart: type({ title: "string", price: "number" }).array(), views: "number", theme: "'light'" })],
];

/** Sets what the query says, as JSON, and tells what the session holds. */
const handler: Handler = async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
  const { session } = req;
  if (pathname === "/one") {
    res.end(JSON.stringify(peek(session, searchParams.get("name") ?? "")));
    return;
  }
  for (const [name, text] of searchParams) put(session, name, JSON.parse(text));
  if (pathname === "/logout") await session.logout();
  if (pathname === "/login") await session.login("ada");
  if (pathname === "/save") await session.save();
  if (pathname === "/update") await session.update(() => put(session, "views", "many"));
  if (pathname === "/delete") Reflect.deleteProperty(session, "views");
  if (pathname === "/regenerate") await session.regenerate({ keep: [] });
  res.end(JSON.stringify({ userId: session.userId, data: { ...session } }));
};

interface Place {
  readonly clock: ManualClock;
  readonly probe: ProbeStore;
  readonly store: NonNullable<SessionOptions["store"]>;
}

function placeOf(kind: Kind): Place {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock, acceptLossOnRestart: true });
  const probe = new ProbeStore(inner, { async: kind === "an asynchronous store" });
  return { clock, probe, store: kind === "sealed sessions" ? new SealedStore() : probe.store };
}

/** A release of an application, over the store that other releases have, too. */
async function release(t: Cleanup, { clock, store }: Place, options: SiteOptions = {}, way = handler) {
  const one = await site(t, { clock, store, secret, ...options }, way);
  const told: SessionEvents["migration-failed"][] = [];
  one.sessions.on("migration-failed", (detail) => told.push(detail));
  return { ...one, told };
}

/** The visitor at another release. */
function at(one: { visitor(): Visitor }, { cookies }: Visitor): Visitor {
  const other = one.visitor();
  for (const [name, value] of cookies) other.cookies.set(name, value);
  return other;
}

const set = (values: object) =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${encodeURIComponent(JSON.stringify(value))}`)
    .join("&");

const seen = async (visitor: Visitor, path = "/") => JSON.parse((await visitor.get(path)).text);

for (const [library, schema] of SCHEMAS) {
  describe(`a schema of ${library}`, () => {
    test("lets pass what matches, also where other properties are absent", async (t) => {
      const one = await release(t, placeOf("a synchronous store"), { schema });
      const visitor = one.visitor();
      assert.equal((await visitor.get(`/?${set({ views: 1 })}`)).status, 200);
      assert.equal((await visitor.get(`/?${set({ cart: [{ title: "book", price: 7 }] })}`)).status, 200);
      assert.equal((await visitor.get("/delete")).status, 200);
      assert.deepEqual((await seen(visitor)).data, { cart: [{ title: "book", price: 7 }] });
    });

    test("refuses what doesn't match with its path, never the value, and nothing is saved", async (t) => {
      const one = await release(t, placeOf("a synchronous store"), { schema });
      const visitor = one.visitor();
      await visitor.get(`/?${set({ views: 1 })}`);
      const wrong: [string, string][] = [
        [`/?${set({ views: SECRET_VALUE })}`, "req.session.views"],
        [`/?${set({ theme: SECRET_VALUE, views: 2 })}`, "req.session.theme"],
        [
          `/?${set({
            cart: [
              { title: "a", price: 1 },
              { title: "b", price: SECRET_VALUE },
            ],
          })}`,
          "req.session.cart[1].price",
        ],
        [`/login?${set({ views: SECRET_VALUE })}`, "req.session.views"],
        [`/save?${set({ views: null })}`, "req.session.views"],
        ["/update", "req.session.views"],
      ];
      for (const [path, place] of wrong) {
        const { status, setCookies } = await visitor.get(path);
        assert.deepEqual([status, setCookies], [500, []], path);
        const error = one.errors.at(-1);
        assert.ok(error instanceof SojournError);
        assert.equal(error.code, "INVALID_DATA");
        assert.equal(error.message, `${place} does not match session({ schema }); nothing was saved`);
        assert.ok(!JSON.stringify([error, error.cause, error.stack]).includes(SECRET_VALUE));
      }
      assert.deepEqual(await seen(visitor), { userId: null, data: { views: 1 } });
    });
  });
}

test("what a request did not change is not checked, so that a stricter schema locks nobody out", async (t) => {
  const place = placeOf("a synchronous store");
  const before = await release(t, place);
  const visitor = before.visitor();
  await visitor.get(`/?${set({ views: "many", theme: "light" })}`);
  const after = await release(t, place, { schema: z.object({ views: z.number(), theme: z.string() }) });
  const same = at(after, visitor);
  assert.equal((await same.get(`/?${set({ theme: "dark" })}`)).status, 200);
  assert.equal((await same.get("/login")).status, 200);
  assert.deepEqual((await seen(same)).data, { views: "many", theme: "dark" });
  assert.equal((await same.get(`/?${set({ views: "more" })}`)).status, 500);
});

test("a rule on several properties holds for what is stored after a merge", async (t) => {
  const place = placeOf("an asynchronous store");
  const schema = z
    .object({ a: z.number().optional(), b: z.number().optional() })
    .refine(({ a = 0, b = 0 }) => a + b < 10);
  const { visitor, errors } = await release(t, place, { schema });
  const one = visitor();
  await one.get(`/?${set({ a: 1 })}`);
  const gate = place.probe.gate("update");
  const both = [one.clone().get(`/?${set({ a: 7 })}`), one.clone().get(`/?${set({ b: 7 })}`)];
  await gate.arrived(2);
  gate.open();
  assert.deepEqual((await Promise.all(both)).map(({ status }) => status).sort(), [200, 500]);
  assert.match(String(errors[0]), /req\.session does not match/);
});

test("asynchronous schemas are refused, and one that throws is an error", async (t) => {
  const later = z.object({ n: z.number().refine(async () => true) });
  const { visitor, errors } = await release(t, placeOf("a synchronous store"), { schema: later });
  assert.equal((await visitor().get(`/?${set({ n: 1 })}`)).status, 500);
  assert.match(String(errors[0]), /TypeError: schema must answer at once/);
  const throwing = {
    "~standard": { version: 1, vendor: "test", validate: () => assert.fail("the schema's own") },
  } as const;
  const other = await release(t, placeOf("a synchronous store"), { schema: throwing });
  assert.equal((await other.visitor().get(`/?${set({ n: 1 })}`)).status, 500);
  assert.match(String(other.errors[0]), /the schema's own/);
});

test("reading a property parses no other one", async (t) => {
  const place = placeOf("a synchronous store");
  const options = { schema: z.object({ a: z.number(), b: z.array(z.number()) }), migrate: [] };
  const { visitor, sessions } = await release(t, place, options);
  const one = visitor();
  await one.get(`/?${set({ a: 1, b: [1, 2] })}`);
  const handle = one.token?.split(".")[0] ?? "";
  const record = place.probe.inner.load(handle);
  assert.ok(record !== undefined && !(record instanceof Promise));
  const payload = record.payload.replace("[1,2]", "[1,2}");
  place.probe.inner.update(handle, { ...record, payload, version: 2 }, 1);
  let damaged = 0;
  sessions.on("damaged-record", () => {
    damaged += 1;
  });
  assert.equal((await one.get("/one?name=a")).text, "1");
  assert.equal(damaged, 0);
  await one.get("/one?name=b");
  assert.equal(damaged, 1);
});

/** From a list of titles to articles, and from there to a map. */
const MIGRATIONS: readonly Migration[] = [
  {
    from: 1,
    up(data) {
      const titles = data["cart"];
      if (Array.isArray(titles)) data["cart"] = titles.map((title: unknown) => ({ title }));
    },
  },
  {
    from: 2,
    up: ({ cart, ...rest }) => ({ ...rest, articles: Array.isArray(cart) ? cart.length : 0 }),
  },
];

for (const kind of KINDS) {
  describe(`migrations, with ${kind}`, () => {
    test("bring data along at its next read, and store it with the next save", async (t) => {
      const place = placeOf(kind);
      const runs: number[] = [];
      const counted = MIGRATIONS.map(({ from, up }) => ({
        from,
        up(data: Record<string, unknown>) {
          runs.push(from);
          return up(data);
        },
      }));
      const first = await release(t, place);
      const visitor = first.visitor();
      await visitor.get(`/login?${set({ cart: ["book"], n: 1 })}`);
      const second = at(await release(t, place, { migrate: counted.slice(0, 1) }), visitor);
      const data = { cart: [{ title: "book" }], n: 1 };
      for (let i = 1; i < 3; i += 1) {
        assert.deepEqual(await seen(second), { userId: "ada", data });
        assert.equal(runs.length, i, "nothing was saved");
      }
      assert.deepEqual((await seen(at(first, second))).data, { cart: ["book"], n: 1 });
      await second.get(`/?${set({ n: 2 })}`);
      runs.length = 0;
      assert.deepEqual((await seen(second)).data, { ...data, n: 2 });
      assert.deepEqual(runs, []);
      const third = at(await release(t, place, { migrate: counted }), second);
      assert.deepEqual((await seen(third)).data, { articles: 1, n: 2 });
      assert.deepEqual(runs, [2]);
      await third.get(`/login?${set({ n: 3 })}`);
      assert.deepEqual(await seen(third), { userId: "ada", data: { articles: 1, n: 3 } });
      assert.deepEqual(runs, [2, 2], "a login carries today's data over");
    });

    test("bring data of the first version through all steps, and leave sessions without data alone", async (t) => {
      const place = placeOf(kind);
      const first = await release(t, place);
      const [one, empty] = [first.visitor(), first.visitor()];
      await one.get(`/?${set({ cart: ["a", "b"] })}`);
      await empty.get("/login");
      const last: Migration = {
        from: 3,
        up: ({ articles, ...rest }) => ({ ...rest, articles: `${articles} articles` }),
      };
      const today = await release(t, place, { migrate: [...MIGRATIONS, last] });
      assert.deepEqual((await seen(at(today, one))).data, { articles: "2 articles" });
      const other = at(today, empty);
      assert.deepEqual(await seen(other), { userId: "ada", data: {} });
      await other.get(`/?${set({ articles: 7 })}`);
      assert.deepEqual((await seen(other)).data, { articles: 7 });
      const begun = today.visitor();
      await begun.get(`/?${set({ articles: 1 })}`);
      assert.deepEqual((await seen(begun)).data, { articles: 1 });
      const { setCookies } = await begun.get("/regenerate");
      assert.match(String(setCookies), /Max-Age=0/, "an empty session is not stored for its version");
    });

    const broken: [string, (options: SiteOptions) => SiteOptions][] = [
      [
        "a migration that throws",
        () => ({
          migrate: [
            {
              from: 1,
              up() {
                throw new Error("the application's own");
              },
            },
          ],
        }),
      ],
      ["a migration that returns a promise", () => ({ migrate: [{ from: 1, up: (async () => ({})) as never }] })],
      ["a migration that returns no object", () => ({ migrate: [{ from: 1, up: () => [1] as never }] })],
      ["a migration to what JSON can't hold", () => ({ migrate: [{ from: 1, up: () => ({ n: new Map() }) }] })],
      ["a migration to what the schema refuses", (o) => ({ ...o, schema: z.object({ articles: z.string() }) })],
      ["a version before the first step", () => ({ migrate: MIGRATIONS.slice(1) })],
    ];
    for (const [what, options] of broken) {
      test(`${what}: the session is set aside, until a corrected release finds it`, async (t) => {
        const place = placeOf(kind);
        const first = await release(t, place);
        const visitor = first.visitor();
        await visitor.get(`/login?${set({ cart: ["book"] })}`);
        const wrong = await release(t, place, options({ migrate: MIGRATIONS }));
        const { text, setCookies, status } = await at(wrong, visitor).get("/");
        assert.deepEqual([status, JSON.parse(text), setCookies], [200, { userId: null, data: {} }, []]);
        assert.equal(wrong.told.length, 1);
        const [{ error, from, to } = assert.fail()] = wrong.told;
        assert.deepEqual([error.code, from < to], ["INVALID_DATA", true]);
        assert.ok(error.cause instanceof Error);
        const right = await release(t, place, { migrate: MIGRATIONS });
        assert.deepEqual(await seen(at(right, visitor)), { userId: "ada", data: { articles: 1 } });
      });

      test(`${what}, with onSchemaError: "drop": the login goes on without the data`, async (t) => {
        const place = placeOf(kind);
        const first = await release(t, place);
        const visitor = first.visitor();
        await visitor.get(`/login?${set({ cart: ["book"] })}`);
        const wrong = await release(t, place, { ...options({ migrate: MIGRATIONS }), onSchemaError: "drop" });
        const there = at(wrong, visitor);
        assert.deepEqual(await seen(there), { userId: "ada", data: {} });
        await there.get(`/?${set({ articles: "1" })}`);
        assert.equal(wrong.told.length, 2);
        assert.deepEqual(await seen(there), { userId: "ada", data: { articles: "1" } });
        assert.equal(wrong.told.length, 2, "stored in today's version");
      });
    }

    test("data of a newer release is set aside, also where this one has no step yet", async (t) => {
      const place = placeOf(kind);
      const newer = await release(t, place, { migrate: MIGRATIONS });
      const visitor = newer.visitor();
      await visitor.get(`/login?${set({ articles: 1 })}`);
      for (const migrate of [[], MIGRATIONS.slice(0, 1)]) {
        const older = await release(t, place, { migrate });
        assert.deepEqual(await seen(at(older, visitor)), { userId: null, data: {} });
        assert.equal(older.told[0]?.from, 3);
      }
      assert.deepEqual(await seen(visitor), { userId: "ada", data: { articles: 1 } });
    });

    test("a logout ends a session that is set aside, or says that it could not", async (t) => {
      const place = placeOf(kind);
      const first = await release(t, place);
      const visitor = first.visitor();
      await visitor.get(`/login?${set({ cart: ["book"] })}`);
      const copy = visitor.clone();
      const wrong = await release(t, place, { migrate: MIGRATIONS.slice(1) });
      place.probe.fail(new Error("down"), "delete");
      if (kind !== "sealed sessions") assert.equal((await at(wrong, copy).get("/logout")).status, 503);
      place.probe.heal();
      const { setCookies, status } = await at(wrong, visitor).get("/logout");
      assert.equal(status, 200);
      assert.match(String(setCookies), /Max-Age=0/);
      // A sealed session without a list of endings ends in its browser alone.
      const expected = kind === "sealed sessions" ? "ada" : null;
      assert.equal((await seen(at(first, copy))).userId, expected);
    });

    test("a session that is set aside stays in use, and a login begins another one", async (t) => {
      const place = placeOf(kind);
      const first = await release(t, place);
      const visitor = first.visitor();
      await visitor.get(`/login?${set({ cart: ["book"] })}`);
      const wrong = await release(t, place, { migrate: MIGRATIONS.slice(1) });
      const there = at(wrong, visitor);
      if (kind !== "sealed sessions") {
        for (let i = 0; i < 4; i += 1) {
          place.clock.advance(20 * 60_000);
          assert.deepEqual(await seen(there), { userId: null, data: {} });
        }
        assert.equal((await seen(at(first, visitor))).userId, "ada");
      }
      assert.deepEqual(await seen(there, `/login?${set({ n: 1 })}`), { userId: "ada", data: { n: 1 } });
      assert.deepEqual(await seen(there), { userId: "ada", data: { n: 1 } });
      const socket = await wrong.sessions.authenticateUpgrade(
        Object.assign(new IncomingMessage(new Socket()), { headers: { cookie: `sid=${visitor.token}` } }),
      );
      assert.equal(socket, undefined);
    });

    test("are seen by WebSockets", async (t) => {
      const place = placeOf(kind);
      const first = await release(t, place);
      const visitor = first.visitor();
      await visitor.get(`/?${set({ cart: ["book"] })}`);
      const { sessions } = await release(t, place, { migrate: MIGRATIONS });
      const cookie = [...visitor.cookies].map((pair) => pair.join("=")).join("; ");
      const req = Object.assign(new IncomingMessage(new Socket()), { headers: { host: "example.com", cookie } });
      const socket = await sessions.authenticateUpgrade(req);
      assert.deepEqual(socket?.data, { articles: 1 });
      if (kind === "sealed sessions") return;
      const [handle = ""] = (visitor.token ?? "").split(".");
      assert.deepEqual((await sessions.get(handle))?.data, { articles: 1 });
    });
  });
}

test("a save meets one of an older release: what that stored is migrated, and both are kept", async (t) => {
  const place = placeOf("an asynchronous store");
  const older = await release(t, place);
  const visitor = older.visitor();
  await visitor.get(`/?${set({ cart: ["book"], n: 1 })}`);
  const [here, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const newer = await release(t, place, { migrate: MIGRATIONS }, async (req, res) => {
    if (req.url === "/held") {
      here.resolve();
      await go.promise;
      increment(req.session);
    }
    res.end(JSON.stringify({ ...req.session }));
  });
  const saving = at(newer, visitor).get("/held");
  await here.promise;
  await visitor.get(`/?${set({ cart: ["book", "lamp"] })}`);
  go.resolve();
  assert.deepEqual(JSON.parse((await saving).text), { articles: 1, n: 2 });
  assert.deepEqual(await seen(at(newer, visitor)), { articles: 2, n: 2 });
});

test("options that can't work are refused", () => {
  const up = () => {};
  const wrong: [object, RegExp][] = [
    [{ schema: {} }, /schema must be a Standard Schema/],
    [{ schema: { "~standard": { version: 2, validate: up } } }, /schema must be a Standard Schema/],
    [{ migrate: {} }, /migrate must be a list of/],
    [{ migrate: [{ from: 0, up }] }, /migrate must be a list of/],
    [{ migrate: [{ from: 1 }] }, /migrate must be a list of/],
    [
      {
        migrate: [
          { from: 1, up },
          { from: 3, up },
        ],
      },
      /migrate must be a list of/,
    ],
    [{ migrate: [], onSchemaError: "keep" }, /onSchemaError must be "set-aside" or "drop"/],
    [{ onSchemaError: "drop" }, /onSchemaError needs migrate/],
  ];
  for (const [options, message] of wrong) assert.throws(() => session(options), { name: "TypeError", message });
});
