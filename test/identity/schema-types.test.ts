import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { type InferData, type SessionOptions, type StandardSchema, session } from "../../src/index.ts";

/** Whether two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_is: Same<A, B>): void => {};

const zod = z.object({ cart: z.array(z.string()), views: z.number().optional() });
const valibot = v.object({ cart: v.array(v.string()), views: v.optional(v.number()) });
const arktype = type({ cart: "string[]", "views?": "number" });

test("a schema's type is that of the session, without a declaration", async () => {
  const all = [session({ schema: zod }), session({ schema: valibot }), session({ schema: arktype })] as const;
  const read = (req: IncomingMessage) => {
    same<ReturnType<(typeof all)[0]["of"]>["cart"], string[] | undefined>(true);
    same<ReturnType<(typeof all)[1]["of"]>["cart"], string[] | undefined>(true);
    same<ReturnType<(typeof all)[2]["of"]>["cart"], string[] | undefined>(true);
    same<ReturnType<(typeof all)[2]["of"]>["views"], number | undefined>(true);
    const visit = all[0].of(req);
    visit.cart = ["book"];
    // @ts-expect-error: a cart is a list of texts
    visit.cart = 7;
    // @ts-expect-error: the schema has no such property
    visit.basket = [];
  };
  assert.equal(typeof read, "function");
  for (const one of all) await one.close();
});

test("InferData selects what a schema accepts, to be declared as the data of all sessions", () => {
  same<InferData<typeof zod>, { cart: string[]; views?: number | undefined }>(true);
  same<InferData<typeof arktype>, { cart: string[]; views?: number }>(true);
  const stamped = z.object({ n: z.string().transform(Number) });
  same<InferData<typeof stamped>, { n: string }>(true);
});

test("the compiler refuses schemas of something else, and names of a session's members", () => {
  // @ts-expect-error: userId is a member of the session
  assert.ok(session({ schema: z.object({ userId: z.string() }) }));
  // @ts-expect-error: a session is an object
  assert.ok(session({ schema: z.string() }));
  // @ts-expect-error: no schema at all
  assert.throws(() => session({ schema: { cart: "string[]" } }), /schema must be a Standard Schema/);
  // What other options give stays as it was.
  const options: SessionOptions = { idleTimeout: "5m" };
  const plain = session<{ n: number }>(options);
  same<ReturnType<typeof plain.of>["n"], number | undefined>(true);
});

test("our types of the standard are those of @standard-schema/spec", () => {
  const theirs = (schema: StandardSchemaV1<{ n: number }>): StandardSchema<{ n: number }> => schema;
  const ours = (schema: StandardSchema<{ n: number }>): StandardSchemaV1<{ n: number }, unknown> => schema;
  const schema = z.object({ n: z.number() });
  assert.equal(ours(theirs(schema)), schema);
});
