import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { TokenCodec, TokenSource } from "../../src/crypto/token.ts";
import { SealedManager } from "../../src/sealed/manager.ts";
import { Events } from "../../src/session/events.ts";
import type { TokenScope } from "../../src/session/keeper.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import type { Client } from "../../src/session/visit.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

/** Whether a session sealed for one transport, under one name, opens by another. Where names differ as well, they alone would do. */
async function opens(made: Pick<TokenScope, "name" | "via">, brought: Pick<TokenScope, "name" | "via">) {
  const ring = new KeyRing("0123456789abcdefghijklmnopqrstuvwxyzABCDEF", { production: true, warn: assert.fail });
  const events = new Events();
  const manager = new SealedManager({
    clock: new ManualClock(),
    events,
    ring,
    maxBytes: 65_536,
    limits: timeouts({}),
    deadlines: { readMs: 1_000, commitMs: 1_000 },
    tokens: new TokenSource(),
    revocations: undefined,
    overflow: undefined,
  });
  const refused: unknown[] = [];
  events.on("transport-refused", (event) => refused.push(event));
  const scope = ({ name, via }: Pick<TokenScope, "name" | "via">): TokenScope => {
    return { name, via, codec: new TokenCodec(ring, name), room: 4_096 };
  };
  const client: Client = { via: made.via, delivery: () => "possible", device: () => ({}) };
  const visit = manager.visit(client, undefined, scope(made));
  await visit.session.login("alice");
  const opening = await manager.openFirst([manager.tokenOf(visit, scope(made))], scope(brought));
  return { user: opening?.opened.record.userId, refused: refused.length };
}

test("a sealed token opens by its own transport alone, even under the same name", async () => {
  const [cookie, bearer, header] = [
    { name: "sid", via: undefined },
    { name: "sid", via: "bearer" },
    { name: "sid", via: "x-token" },
  ];
  for (const made of [cookie, bearer, header]) {
    for (const brought of [cookie, bearer, header]) {
      const expected = made === brought ? { user: "alice", refused: 0 } : { user: undefined, refused: 1 };
      assert.deepEqual(await opens(made, brought), expected, `${made.via} brought by ${brought.via}`);
    }
  }
});

test("a sealed token opens under its own name alone, even by the same transport", async () => {
  for (const via of [undefined, "bearer"]) {
    const made = { name: "sid", via };
    assert.deepEqual(await opens(made, made), { user: "alice", refused: 0 });
    for (const name of ["admin", "__Host-sid", "sid:", "SID"]) {
      assert.deepEqual(await opens(made, { name, via }), { user: undefined, refused: 0 }, name);
    }
  }
});
