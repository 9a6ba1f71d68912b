import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, IncomingMessage, type RequestListener } from "node:http";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { duration, MemoryStore, type Session, type Sessions, session } from "../../src/index.ts";
import { application, type Cleanup, KINDS } from "../support/site.ts";

interface Shop {
  cart: string[];
}

/** Asks a server for some paths in turn, with the cookies that it sends. */
async function ask(t: Cleanup, listener: RequestListener, ...paths: string[]): Promise<string[]> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = Object(server.address());
  const cookies = new Map<string, string>();
  const texts: string[] = [];
  for (const path of paths) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    texts.push(await response.text());
  }
  return texts;
}

const add = (visit: Session<Shop>, article: string) => {
  visit.cart = [...(visit.cart ?? []), article];
};

describe("sessions.of(req)", () => {
  for (const kind of KINDS)
    test(`is req.session, with the data's type (${kind})`, async (t) => {
      const sessions: Sessions<Shop> = session<Shop>();
      t.after(() => sessions.close());
      const listener = application(kind, sessions, async (req, res) => {
        const visit = sessions.of(req);
        assert.equal(visit, req.session);
        add(visit, "tea");
        await visit.update((newest) => add(newest, "milk"));
        if (req.url === "/login") await visit.login("alice");
        assert.equal(sessions.of(req), req.session);
        const stored = await sessions.get(visit.id);
        res.end(`${visit.userId} ${visit.cart?.join()} ${stored?.data.cart?.length}`);
      });
      assert.deepEqual(await ask(t, listener, "/", "/login"), ["null tea,milk 2", "alice tea,milk,tea,milk 4"]);
    });

  test("is the new session after req.session was replaced or ended", async (t) => {
    const sessions = session<Shop>();
    t.after(() => sessions.close());
    const listener = application("node", sessions, async (req, res) => {
      const first = sessions.of(req);
      add(first, "tea");
      await first.regenerate();
      assert.notEqual(sessions.of(req), first);
      assert.equal(sessions.of(req).cart, undefined);
      Reflect.set(req, "session", null);
      assert.equal(Reflect.get(req, "session"), null);
      assert.ok(sessions.of(req).isNew);
      res.end("done");
    });
    assert.deepEqual(await ask(t, listener, "/"), ["done"]);
  });

  test("of two session() on one request each has its own, whatever req.session is", async (t) => {
    const outer = session<Shop>({ name: "shop" });
    const inner = session<{ views: number }>({ name: "admin" });
    t.after(() => Promise.all([outer.close(), inner.close()]));
    const listener = application("node", outer, (req, res) =>
      inner(req, res, () => {
        add(outer.of(req), "tea");
        const admin = inner.of(req);
        admin.views = (admin.views ?? 0) + 1;
        assert.equal(Reflect.get(req, "session"), admin);
        res.end(`${outer.of(req).cart?.join()} ${admin.views}`);
      }),
    );
    assert.deepEqual(await ask(t, listener, "/", "/"), ["tea 1", "tea,tea 2"]);
  });

  test("two session() over one store share the request's session", async (t) => {
    const store = new MemoryStore();
    const [one, other] = [session<Shop>({ store }), session<Shop>({ store })];
    t.after(() => Promise.all([one.close(), other.close()]));
    const listener = application("node", one, (req, res) =>
      other(req, res, () => {
        assert.equal(one.of(req), other.of(req));
        res.end("same");
      }),
    );
    assert.deepEqual(await ask(t, listener, "/"), ["same"]);
  });

  test("a request that the middleware did not run for, or outside the cookie's path, is a TypeError", async (t) => {
    const sessions = session<Shop>({ cookie: { path: "/shop" } });
    t.after(() => sessions.close());
    const refused = /^TypeError: sessions\.of\(req\): this session\(\) did not run for this request/;
    assert.throws(() => sessions.of(new IncomingMessage(new Socket())), refused);
    const another = session({ name: "another" });
    t.after(() => another.close());
    const listener: RequestListener = (req, res) =>
      sessions(req, res, () => {
        assert.throws(() => another.of(req), refused);
        if (req.url === "/shop") add(sessions.of(req), "tea");
        else assert.throws(() => sessions.of(req), refused);
        res.end("done");
      });
    assert.deepEqual(await ask(t, listener, "/", "/shop"), ["done", "done"]);
  });
});

test("duration() gives milliseconds, and refuses text that is none", () => {
  assert.equal(duration("1.5h"), 5_400_000);
  assert.equal(duration("500ms"), 500);
  for (const text of ["30 minutes", "30", "", "-5m", "0s", "m"])
    assert.throws(() => duration(text), /^TypeError: duration\(text\): text must be a positive number/, text);
  for (const other of [5, undefined, null, false])
    assert.throws(
      () => Reflect.apply(duration, undefined, [other]),
      /^TypeError: duration\(text\): text must be a string/,
    );
});
