import type { Express, Request } from "express";
import type { Sessions } from "../../src/index.ts";
import { increment, peek, put } from "../support/express-site.ts";

/** What a request can do to a session. Each is a route of the same name; `?p=` names the property that it may set. */
export interface Operation {
  readonly name: string;
  /** Ends the session that the request came with, if it was answered with success. */
  readonly ends: boolean;
  /** Ends the session under any handle that it has been given meanwhile, too. */
  readonly endsHeirs?: true;
  /** Puts another session in its place. */
  readonly replaces?: "anew" | "all" | "nothing";
  /** Changes what is stored of the session. */
  readonly changes?: "property" | "counter" | "message" | "lifetime";
  /** Runs in no request of the session's own. */
  readonly outside?: true;
  /** Has the last use of the session be long ago. */
  readonly due?: true;
}

export const USER = "u1";
/** What the login is called at the user's identity provider. */
const LINK = "link of u1";
export const IDLE_MS = 30_000;
export const REMEMBERED_MS = 60_000;

export const operations: readonly [Operation, ...Operation[]] = [
  { name: "write", ends: false, changes: "property" },
  { name: "save", ends: false, changes: "property" },
  { name: "touch", ends: false },
  { name: "due", ends: false, due: true },
  { name: "update", ends: false, changes: "counter" },
  { name: "flash", ends: false, changes: "message" },
  { name: "persist", ends: false, changes: "lifetime" },
  { name: "reload", ends: false },
  { name: "login", ends: true, replaces: "anew" },
  { name: "regenerate-keep", ends: true, replaces: "all" },
  { name: "regenerate", ends: true, replaces: "nothing" },
  { name: "logout", ends: true, endsHeirs: true },
  { name: "logout-everywhere", ends: true, endsHeirs: true },
  { name: "destroy", ends: true, endsHeirs: true },
  { name: "revoke", ends: true, endsHeirs: true, outside: true },
  { name: "revoke-all", ends: true, outside: true },
  { name: "expire", ends: true, outside: true },
  { name: "sweep", ends: false, outside: true },
];

/** What identity adds. Each meets all of these and all of the above in identity-pairs.test.ts. */
export const identityOperations: readonly Operation[] = [
  { name: "confirm", ends: true, replaces: "all" },
  { name: "poll", ends: false, due: true },
  { name: "revoke-link", ends: true, endsHeirs: true, outside: true },
  { name: "erase", ends: true, endsHeirs: true, outside: true },
  { name: "export", ends: false, outside: true },
];

/** Which requests are no use of the session. */
export const POLL = "/poll";

export function routes(app: Express, sessions: Sessions): void {
  const property = (req: Request) => String(req.query["p"]);

  app.post("/begin", async (req, res) => {
    put(req.session, "base", "kept");
    put(req.session, "n", 0);
    await req.session.login(USER, { link: LINK });
    res.json({});
  });
  app.get("/look", (req, res) => {
    const { session } = req;
    res.json({ isNew: session.isNew, handle: session.id, userId: session.userId, data: session });
  });
  for (const { name, outside } of [...operations, ...identityOperations]) {
    if (outside) continue;
    app.use(`/${name}`, (req, res, next) => {
      res.setHeader("x-opened", String(!req.session.isNew));
      next();
    });
  }
  app.post("/write", (req, res) => {
    put(req.session, property(req), 1);
    res.json({});
  });
  app.post("/save", async (req, res) => {
    put(req.session, property(req), 1);
    await req.session.save();
    res.json({});
  });
  app.post("/touch", async (req, res) => {
    await req.session.touch();
    res.json({});
  });
  app.post("/due", (req, res) => {
    res.json({ base: peek(req.session, "base") });
  });
  app.post("/update", async (req, res) => {
    await req.session.update((session) => increment(session));
    res.json({});
  });
  app.post("/flash", (req, res) => {
    req.session.flash("news", property(req));
    res.json({});
  });
  app.post("/persist", async (req, res) => {
    await req.session.persist(REMEMBERED_MS);
    res.json({});
  });
  app.post("/reload", async (req, res) => {
    await req.session.reload();
    res.json({ base: peek(req.session, "base") });
  });
  app.post("/login", async (req, res) => {
    await req.session.login(USER);
    res.json({});
  });
  app.post("/regenerate-keep", async (req, res) => {
    await req.session.regenerate({ keep: true });
    res.json({});
  });
  app.post("/regenerate", async (req, res) => {
    await req.session.regenerate();
    put(req.session, property(req), 1);
    res.json({});
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.json({});
  });
  app.post("/logout-everywhere", async (req, res) => {
    await req.session.logout({ everywhere: true });
    res.json({});
  });
  app.post("/destroy", async (req, res) => {
    await req.session.destroy();
    put(req.session, "farewell", property(req));
    res.json({});
  });
  app.post("/revoke", async (req, res) => {
    res.json({ revoked: await sessions.revoke(String(req.query["handle"])) });
  });
  app.post("/revoke-all", async (_req, res) => {
    res.json({ revoked: await sessions.revokeAll(USER) });
  });
  app.post("/sweep", async (_req, res) => {
    res.json({ swept: await sessions.prune() });
  });
  app.post("/confirm", async (req, res) => {
    // Where the session has ended before, there is nobody to confirm.
    if (req.session.userId !== null) await req.session.confirm({ methods: ["otp"] });
    res.json({});
  });
  app.post(POLL, (req, res) => {
    res.json({ base: peek(req.session, "base"), end: req.session.expiresAt });
  });
  app.post("/revoke-link", async (_req, res) => {
    res.json({ revoked: await sessions.revokeAll({ link: LINK }) });
  });
  app.post("/erase", async (_req, res) => {
    res.json({ erased: await sessions.erase(USER) });
  });
  app.post("/export", async (_req, res) => {
    res.json(await sessions.export(USER));
  });
}
