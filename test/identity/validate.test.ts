import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { type SessionToValidate, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { put } from "../support/express-site.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Cleanup, type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

const MINUTE = 60_000;
const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const LOOKING = ["load"];

type Kind = "a synchronous store" | "an asynchronous store" | "sealed sessions";
const KINDS: readonly Kind[] = ["a synchronous store", "an asynchronous store", "sealed sessions"];

/** The users of an application: a stamp each, and none for those who were disabled. */
class Users {
  readonly stamps = new Map([["ada", "1"]]);
  readonly asked: SessionToValidate[] = [];
  /** What happens before an answer; nothing for an answer at once. */
  before: (() => Promise<unknown>) | undefined = undefined;

  readonly validate = (one: SessionToValidate): boolean | Promise<boolean> => {
    this.asked.push(one);
    const answer = () => this.stamps.get(one.userId) === one.stamp;
    return this.before === undefined ? answer() : this.before().then(answer);
  };
}

interface Waiting {
  /** Resolves when somebody waits. */
  readonly reached: Promise<void>;
  release(): void;
  pass(): Promise<void>;
}

function gate(): Waiting {
  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  return {
    reached: reached.promise,
    release: released.resolve,
    pass() {
      reached.resolve();
      return released.promise;
    },
  };
}

/** An application whose handlers can be held, by `/held/…`. */
async function start(t: Cleanup, kind: Kind, options: SiteOptions = {}, probe = probeOf(kind)) {
  const { clock } = probe;
  const users = new Users();
  const held = gate();
  const handler: Handler = async (req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
    if (pathname.startsWith("/held/")) await held.pass();
    const what = pathname.replace("/held/", "/");
    if (what === "/unread") {
      res.end("unread");
      return;
    }
    if (what === "/login") {
      const stamp = searchParams.get("stamp");
      await req.session.login("ada", stamp === null ? {} : { stamp });
    }
    if (what === "/act") await req.session.impersonate("bob", { reason: "ticket 4711" });
    if (what === "/write") put(req.session, "n", 1);
    res.end(JSON.stringify([req.session.userId, req.session.actor?.userId ?? null]));
  };
  const store = kind === "sealed sessions" ? new SealedStore({ revocations: probe.store }) : probe.store;
  const one = await site(t, { clock, store, secret, validate: users.validate, ...options }, handler);
  const told: [string, object][] = [];
  for (const event of ["invalidated", "validation-failed"] as const) {
    one.sessions.on(event, (detail) => told.push([event, detail]));
  }
  /** What a visitor is seen as, and whether the answer deletes the cookie. */
  const look = async (visitor: Visitor, path = "/look") => {
    const { text, setCookies, status } = await visitor.get(path);
    return [status === 200 ? JSON.parse(text)[0] : status, setCookies.some((line) => line.includes("Max-Age=0"))];
  };
  return { ...one, probe, users, held, told, look };
}

function probeOf(kind: Kind): ProbeStore & { readonly clock: ManualClock } {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock, acceptLossOnRestart: true });
  return Object.assign(new ProbeStore(inner, { async: kind === "an asynchronous store" }), { clock });
}

const HERE = ["ada", false];
const CLEARED = [null, true];
const NOBODY = [null, false];

for (const kind of KINDS) {
  describe(`validate, with ${kind}`, () => {
    test("is asked once a minute and session, and costs nothing in between", async (t) => {
      const { users, clock, probe, visitor, look } = await start(t, kind, { touchAfter: "9m" });
      const one = visitor();
      await one.get("/login?stamp=1");
      assert.equal(users.asked.length, 0, "a login is no question");
      for (let i = 0; i < 3; i += 1) assert.deepEqual(await look(one), HERE);
      const authenticatedAt = new Date(clock.now());
      assert.deepEqual(users.asked, [{ userId: "ada", authenticatedAt, stamp: "1" }]);
      clock.advance(MINUTE - 1);
      probe.reset();
      await one.get("/unread");
      if (kind === "a synchronous store") assert.deepEqual(probe.operations, []);
      await look(one);
      assert.equal(users.asked.length, 1);
      clock.advance(1);
      probe.reset();
      assert.deepEqual(await look(one), HERE);
      assert.equal(users.asked.length, 2);
      if (kind !== "sealed sessions") assert.deepEqual(probe.operations, LOOKING);
    });

    test("is never asked about visitors who are not logged in", async (t) => {
      const { users, clock, visitor, probe } = await start(t, kind, { touchAfter: "9m" });
      const one = visitor();
      await one.get("/write");
      for (let i = 0; i < 3; i += 1) {
        await one.get("/unread");
        clock.advance(MINUTE);
      }
      probe.reset();
      await one.get("/unread");
      assert.equal(users.asked.length, 0);
      if (kind === "a synchronous store") assert.deepEqual(probe.operations, []);
    });

    for (const answer of ["at once", "later"]) {
      test(`ends the session of a user who was disabled, wherever it is used; it answers ${answer}`, async (t) => {
        const { users, clock, visitor, look, told } = await start(t, kind);
        if (answer === "later") users.before = () => Promise.resolve();
        const one = visitor();
        await one.get("/login?stamp=1");
        await look(one);
        const [copy, other] = [one.clone(), visitor()];
        await other.get("/login?stamp=1");
        users.stamps.delete("ada");
        assert.deepEqual(await look(one), HERE, "until its minute is over");
        clock.advance(MINUTE);
        assert.deepEqual(await look(one), CLEARED);
        assert.equal(one.token, undefined);
        assert.equal((await look(copy))[0], null, "the store knows");
        assert.deepEqual(await look(other), CLEARED);
        assert.deepEqual(
          told.map(([event, detail]) => [event, Reflect.get(detail, "userId")]),
          [
            ["invalidated", "ada"],
            ["invalidated", "ada"],
          ],
        );
        users.stamps.set("ada", "1");
        assert.equal((await look(copy))[0], null, "and never opens it again");
        await one.get("/login?stamp=1");
        assert.deepEqual(await look(one), HERE);
      });
    }

    test("ends it in every process within a minute, and the response of an unread session says so", async (t) => {
      const shared = probeOf(kind);
      const [first, second] = [await start(t, kind, {}, shared), await start(t, kind, {}, shared)];
      const one = first.visitor();
      await one.get("/login?stamp=1");
      const there = second.visitor();
      for (const [name, value] of one.cookies) there.cookies.set(name, value);
      await first.look(one);
      shared.clock.advance(MINUTE / 2);
      await second.look(there);
      for (const { users } of [first, second]) users.stamps.set("ada", "2");
      shared.clock.advance(MINUTE / 2);
      assert.deepEqual(await second.look(there), HERE, "asked half a minute ago");
      shared.clock.advance(MINUTE / 2);
      const answer = await there.get("/unread");
      assert.equal(answer.text, "unread");
      assert.match(String(answer.setCookies), /Max-Age=0/);
      assert.equal((await first.look(one))[0], null);
    });

    test("is asked once for requests at the same time, which all learn the answer", async (t) => {
      const all = gate();
      let begun = -1; // the login
      const { users, visitor, look, told } = await start(t, kind, {
        cookie: () => {
          begun += 1;
          if (begun === 3) all.pass();
          return {};
        },
      });
      const one = visitor();
      await one.get("/login?stamp=1");
      users.stamps.set("ada", "2");
      const slow = gate();
      users.before = () => slow.pass();
      const looks = [look(one.clone()), look(one.clone()), look(one.clone())];
      await all.reached;
      for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
      slow.release();
      assert.deepEqual(await Promise.all(looks), [CLEARED, CLEARED, CLEARED]);
      assert.deepEqual([users.asked.length, told.length], [1, 1]);
    });

    test("counts for a minute from the question on, however late the answer is", async (t) => {
      const { users, clock, visitor, look } = await start(t, kind, { touchAfter: "9m" });
      const one = visitor();
      await one.get("/login?stamp=1");
      users.before = async () => clock.advance(1_000);
      assert.deepEqual(await look(one), HERE);
      users.before = undefined;
      clock.advance(MINUTE - 1_001);
      assert.deepEqual(await look(one), HERE);
      assert.equal(users.asked.length, 1);
      clock.advance(1);
      users.stamps.delete("ada");
      assert.deepEqual(await look(one), CLEARED);
    });

    test("that throws, rejects, hangs or answers with nothing: a 503, and the next request asks again", async (t) => {
      const { clock, visitor, look, told, errors } = await start(t, kind, {
        validate: (): boolean | Promise<boolean> => failures[asked++]?.() ?? true,
        onStoreError: "anonymous",
      });
      const hung = gate();
      let asked = 0;
      const failures: (() => never)[] = [
        () => {
          throw new Error("down");
        },
        () => Promise.reject(new Error("down")) as never,
        () => "yes" as never,
        () => hung.pass() as never,
      ];
      const one = visitor();
      await one.get("/login");
      for (let i = 1; i < 4; i += 1) {
        assert.deepEqual(await look(one), [503, false]);
        assert.equal(asked, i);
      }
      const hanging = look(one);
      await hung.reached;
      clock.advance(2_000);
      assert.deepEqual(await hanging, [503, false]);
      for (const error of errors) assert.equal(Reflect.get(Object(error), "code"), "VALIDATION_FAILED");
      assert.equal(errors.length, 4);
      assert.deepEqual(
        told.map(([event]) => event),
        Array(4).fill("validation-failed"),
      );
      assert.deepEqual(await look(one), HERE);
    });

    test("that fails lets a request pass that doesn't read its session", async (t) => {
      const { visitor, users } = await start(t, kind);
      const one = visitor();
      await one.get("/login?stamp=1");
      users.before = () => Promise.reject(new Error("down"));
      const { status, text, setCookies } = await one.get("/unread");
      assert.deepEqual([status, text, setCookies], [200, "unread", []]);
    });

    test('that fails keeps the session with onValidateError: "keep", and is asked again', async (t) => {
      const { visitor, users, look, told } = await start(t, kind, { onValidateError: "keep" });
      const one = visitor();
      await one.get("/login?stamp=1");
      users.before = () => Promise.reject(new Error("down"));
      for (let i = 1; i < 3; i += 1) {
        assert.deepEqual(await look(one), HERE);
        assert.equal(users.asked.length, i);
      }
      assert.equal(told.length, 2);
      users.before = undefined;
      users.stamps.clear();
      assert.deepEqual(await look(one), CLEARED);
    });

    test("a revocation while it is asked counts, whatever it answers", async (t) => {
      const { visitor, users, look, sessions } = await start(t, kind);
      const one = visitor();
      await one.get("/login?stamp=1");
      const slow = gate();
      users.before = () => slow.pass();
      const looking = look(one.clone());
      await slow.reached;
      await sessions.revokeAll("ada");
      slow.release();
      assert.deepEqual(await looking, NOBODY);
    });

    test("a login while it is asked lives on, with its cookie", async (t) => {
      const { visitor, users, look, clock, held, told } = await start(t, kind);
      const one = visitor();
      await one.get("/login?stamp=1");
      await look(one);
      const late = one.clone();
      const login = one.get("/held/login?stamp=2");
      await held.reached;
      clock.advance(MINUTE);
      users.stamps.set("ada", "2");
      const slow = gate();
      users.before = () => slow.pass();
      const looking = look(late);
      await slow.reached;
      held.release();
      await login;
      users.before = undefined;
      slow.release();
      const [userId] = await looking;
      assert.equal(userId, null);
      assert.deepEqual(await look(one), HERE);
      // A sealed session's old cookie can't tell that another one replaced it.
      if (kind !== "sealed sessions") assert.deepEqual(told, []);
    });

    test("a store that is down when a session is to end lets nobody in, and it ends at the next request", async (t) => {
      const { visitor, users, look, probe, told } = await start(t, kind);
      const one = visitor();
      await one.get("/login?stamp=1");
      users.stamps.clear();
      probe.fail(new Error("down"), "delete", "create");
      assert.deepEqual(await look(one), NOBODY);
      assert.deepEqual(told, []);
      probe.heal();
      assert.deepEqual(await look(one), CLEARED);
      assert.equal(told.length, 1);
    });

    test("decides on WebSockets too, and closes open ones", async (t) => {
      const { visitor, users, sessions, clock, look } = await start(t, kind);
      const one = visitor();
      await one.get("/login?stamp=1");
      const upgrade = () => {
        const cookie = [...one.cookies].map((pair) => pair.join("=")).join("; ");
        const req = Object.assign(new IncomingMessage(new Socket()), { headers: { host: "example.com", cookie } });
        return sessions.authenticateUpgrade(req);
      };
      const socket = await upgrade();
      assert.equal(socket?.userId, "ada");
      let closed = 0;
      socket?.onEnd(() => {
        closed += 1;
      });
      users.stamps.set("ada", "2");
      const seconds = async (count: number) => {
        for (let i = 0; i < count; i += 1) {
          clock.advance(1_000);
          for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        }
      };
      await seconds(59);
      assert.deepEqual([closed, users.asked.length], [0, 1]);
      users.before = () => Promise.reject(new Error("down"));
      await seconds(2);
      assert.equal(closed, 0, "a failure closes nothing");
      users.before = undefined;
      await seconds(1);
      assert.equal(closed, 1);
      assert.equal(await upgrade(), undefined);
      assert.equal((await look(one))[0], null);
    });
  });
}

test("a token of a message is validated, and refused while nobody can tell", async (t) => {
  const { bearer } = await import("../../src/index.ts");
  const users = new Users();
  const clock = new ManualClock();
  const one = await site(t, { clock, transport: bearer(), validate: users.validate }, async (req, res) => {
    await req.session.login("ada", { stamp: "1" });
    res.end();
  });
  const { headers } = await one.visitor().get("/", { "x-session-transport": "bearer" });
  const token = String(headers["x-session-token"] ?? headers.authorization ?? "").replace(/^Bearer /, "");
  assert.equal((await one.sessions.openToken(token))?.userId, "ada");
  clock.advance(MINUTE);
  users.before = () => Promise.reject(new Error("down"));
  await assert.rejects(one.sessions.openToken(token), { code: "VALIDATION_FAILED", status: 503 });
  users.before = () => Promise.resolve(users.stamps.clear());
  assert.equal(await one.sessions.openToken(token), undefined);
});

for (const kind of KINDS.slice(0, 2)) {
  test(`of an impersonation, it is asked about who acts, over ${kind}`, async (t) => {
    const { visitor, users, look, told, probe } = await start(t, kind);
    const one = visitor();
    await one.get("/login?stamp=1");
    await one.get("/act");
    assert.deepEqual(await look(one), ["bob", false]);
    assert.deepEqual(
      users.asked.map(({ userId, stamp }) => [userId, stamp]),
      [
        ["ada", "1"],
        ["ada", "1"],
      ],
    );
    users.stamps.clear();
    probe.clock.advance(MINUTE);
    assert.deepEqual(await look(one), CLEARED);
    assert.equal(Reflect.get(told[0]?.[1] ?? {}, "userId"), "ada");
    assert.equal(await probe.inner.count({}), 0, "neither of the two sessions is left");
  });
}

test("a store that says it has nothing to end, and still has it, lets nobody in", async (t) => {
  const probe = probeOf("a synchronous store");
  const { visitor, users, look } = await start(t, "a synchronous store", {}, probe);
  const one = visitor();
  await one.get("/login?stamp=1");
  users.stamps.clear();
  probe.store.delete = () => false;
  for (let i = 0; i < 2; i += 1) assert.deepEqual(await look(one), NOBODY);
});

test("of two cookies of one name, the second one's session is validated when the first one's has ended", async (t) => {
  const { visitor, users, sessions, look, told } = await start(t, "a synchronous store");
  const [one, two] = [visitor(), visitor()];
  await one.get("/login?stamp=1");
  await two.get("/login?stamp=0");
  const slow = gate();
  users.before = () => slow.pass();
  const cookie = `sid=${one.token}; sid=${two.token}`;
  const looking = visitor().get("/look", { cookie });
  await slow.reached;
  await sessions.revoke((one.token ?? "").split(".")[0] ?? "");
  slow.release();
  const { text, setCookies } = await looking;
  assert.deepEqual([text, setCookies.length], ["[null,null]", 1]);
  assert.equal(told.length, 1);
  assert.equal((await look(two))[0], null);
});

test("options that can't work are refused", () => {
  const validate = () => true;
  const wrong: [object, RegExp][] = [
    [{ validate: true }, /validate must be a function/],
    [{ validate, validateEvery: "soon" }, /validateEvery must be/],
    [{ validate, validateEvery: false }, /validateEvery must be/],
    [{ validate, validateTimeout: -1 }, /validateTimeout must be/],
    [{ validate, onValidateError: "ignore" }, /onValidateError must be "refuse" or "keep"/],
    [{ validateEvery: "1m" }, /validateEvery needs validate/],
    [{ onValidateError: "keep" }, /onValidateError needs validate/],
  ];
  for (const [options, message] of wrong) assert.throws(() => session(options), { name: "TypeError", message });
});
