import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { TokenCodec, TokenSource } from "../../src/crypto/token.ts";
import { SealedSessions } from "../../src/sealed/backend.ts";
import type { TokenScope } from "../../src/session/backend.ts";
import { Events } from "../../src/session/events.ts";
import { sessionOf } from "../../src/session/session.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

/** Whether a session sealed for one transport, under one name, opens by another. Where names differ as well, they alone would do. */
async function opens(made: Pick<TokenScope, "name" | "transport">, brought: Pick<TokenScope, "name" | "transport">) {
  const ring = new KeyRing("0123456789abcdefghijklmnopqrstuvwxyzABCDEF", { production: true, warn: assert.fail });
  const events = new Events();
  const backend = new SealedSessions({
    clock: new ManualClock(),
    events,
    ring,
    maxBytes: 65_536,
    limits: timeouts({}),
    deadlines: { readMs: 1_000, commitMs: 1_000 },
    tokens: new TokenSource(),
    deviceOf: () => ({}),
  });
  const refused: unknown[] = [];
  events.on("transport-refused", (event) => refused.push(event));
  const scope = ({ name, transport }: Pick<TokenScope, "name" | "transport">): TokenScope => {
    return { name, transport, codec: new TokenCodec(ring, name), room: 4_096 };
  };
  const request = {
    transport: made.transport,
    delivery: "possible",
    isHeld: true,
    isOver: false,
    countsAsUse: true,
    request: {},
  } as const;
  const context = backend.context(request, undefined, scope(made));
  await sessionOf(context).login("alice");
  await context.commit();
  const token = backend.verify(backend.tokenOf(context, scope(made)), scope(brought));
  const opening = token === undefined ? undefined : await backend.open(token, scope(brought), true);
  return { user: opening?.opened.record.userId, refused: refused.length };
}

test("a sealed token opens by its own transport alone, even under the same name", async () => {
  const [cookie, bearer, header] = [
    { name: "sid", transport: undefined },
    { name: "sid", transport: "bearer" },
    { name: "sid", transport: "x-token" },
  ];
  for (const made of [cookie, bearer, header]) {
    for (const brought of [cookie, bearer, header]) {
      const expected = made === brought ? { user: "alice", refused: 0 } : { user: undefined, refused: 1 };
      assert.deepEqual(await opens(made, brought), expected, `${made.transport} brought by ${brought.transport}`);
    }
  }
});

test("a sealed token opens under its own name alone, even by the same transport", async () => {
  for (const transport of [undefined, "bearer"]) {
    const made = { name: "sid", transport };
    assert.deepEqual(await opens(made, made), { user: "alice", refused: 0 });
    for (const name of ["admin", "__Host-sid", "sid:", "SID"]) {
      assert.deepEqual(await opens(made, { name, transport }), { user: undefined, refused: 0 }, name);
    }
  }
});
