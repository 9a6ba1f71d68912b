import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { joinChunks } from "../../src/http/cookie-chunks.ts";
import { duration, type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { faulty } from "../../src/testing/faulty-store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, type Site, type SiteOptions, site, type Visitor } from "../support/site.ts";
import { NotedStore } from "./noted-store.ts";

const A = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
const B = Buffer.from("ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu");

const app: Handler = async (req, res) => {
  const url = new URL(req.url ?? "/", "http://x");
  if (url.pathname === "/static") {
    res.end("nobody read the session");
    return;
  }
  const { session } = req;
  const value = url.searchParams.get("value") ?? "";
  const user = url.searchParams.get("user") ?? "alice";
  switch (url.pathname) {
    case "/set":
      Reflect.set(session, "value", value);
      break;
    case "/fill":
      Reflect.set(session, "fill", "x".repeat(Number(value)));
      break;
    case "/login":
      await session.login(user, value === "" ? {} : { remember: duration(value) });
      break;
    case "/logout":
      await session.logout({ everywhere: value === "everywhere" });
      break;
    case "/regenerate":
      await session.regenerate({ keep: true });
      break;
    case "/change-password":
      await session.regenerate({ keep: true });
      await sessionsOf(req).revokeAll("alice", { except: req.session });
      break;
    case "/persist":
      session.persist(value !== "" && duration(value));
      break;
    case "/touch":
      await session.touch();
      break;
    case "/late":
      res.write("begun ");
      Reflect.set(session, "value", value);
      await session.save().then(
        () => res.end("saved"),
        (error: { code: string }) => {
          Reflect.deleteProperty(session, "value");
          res.end(error.code);
        },
      );
      return;
    case "/late-logout":
      res.write("begun ");
      await session.destroy().then(
        () => res.end("ended"),
        (error: { code: string }) => res.end(error.code),
      );
      return;
  }
  res.end(JSON.stringify({ user: req.session.userId, ...req.session }));
};

/** The application's own, for those of its pages that end sessions. */
const managers = new Map<number | undefined, Sessions>();
const sessionsOf = (req: { socket: { localPort?: number | undefined } }): Sessions =>
  managers.get(req.socket.localPort) ?? assert.fail();

const shop = (t: TestContext, options: SiteOptions = {}): Promise<Site> =>
  site(t, { store: new SealedStore({ secret: A }), ...options }, app);
const read = async (visitor: Visitor): Promise<Record<string, unknown>> => JSON.parse((await visitor.get("/")).text);
const holding = (one: Site, of: Visitor): Visitor => {
  const visitor = one.visitor();
  for (const [name, value] of of.cookies) visitor.cookies.set(name, value);
  return visitor;
};

describe("a sealed session", () => {
  test("keeps data, user and lifetime in the cookie, and shows none of it", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    assert.deepEqual((await visitor.get("/")).setCookies, [], "an empty session sets no cookie");
    const answer = await visitor.get("/set?value=a-very-readable-text");
    assert.equal(answer.setCookies.length, 1);
    assert.equal(answer.headers["cache-control"], "no-store");
    await visitor.get("/login?user=alice@example.com");
    assert.deepEqual(await read(visitor), { user: "alice@example.com", value: "a-very-readable-text" });
    const text = visitor.token ?? "";
    const clear = text + Buffer.from(text, "base64url").toString("latin1");
    assert.doesNotMatch(clear, /readable|alice|example|value/);
    assert.deepEqual((await visitor.get("/")).setCookies, [], "unchanged: nothing is sent");
    assert.deepEqual(one.errors, []);
  });

  test("ends idle, though no server remembers it, and lives on while it is used", async (t) => {
    const one = await shop(t, { idleTimeout: "10m", absoluteTimeout: "1h" });
    const visitor = one.visitor();
    await visitor.get("/login");
    for (let used = 0; used < 5; used += 1) {
      one.clock.advance(9 * 60_000);
      const { setCookies } = await visitor.get("/static");
      assert.equal(setCookies.length, 1, "sealed anew, though nobody read the session");
    }
    assert.equal((await read(visitor))["user"], "alice");
    const copy = visitor.clone();
    one.clock.advance(10 * 60_000 - 1);
    assert.equal((await read(visitor))["user"], "alice");
    one.clock.advance(1);
    assert.equal((await read(copy))["user"], null, "the copy was not used");
    one.clock.advance(5 * 60_000);
    assert.equal((await read(visitor))["user"], null, "an hour after the login, however busy");
  });

  test("is not sealed anew within touchAfter", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    await visitor.get("/login");
    one.clock.advance(59_999);
    assert.deepEqual((await visitor.get("/static")).setCookies, []);
    one.clock.advance(1);
    assert.equal((await visitor.get("/static")).setCookies.length, 1);
  });

  test("from the future is none, but for a minute that clocks may differ by", async (t) => {
    for (const [ahead, opens] of [
      [60_000, true],
      [60_001, false],
    ] as const) {
      const clock = new ManualClock();
      const one = await shop(t, { clock });
      const fast = new ManualClock(clock.now() + ahead);
      const other = await shop(t, { clock: fast });
      const visitor = other.visitor();
      await visitor.get("/login");
      assert.equal((await read(holding(one, visitor)))["user"], opens ? "alice" : null, `${ahead} ms`);
    }
  });

  test("honours a deadline that was shorter when it was sealed, and one that is shorter today", async (t) => {
    const clock = new ManualClock();
    const long = await shop(t, { clock, idleTimeout: "2h" });
    const short = await shop(t, { clock, idleTimeout: "1h" });
    const [a, b] = [long.visitor(), short.visitor()];
    await a.get("/login");
    await b.get("/login");
    clock.advance(3_600_000);
    assert.equal((await read(holding(short, a)))["user"], null);
    assert.equal((await read(holding(long, b)))["user"], null);
    assert.equal((await read(holding(long, a)))["user"], "alice");
  });

  test("of another key, cookie name or purpose, or cut short, is none, and the visitor goes on", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    await visitor.get("/login");
    const { token = "" } = visitor;
    const others = [
      await shop(t, { store: new SealedStore({ secret: B }) }),
      await shop(t, { name: "other" }),
      await shop(t, { store: new MemoryStore(), secret: A }),
      await shop(t, { store: new MemoryStore() }),
    ];
    for (const other of others) {
      const guest = other.visitor();
      guest.cookies.set("sid", token).set("other", token);
      assert.equal((await read(guest))["user"], null);
      await guest.get("/set?value=goes-on");
      assert.equal((await read(guest))["value"], "goes-on");
      assert.deepEqual(other.errors, []);
    }
    for (const junk of ["", "AQ", token.slice(1), token.slice(0, -1), `${token}A`, "%00", "a.b", "A".repeat(5_000)]) {
      const guest = one.visitor();
      guest.cookies.set("sid", junk);
      assert.equal((await read(guest))["user"], null);
    }
    assert.deepEqual(one.errors, []);
  });

  test("changed after the headers left is refused and said so; so is ending it then", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    await visitor.get("/set?value=before");
    assert.equal((await visitor.get("/late?value=after")).text, "begun HEADERS_SENT");
    assert.equal((await visitor.get("/late-logout")).text, "begun HEADERS_SENT");
    assert.equal((await read(visitor))["value"], "before");
    const listed = await shop(t, {
      store: new SealedStore({ secret: A, revocations: new MemoryStore({ clock: one.clock }) }),
    });
    const other = listed.visitor();
    await other.get("/set?value=before");
    assert.equal((await other.get("/late-logout")).text, "begun ended");
    assert.equal((await read(other))["value"], undefined);
  });

  test("a new cookie at login, regenerate and logout", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    await visitor.get("/set?value=cart");
    const planted = visitor.clone();
    await visitor.get("/login");
    assert.equal((await read(planted))["user"], null, "who knew the old cookie is not logged in with it");
    const before = visitor.token;
    await visitor.get("/regenerate");
    assert.notEqual(visitor.token, before);
    assert.deepEqual(await read(visitor), { user: "alice", value: "cart" });
    const { setCookies } = await visitor.get("/logout");
    assert.match(setCookies[0] ?? "", /^sid=;.*Max-Age=0/);
    assert.deepEqual(await read(visitor), { user: null });
  });

  test("remembered outlives the browser and the timeouts", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    const { setCookies } = await visitor.get("/login?value=30d");
    assert.match(setCookies[0] ?? "", /Max-Age=2592000/);
    one.clock.advance(29 * 86_400_000);
    const later = await visitor.get("/static");
    assert.match(later.setCookies[0] ?? "", /Max-Age=86400;/, "sealed anew, it ends when it would have ended");
    assert.equal((await read(visitor))["user"], "alice");
    one.clock.advance(86_400_000);
    assert.equal((await read(visitor))["user"], null);
  });

  test("that is too large is an error before the response, naming what is large; the old cookie stays good", async (t) => {
    const one = await shop(t);
    const visitor = one.visitor();
    await visitor.get("/set?value=small");
    const answer = await visitor.get("/fill?value=4000");
    assert.equal(answer.status, 500);
    assert.deepEqual(answer.setCookies, []);
    const [error] = one.errors;
    assert.match(inspect(error), /TOO_LARGE/);
    assert.match(inspect(error), /"fill" \(4002 bytes\)/);
    assert.deepEqual(await read(visitor), { user: null, value: "small" });
  });

  test("fills one cookie to the last byte that a browser keeps, and never more", async (t) => {
    const one = await shop(t);
    let largest = 0;
    for (let size = 2_700; size < 3_050; size += 1) {
      const visitor = one.visitor();
      const { status, setCookies } = await visitor.get(`/fill?value=${size}`);
      const line = setCookies[0]?.split(";")[0] ?? "";
      assert.ok(line.length - 1 <= 4_096, `${size}: ${line.length}`);
      if (status === 200) largest = Math.max(largest, size);
      else break;
      assert.equal(String((await read(visitor))["fill"]).length, size);
    }
    assert.ok(largest > 2_850, String(largest));
  });
});

describe("in several cookies", () => {
  const chunked = (t: TestContext) => shop(t, { store: new SealedStore({ secret: A, chunks: 3 }) });

  test("any size up to the limit survives, and stale parts are cleared on the way down", async (t) => {
    const one = await chunked(t);
    const visitor = one.visitor();
    for (const size of [10, 2_900, 3_200, 5_900, 6_200, 8_900, 6_200, 3_200, 9_000, 100]) {
      const { status, setCookies } = await visitor.get(`/fill?value=${size}`);
      assert.equal(status, 200);
      for (const line of setCookies) assert.ok((line.split(";")[0] ?? "").length - 1 <= 4_096);
      assert.equal(String((await read(visitor))["fill"]).length, size);
      const names = [...visitor.cookies.keys()].sort();
      const expected = size < 3_000 ? ["sid"] : ["sid.0", "sid.1", "sid.2"].slice(0, size < 6_000 ? 2 : 3);
      assert.deepEqual(names, expected, String(size));
    }
    await visitor.get("/fill?value=9000");
    await visitor.get("/logout");
    assert.deepEqual([...visitor.cookies.keys()], []);
    assert.equal((await visitor.get("/fill?value=9500")).status, 500);
  });

  test("a part that is missing, exchanged, of an older answer or of another visitor opens nothing", async (t) => {
    const one = await chunked(t);
    const visitor = one.visitor();
    await visitor.get("/fill?value=8000");
    const old = new Map(visitor.cookies);
    await visitor.get("/set?value=new");
    const other = one.visitor();
    await other.get("/fill?value=8000");
    const forgeries: Map<string, string>[] = [];
    for (const name of visitor.cookies.keys()) {
      for (const value of [undefined, "", old.get(name), other.cookies.get(name)]) {
        const forged = new Map(visitor.cookies);
        if (value === undefined) forged.delete(name);
        else forged.set(name, value);
        forgeries.push(forged);
      }
    }
    const swapped = new Map(visitor.cookies);
    swapped.set("sid.1", visitor.cookies.get("sid.2") ?? "").set("sid.2", visitor.cookies.get("sid.1") ?? "");
    forgeries.push(swapped);
    for (const forged of forgeries) {
      const thief = one.visitor();
      for (const [name, value] of forged) thief.cookies.set(name, value);
      assert.deepEqual(await read(thief), { user: null });
    }
    assert.equal((await read(visitor))["value"], "new");
  });
});

describe("beside another application whose cookies have the same names", () => {
  test("a session in several cookies opens, wherever the other's stand in the header", async (t) => {
    const ours = await shop(t, { store: new SealedStore({ secret: A, chunks: 3 }) });
    const theirs = await shop(t, { store: new SealedStore({ secret: B, chunks: 3 }) });
    const cookiesOf = async (one: Site, size: number): Promise<string[]> => {
      const visitor = one.visitor();
      await visitor.get(`/fill?value=${size}`);
      return [...visitor.cookies].map(([name, value]) => `${name}=${value}`);
    };
    const neighbours: Record<string, string[]> = {
      "one of the same size": await cookiesOf(theirs, 3_100),
      "one in a single cookie": await cookiesOf(theirs, 10),
      "another of ours, in a single cookie": await cookiesOf(theirs, 20),
      "other things": ["sid=1", "sid.0=2.abc", "sid.0=x", "sid.1=y", "sid.2=", "sid.0=", "sid.0=3.a"],
    };
    const mine = await cookiesOf(ours, 3_100);
    assert.equal(mine.length, 2);
    for (const [name, others] of Object.entries(neighbours)) {
      const mixed = [mine[0], ...others, mine[1]];
      for (const cookies of [[...mine, ...others], [...others, ...mine], mixed, [...mixed].reverse()]) {
        const { text } = await ours.visitor().get("/", { cookie: cookies.join("; ") });
        assert.equal(JSON.parse(text).fill?.length, 3_100, name);
      }
      const { text } = await ours.visitor().get("/", { cookie: others.join("; ") });
      assert.deepEqual(JSON.parse(text), { user: null }, `${name} alone`);
    }
  });

  test("however many parts a header holds, at most 64 combinations are tried", () => {
    assert.deepEqual(joinChunks("sid.0=2.short; sid.1=b", "sid"), [], "all parts but the last are full");
    const part = `3.${"a".repeat(4_096 - "sid.0".length - 2)}`;
    for (const others of [["sid.1", "sid.2"], ["sid.1"], []]) {
      const header = ["sid.0", ...others]
        .flatMap((name) =>
          Array.from(
            { length: 8 },
            (_, n) => `${name}=${n === 0 || name === "sid.0" ? part : part.replace("3.", "xx")}`,
          ),
        )
        .join("; ");
      const expected = others.length === 2 ? 64 : 0;
      assert.equal(joinChunks(header, "sid").length, expected);
    }
  });
});

describe("one cookie beside several of an older answer, or the other way round", () => {
  test("whichever of them opens a session does", async (t) => {
    const one = await shop(t, { store: new SealedStore({ secret: A, chunks: 3 }) });
    const [small, large] = [one.visitor(), one.visitor()];
    await small.get("/login?user=small");
    await large.get("/login?user=large");
    await large.get("/fill?value=7000");
    assert.equal(large.cookies.size, 3);
    const parts = [...large.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const junk = parts.replaceAll(/(?<==(?:3\.)?)A/g, "B").replace(/.{9}$/, "AAAAAAAAA");
    for (const [cookie, user] of [
      [`sid=${small.token}; ${junk}`, "small"],
      [`sid=junk; ${parts}`, "large"],
      [`${parts}; sid=${small.token}`, "small"],
    ] as const) {
      const { text } = await one.visitor().get("/", { cookie });
      assert.equal(JSON.parse(text).user, user);
    }
  });
});

describe("a cookie that can't be delivered", () => {
  // An application that sees no HTTPS, because its proxy is not trusted, and cookies that are Secure.
  const HOST = { host: "shop.example" };
  async function behindProxy(t: TestContext) {
    const clock = new ManualClock();
    const options = { clock, cookie: { secure: true }, trustProxy: true };
    const one = await shop(t, { ...options, store: new SealedStore({ secret: A }) });
    const rotated = await shop(t, { ...options, store: new SealedStore({ secret: [B, A] }) });
    const visitor = one.visitor();
    await visitor.get("/login", { ...HOST, "x-forwarded-proto": "https" });
    assert.ok(visitor.token !== undefined);
    return { clock, one, rotated, visitor };
  }

  test("is not sealed anew when it was used, whether or not the session is read", async (t) => {
    const { clock, one, visitor } = await behindProxy(t);
    clock.advance(5 * 60_000);
    for (const path of ["/static", "/"]) {
      const { status, setCookies, headers } = await visitor.clone().get(path, HOST);
      assert.deepEqual([status, setCookies], [200, []], path);
      if (path === "/static") assert.deepEqual([headers.vary, headers["cache-control"]], [undefined, undefined]);
      const secured = await visitor.clone().get(path, { ...HOST, "x-forwarded-proto": "https" });
      assert.equal(secured.setCookies.length, 1, path);
    }
    assert.equal((await read(holding(one, visitor)))["user"], "alice");
  });

  test("is not sealed anew by the newest key", async (t) => {
    const { rotated, visitor } = await behindProxy(t);
    for (const path of ["/static", "/"]) {
      const { status, setCookies } = await holding(rotated, visitor).get(path, HOST);
      assert.deepEqual([status, setCookies], [200, []], path);
      const secured = await holding(rotated, visitor).get(path, { ...HOST, "x-forwarded-proto": "https" });
      assert.equal(secured.setCookies.length, 1, path);
    }
  });
});

describe("a clock that was set back", () => {
  test("takes nothing of a session's time, however it is used", async (t) => {
    const clock = new ManualClock();
    const one = await shop(t, { clock, idleTimeout: "30m" });
    const visitor = one.visitor();
    await visitor.get("/login");
    clock.advance(600_000);
    await visitor.get("/static");
    // Its last use was at ten minutes; the machine finds that it is nine and a half.
    clock.advance(-30_000);
    for (const path of ["/set?value=1", "/touch"]) {
      const used = visitor.clone();
      await used.get(path);
      clock.advance(30_000 + 30 * 60_000 - 1);
      assert.equal((await read(used))["user"], "alice", path);
      clock.advance(-(30_000 + 30 * 60_000 - 1));
    }
  });
});

describe("keys rotate", () => {
  test("and nobody is logged out; the new key takes over with the next answer", async (t) => {
    const clock = new ManualClock();
    const make = (secret: Buffer[]) => shop(t, { clock, store: new SealedStore({ secret }) });
    const [before, during, afterwards] = [await make([A]), await make([B, A]), await make([B])];
    const visitor = before.visitor();
    await visitor.get("/login");
    const later = holding(during, visitor);
    assert.equal((await later.get("/static")).setCookies.length, 1, "even if nobody reads the session");
    assert.equal((await read(later))["user"], "alice");
    assert.deepEqual((await later.get("/static")).setCookies, []);
    assert.equal((await read(holding(afterwards, later)))["user"], "alice");
    assert.equal((await read(holding(afterwards, visitor)))["user"], null);
  });
});

describe("with a list of endings", () => {
  async function listed(t: TestContext, options: SiteOptions = {}) {
    const clock = new ManualClock();
    const revocations = new NotedStore({ clock });
    const one = await shop(t, { clock, store: new SealedStore({ secret: A, revocations }), ...options });
    managers.set(one.port, one.sessions);
    return { one, clock, revocations };
  }

  test("a logout ends copies of the cookie too; without one it can't, and the capabilities say so", async (t) => {
    const { one } = await listed(t);
    const visitor = one.visitor();
    await visitor.get("/login");
    const copy = visitor.clone();
    await visitor.get("/logout");
    assert.equal((await read(copy))["user"], null);
    assert.equal(one.sessions.capabilities.revocable, true);
    const bare = await shop(t);
    const other = bare.visitor();
    await other.get("/login");
    const copied = other.clone();
    await other.get("/logout");
    assert.equal((await read(copied))["user"], "alice");
    const { revocable, clientSide, mergesRequests, indexed } = bare.sessions.capabilities;
    assert.deepEqual([revocable, clientSide, mergesRequests, indexed], [false, true, false, false]);
    await assert.rejects(bare.sessions.revokeAll("alice"), { code: "NO_USER_INDEX" });
    await assert.rejects(bare.sessions.list("alice"), { code: "NO_USER_INDEX" });
  });

  test("so does a login and a regenerate, for the cookie before", async (t) => {
    const { one } = await listed(t);
    const visitor = one.visitor();
    await visitor.get("/set?value=x");
    const first = visitor.clone();
    await visitor.get("/login");
    const second = visitor.clone();
    await visitor.get("/regenerate");
    assert.deepEqual(await read(first), { user: null });
    assert.deepEqual(await read(second), { user: null });
    assert.equal((await read(visitor))["user"], "alice");
  });

  test("a revoked handle ends", async (t) => {
    const { one } = await listed(t);
    const visitor = one.visitor();
    let handle = "";
    one.sessions.on("login", (event) => {
      handle = event.handle;
    });
    await visitor.get("/login");
    assert.equal(await one.sessions.revoke(handle), true);
    assert.equal(await one.sessions.revoke(handle), false);
    assert.equal((await read(visitor))["user"], null);
  });

  test("all of a user's sessions end, except one, and a login right afterwards lives", async (t) => {
    const { one } = await listed(t);
    const [phone, laptop, bob] = [one.visitor(), one.visitor(), one.visitor()];
    await phone.get("/login");
    await laptop.get("/login");
    await bob.get("/login?user=bob");
    await laptop.get("/logout?value=everywhere");
    assert.equal((await read(phone))["user"], null);
    assert.equal((await read(bob))["user"], "bob");
    await laptop.get("/login");
    assert.equal((await read(laptop))["user"], "alice", "in the same millisecond");
  });

  test("revokeAll counts the ending that it noted, and revoke refuses to guess whose a session is", async (t) => {
    const { one } = await listed(t);
    const told: unknown[] = [];
    one.sessions.on("revoke", (event) => told.push(event));
    assert.equal(await one.sessions.revokeAll("alice"), 1);
    assert.equal(await one.sessions.revokeAll("alice", { except: "A".repeat(22) }), 1);
    assert.deepEqual(told, [
      { userId: "alice", count: 1 },
      { userId: "alice", except: "A".repeat(22), count: 1 },
    ]);
    let handle = "";
    one.sessions.on("login", (event) => {
      handle = event.handle;
    });
    const visitor = one.visitor();
    await visitor.get("/login");
    await assert.rejects(one.sessions.revoke(handle, { userId: "alice" }), {
      code: "NO_USER_INDEX",
      message: /revokeAll\(userId\)/,
    });
    assert.equal((await read(visitor))["user"], "alice", "nothing ended");
    await assert.rejects(one.sessions.list("alice"), { code: "NO_USER_INDEX", message: /keep sessions in a store/ });
  });

  test("the excepted session lives, under its next name too", async (t) => {
    const { one } = await listed(t);
    const [phone, laptop] = [one.visitor(), one.visitor()];
    let handle = "";
    one.sessions.on("login", (event) => {
      handle = event.handle;
    });
    await phone.get("/login");
    await laptop.get("/login");
    one.clock.advance(1_000);
    await one.sessions.revokeAll("alice", { except: handle });
    assert.equal((await read(phone))["user"], null);
    assert.equal((await read(laptop))["user"], "alice");
    const before = laptop.clone();
    await laptop.get("/regenerate");
    assert.equal((await read(laptop))["user"], "alice");
    assert.equal((await read(before))["user"], null);
  });

  test("a password change (regenerate, and end all others) invalidates copies of every earlier cookie", async (t) => {
    const { one, clock } = await listed(t);
    const [phone, laptop] = [one.visitor(), one.visitor()];
    await phone.get("/login");
    await laptop.get("/login");
    const copies = [phone.clone(), laptop.clone()];
    clock.advance(1_000);
    const { status } = await laptop.get("/change-password");
    assert.equal(status, 200);
    for (const copy of [...copies, phone]) assert.equal((await read(copy))["user"], null);
    assert.equal((await read(laptop))["user"], "alice");
    await phone.get("/login");
    assert.equal((await read(phone))["user"], "alice", "with the new password");
  });

  test("a cookie that was ended, or whose data is gone, hides no good one of the same name", async (t) => {
    const clock = new ManualClock();
    const [revocations, overflow] = [new MemoryStore({ clock }), new MemoryStore({ clock })];
    const { one } = await listed(t, { clock, store: new SealedStore({ secret: A, revocations, overflow }) });
    const visitors = [one.visitor(), one.visitor(), one.visitor()] as const;
    const [ended, missing, good] = visitors;
    for (const visitor of visitors) await visitor.get("/login");
    const dead = [ended.token];
    await ended.get("/logout");
    await missing.get("/fill?value=9000");
    dead.push(missing.token);
    overflow.deleteAll({});
    for (const token of dead) {
      for (const cookie of [`sid=${token}; sid=${good.token}`, `sid=${good.token}; sid=${token}`]) {
        assert.equal(JSON.parse((await one.visitor().get("/", { cookie })).text).user, "alice");
      }
    }
  });

  test("its records go when the last copy has died", async (t) => {
    const { one, clock, revocations } = await listed(t);
    const visitor = one.visitor();
    await visitor.get("/login");
    const copy = visitor.clone();
    clock.advance(5 * 60_000);
    await copy.get("/");
    await visitor.get("/logout");
    assert.ok(revocations.notes.length > 0);
    assert.equal(revocations.count(), 0, "they are no sessions");
    clock.advance(30 * 60_000 - 1);
    assert.equal((await read(copy))["user"], null);
    clock.advance(24 * 3_600_000);
    await one.sessions.prune();
    assert.deepEqual(revocations.notes, []);
  });

  test("where a longer life was taken back, an ending lasts as long as a copy of the longer-lived cookie", async (t) => {
    const { one, clock } = await listed(t);
    const visitor = one.visitor();
    await visitor.get("/login?value=30d");
    const copy = visitor.clone();
    await visitor.get("/persist");
    await visitor.get("/logout");
    for (let day = 1; day < 30; day += 1) {
      clock.advance(86_400_000);
      await one.sessions.prune();
      assert.equal((await read(copy.clone()))["user"], null, `day ${day}`);
    }
  });

  test("an ending that can't be noted is 503, of which listeners hear once for each try", async (t) => {
    const clock = new ManualClock();
    const { store, fail, heal } = faulty(new MemoryStore({ clock }));
    const { one } = await listed(t, { clock, store: new SealedStore({ secret: A, revocations: store }) });
    const told: string[] = [];
    one.sessions.on("store-error", ({ operation }) => told.push(operation));
    const visitor = one.visitor();
    await visitor.get("/login");
    const copies = [visitor.clone(), visitor.clone()] as const;
    fail("create", { kind: "error" }, Number.POSITIVE_INFINITY);
    assert.equal((await copies[0].get("/logout")).status, 503);
    assert.deepEqual(told, ["create", "create"], "at once, and at the end of the request");
    heal();
    assert.equal((await read(visitor))["user"], "alice", "nothing was noted");
    fail("create", { kind: "error" });
    assert.equal((await copies[1].get("/logout")).status, 503);
    assert.deepEqual(told, ["create", "create", "create"]);
    assert.equal((await read(visitor))["user"], null, "the second try was heard");
  });

  test("a request that leaves its session alone asks the list only when the seal is to be renewed", async (t) => {
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }));
    const one = await shop(t, { clock, store: new SealedStore({ secret: A, revocations: probe.store }) });
    const visitor = one.visitor();
    await visitor.get("/login");
    const asked = async (path: string) => {
      probe.reset();
      await visitor.get(path);
      return probe.operations.includes("load");
    };
    assert.deepEqual([await asked("/static"), await asked("/")], [false, true]);
    clock.advance(60_000);
    assert.deepEqual([await asked("/static"), await asked("/static")], [true, false]);
  });

  test("when the list can't be asked, nobody is let in", async (t) => {
    const down = new MemoryStore();
    down.close();
    const { one } = await listed(t, { store: new SealedStore({ secret: A, revocations: down }) });
    const writer = await shop(t, { clock: one.clock });
    const visitor = writer.visitor();
    await visitor.get("/login");
    assert.equal((await holding(one, visitor).get("/")).status, 503);
  });
});

test("options that can't work are refused", () => {
  const refused: [() => unknown, RegExp][] = [
    [() => session({ store: new SealedStore() }), /SealedStore needs a key/],
    [() => session({ store: new SealedStore({ secret: A }), encrypt: true }), /a SealedStore always encrypts/],
    [() => Reflect.construct(SealedStore, [{ chunks: 4 }]), /chunks must be/],
    [() => Reflect.construct(SealedStore, [{ compress: true }]), /compress is not an option/],
    [
      () => Reflect.construct(SealedStore, [{ revocations: new MemoryStore(), serverSide: ["vouchers"] }]),
      /serverSide is not an option/,
    ],
    [() => Reflect.construct(SealedStore, [{ overflow: true }]), /overflow must be a store/],
    [() => Reflect.construct(SealedStore, [{ revocations: {} }]), /revocations must be a store/],
  ];
  for (const [make, says] of refused) assert.throws(make, says);
  const ours: SessionOptions = { store: new SealedStore(), secret: A };
  session(ours);
  assert.doesNotMatch(inspect(new SealedStore({ secret: A.toString() }), { showHidden: true, depth: 9 }), /0123/);
});
