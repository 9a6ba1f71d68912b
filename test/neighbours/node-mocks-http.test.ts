import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { type Any, countVisits, kinds, load, native, natives, sessionCookies } from "./world.ts";

/** https://www.npmjs.com/package/node-mocks-http: a middleware and a handler called with a made-up request and response. */
const { createMocks } = load("node-mocks-http");
const { EventEmitter } = load("node:events");

interface Asked {
  text: string;
  status: number;
  headers: Record<string, Any>;
  setCookies: string[];
}

/** One request through the middleware and a handler, waited for by the response's own "end". */
async function ask(sessions: Any, request: object, handler: (req: Any, res: Any) => void): Promise<Asked> {
  const { req, res } = createMocks({ method: "GET", url: "/", ...request }, { eventEmitter: EventEmitter });
  const ended = once(res, "end", { signal: AbortSignal.timeout(5_000) });
  sessions(req, res, (error: unknown) => {
    if (error === undefined) return handler(req, res);
    res.statusCode = 500;
    res.end(String(error));
  });
  await ended;
  const headers = res._getHeaders();
  return {
    text: res._getData(),
    status: res._getStatusCode(),
    headers,
    setCookies: [headers["set-cookie"] ?? []].flat(),
  };
}

for (const [kind, open] of Object.entries(kinds)) {
  // express-session counts on Node's own machinery for headers.
  if (kind === "by express-session" || kind === "as the drop-in") continue;
  test(`a mocked answer brings the cookie, and a mocked request opens the session (${kind})`, async (t) => {
    const sessions = open(t);
    // A mocked `send` says `headersSent` before it calls `end`: nothing can add a cookie there.
    const visit = (req: Any, res: Any) => {
      const visits = countVisits(req.session);
      res.end(String(visits));
    };
    const first = await ask(sessions, {}, visit);
    assert.deepEqual([first.status, first.text, sessionCookies(first).length], [200, "1", 1]);
    const cookie = first.setCookies[0]?.split(";")[0];
    assert.equal((await ask(sessions, { headers: { cookie } }, visit)).text, "2");
  });
}

describe("a bearer's token in headers that there is no rawHeaders for", () => {
  for (const kind of Object.keys(natives)) {
    test(`opens the session (${kind})`, async (t) => {
      const { MemoryStore, bearer, cookie } = load("sojourn");
      const sessions = native(t, new MemoryStore(), { transport: [cookie(), bearer()] });
      const visit = (req: Any, res: Any) => {
        const visits = countVisits(req.session);
        res.end(`${visits} ${req.session.transport}`);
      };
      const first = await ask(sessions, { headers: { "x-session-transport": "bearer" } }, visit);
      assert.equal(first.text, "1 bearer");
      const authorization = `Bearer ${first.headers["x-session-token"]}`;
      assert.equal((await ask(sessions, { headers: { authorization } }, visit)).text, "2 bearer");
    });
  }
});
