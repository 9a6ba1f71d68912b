import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Any,
  cookieHeader,
  countVisits,
  distant,
  express,
  inTime,
  keepCookies,
  kinds,
  load,
  native,
  natives,
  sessionCookies,
} from "./world.ts";

/** What every serverless adapter is tested for: an Express application with sessions, called as API Gateway and load balancers call it. */

/** Makes a Lambda handler of an Express application. */
export type Adapt = (app: Any) => (event: object, context: object) => Promise<Any>;

interface Call {
  method?: string;
  path: string;
  cookies: ReadonlyMap<string, string>;
  headers?: Record<string, string>;
  body?: string;
}

interface Result {
  status: number;
  text: string;
  headers: Record<string, string>;
  setCookies: string[];
}

const context = { awsRequestId: "c6af9ac6", functionName: "site", callbackWaitsForEmptyEventLoop: false };

function headersOf({ headers = {}, cookies }: Call, withCookie: boolean): Record<string, string> {
  return {
    accept: "*/*",
    host: "abc123.execute-api.eu-central-1.amazonaws.com",
    "user-agent": "curl/8.5.0",
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
    ...(withCookie && cookies.size > 0 && { cookie: cookieHeader(cookies) }),
    ...headers,
  };
}

/** Events as AWS documents them, for API Gateway's REST and HTTP APIs, and for a load balancer's target group with multi-value headers. */
const events: Record<string, (call: Call) => object> = {
  "API Gateway, REST": (call) => {
    const headers = headersOf(call, true);
    return {
      resource: "/{proxy+}",
      path: call.path,
      httpMethod: call.method ?? "GET",
      headers,
      multiValueHeaders: multiValue(headers),
      queryStringParameters: null,
      multiValueQueryStringParameters: null,
      pathParameters: { proxy: call.path.slice(1) },
      stageVariables: null,
      requestContext: {
        resourcePath: "/{proxy+}",
        httpMethod: call.method ?? "GET",
        path: `/prod${call.path}`,
        protocol: "HTTP/1.1",
        stage: "prod",
        identity: { sourceIp: "203.0.113.9", userAgent: "curl/8.5.0" },
        requestId: "7e5c1f7a",
        accountId: "123456789012",
        apiId: "abc123",
      },
      body: call.body ?? null,
      isBase64Encoded: false,
    };
  },
  "API Gateway, HTTP": (call) => ({
    version: "2.0",
    routeKey: "$default",
    rawPath: call.path,
    rawQueryString: "",
    ...(call.cookies.size > 0 && { cookies: [...call.cookies].map(([name, value]) => `${name}=${value}`) }),
    headers: headersOf(call, false),
    requestContext: {
      accountId: "123456789012",
      apiId: "abc123",
      domainName: "abc123.execute-api.eu-central-1.amazonaws.com",
      http: {
        method: call.method ?? "GET",
        path: call.path,
        protocol: "HTTP/1.1",
        sourceIp: "203.0.113.9",
        userAgent: "curl/8.5.0",
      },
      requestId: "7e5c1f7a",
      routeKey: "$default",
      stage: "$default",
      time: "12/Mar/2025:19:03:58 +0000",
      timeEpoch: 1741806238000,
    },
    ...(call.body !== undefined && { body: call.body }),
    isBase64Encoded: false,
  }),
  "a load balancer": (call) => ({
    requestContext: {
      elb: {
        targetGroupArn: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/site/6d0ecf831eec9f09",
      },
    },
    httpMethod: call.method ?? "GET",
    path: call.path,
    multiValueQueryStringParameters: {},
    multiValueHeaders: multiValue(headersOf(call, true)),
    body: call.body ?? "",
    isBase64Encoded: false,
  }),
};

function multiValue(headers: Record<string, string>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
}

/** A browser in front of the gateway. */
class Client {
  readonly cookies = new Map<string, string>();
  readonly #handler: ReturnType<Adapt>;
  readonly #event: (call: Call) => object;

  constructor(handler: ReturnType<Adapt>, event: (call: Call) => object) {
    this.#handler = handler;
    this.#event = event;
  }

  stranger(): Client {
    return new Client(this.#handler, this.#event);
  }

  async ask(path: string, options: Partial<Call> = {}): Promise<Result> {
    const event = this.#event({ path, cookies: this.cookies, ...options });
    const response = await inTime<Any>(this.#handler(event, context), "the adapter gave no answer");
    const headers = lowerCase<Any>({ ...firstOf(response.multiValueHeaders), ...response.headers });
    const setCookies: string[] = [
      ...(response.cookies ?? []),
      ...listOf(lowerCase<Any>(response.multiValueHeaders ?? {})["set-cookie"] ?? headers["set-cookie"]),
    ];
    keepCookies(this.cookies, setCookies);
    const text = response.isBase64Encoded ? Buffer.from(response.body, "base64").toString() : (response.body ?? "");
    return { status: response.statusCode, text, headers, setCookies };
  }
}

function lowerCase<T>(headers: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function firstOf(headers: Record<string, string[]> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, values[0] ?? ""]));
}

function listOf(value: string | string[] | undefined): string[] {
  return value === undefined ? [] : [value].flat();
}

/** The suite. */
export function serverlessSuite(name: string, adapt: Adapt): void {
  for (const [source, event] of Object.entries(events)) {
    for (const [kind, open] of Object.entries(kinds)) {
      describe(`${name} called by ${source}, sessions ${kind}`, () => {
        const client = (app: Any) => new Client(adapt(app), event);

        test("a handler that answers at once: the whole answer, and its cookie", async (t) => {
          const app = express(open(t), (app) => {
            app.get("/json", (req: Any, res: Any) => res.json({ visits: countVisits(req.session) }));
            app.get("/text", (req: Any, res: Any) => {
              const visits = countVisits(req.session);
              res.end(`visit ${visits}`);
            });
            app.get("/unread", (_req: Any, res: Any) => res.send("unread"));
          });
          const ada = client(app);
          const begun = await ada.ask("/json");
          assert.deepEqual([begun.status, begun.text], [200, '{"visits":1}']);
          assert.match(begun.headers["content-type"] ?? "", /^application\/json/);
          assert.equal(sessionCookies(begun).length, 1);
          const again = await ada.ask("/text");
          assert.deepEqual([again.status, again.text], [200, "visit 2"]);
          assert.equal((await ada.ask("/unread")).text, "unread");
          assert.equal((await ada.stranger().ask("/json")).text, '{"visits":1}');
        });

        test("a handler that answers later, in parts, by a redirect, without a body", async (t) => {
          const app = express(open(t), (app) => {
            app.get("/later", async (req: Any, res: Any) => {
              await new Promise((resolve) => setImmediate(resolve));
              res.send(String(countVisits(req.session)));
            });
            app.get("/parts", (req: Any, res: Any) => {
              const visits = countVisits(req.session);
              res.write("visit ");
              res.write(String(visits));
              res.end();
            });
            app.post("/redirect", (req: Any, res: Any) => {
              countVisits(req.session);
              res.redirect("/later");
            });
            app.post("/nothing", (req: Any, res: Any) => {
              countVisits(req.session);
              res.sendStatus(204);
            });
          });
          const ada = client(app);
          const redirected = await ada.ask("/redirect", { method: "POST" });
          assert.deepEqual([redirected.status, redirected.headers["location"]], [302, "/later"]);
          assert.equal(sessionCookies(redirected).length, 1);
          assert.equal((await ada.ask("/later")).text, "2");
          assert.equal((await ada.ask("/parts")).text, "visit 3");
          assert.equal((await ada.ask("/nothing", { method: "POST" })).status, 204);
          assert.equal((await ada.ask("/later")).text, "5");
        });

        test("a handler whose first look at the session is an argument of end", async (t) => {
          const app = express(open(t), (app) =>
            app.get("/", (req: Any, res: Any) => res.end(`visit ${countVisits(req.session)}`)),
          );
          const begun = await client(app).ask("/");
          assert.deepEqual([begun.status, begun.text, sessionCookies(begun).length], [200, "visit 1", 1]);
        });

        if (kind === "by express-session") return;

        test("a commit that fails is the error handler's answer", async (t) => {
          const app = express(open(t), (app) =>
            app.get("/", (req: Any, res: Any) => {
              req.session.visits = 1n;
              res.send("saved");
            }),
          );
          const answer = await client(app).ask("/");
          assert.equal(answer.status, 500);
          assert.match(answer.text, /^error: /);
          assert.deepEqual(answer.setCookies, []);
        });
      });
    }

    for (const [kind, open] of Object.entries(natives)) {
      test(`${name} called by ${source}: login, and logout (${kind})`, async (t) => {
        const app = express(open(t), (app) => {
          app.use(load("express").json());
          app.post("/login", async (req: Any, res: Any) => {
            await req.session.login(req.body.name);
            res.json({ user: req.session.userId });
          });
          app.post("/logout", async (req: Any, res: Any) => {
            await req.session.logout();
            res.json({});
          });
          app.get("/", (req: Any, res: Any) => res.json({ user: req.session.userId }));
        });
        const ada = new Client(adapt(app), event);
        const body = JSON.stringify({ name: "ada" });
        const headers = { "content-type": "application/json", "content-length": String(body.length) };
        assert.equal((await ada.ask("/login", { method: "POST", headers, body })).text, '{"user":"ada"}');
        assert.equal((await ada.ask("/")).text, '{"user":"ada"}');
        await ada.ask("/logout", { method: "POST" });
        assert.equal((await ada.ask("/")).text, '{"user":null}');
      });
    }

    test(`${name} called by ${source}: a store that goes down meanwhile is the error handler's answer`, async (t) => {
      const { MemoryStore } = load("sojourn");
      const { store, fail } = load("sojourn/testing").faulty(new MemoryStore());
      const app = express(native(t, distant(store)), (app) =>
        app.get("/", (req: Any, res: Any) => res.send(String(countVisits(req.session)))),
      );
      const ada = new Client(adapt(app), event);
      fail("create", { kind: "error" });
      const answer = await ada.ask("/");
      assert.deepEqual([answer.status, answer.setCookies], [503, []]);
      assert.match(answer.text, /^error: /);
      assert.deepEqual((await ada.ask("/")).status, 200);
    });

    test(`${name} called by ${source}: a bearer's token is found in the event's headers`, async (t) => {
      const { MemoryStore, bearer, cookie } = load("sojourn");
      const sessions = native(t, new MemoryStore(), { transport: [cookie(), bearer()] });
      const app = express(sessions, (app) =>
        app.get("/", (req: Any, res: Any) => res.json({ visits: countVisits(req.session), by: req.session.transport })),
      );
      const program = new Client(adapt(app), event);
      const begun = await program.ask("/", { headers: { "x-session-transport": "bearer" } });
      const token = Object.entries(begun.headers).find(([header]) => header.includes("session"))?.[1];
      assert.deepEqual(JSON.parse(begun.text), { visits: 1, by: "bearer" });
      assert.ok(token, `no token in ${JSON.stringify(begun.headers)}`);
      const again = await program.ask("/", { headers: { authorization: `Bearer ${token}` } });
      assert.deepEqual(JSON.parse(again.text), { visits: 2, by: "bearer" });
    });
  }
}
