import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hashPassword, verifyPassword } from "../../examples/login/passwords.ts";
import { turnstile } from "../../examples/login/turnstile.ts";

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe("turnstile", () => {
  it("runs so many at a time, in order, and turns the rest away with 503", async () => {
    const inTurn = turnstile({ atOnce: 2, waiting: 2 });
    const gates = Array.from({ length: 4 }, gate);
    const begun: number[] = [];
    const work = gates.map(({ opened }, index) =>
      inTurn(async () => {
        begun.push(index);
        await opened;
        return index;
      }),
    );
    await assert.rejects(
      inTurn(async () => "one too many"),
      { status: 503 },
    );
    assert.deepEqual(begun, [0, 1]);
    gates[1]?.open();
    assert.equal(await work[1], 1);
    await Promise.resolve();
    assert.deepEqual(begun, [0, 1, 2]);
    for (const { open } of gates) open();
    assert.deepEqual(await Promise.all(work), [0, 1, 2, 3]);
    assert.equal(await inTurn(async () => "free again"), "free again");
  });

  it("gives the place of work that failed to the next", async () => {
    const inTurn = turnstile({ atOnce: 1, waiting: 1 });
    const failing = inTurn(() => Promise.reject(new Error("failed")));
    const next = inTurn(async () => "done");
    await assert.rejects(failing, /failed/);
    assert.equal(await next, "done");
  });
});

describe("passwords", () => {
  it("are salted, verify, and say no to everything else", async () => {
    const [one, two] = await Promise.all([hashPassword("pass phrase"), hashPassword("pass phrase")]);
    assert.match(one ?? "", /^scrypt\$[\w-]{22}\$[\w-]{43}$/);
    assert.notEqual(one, two);
    assert.equal(await verifyPassword("pass phrase", one), true);
    assert.equal(await verifyPassword("pass phrasE", one), false);
    assert.equal(await verifyPassword("pass phrase", undefined), false);
  });

  it("are the same however the keyboard composes them", async () => {
    assert.equal(await verifyPassword("cafe\u0301 olé", await hashPassword("caf\u00e9 olé")), true);
  });
});
