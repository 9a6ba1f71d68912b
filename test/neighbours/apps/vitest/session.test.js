import express from "express";
import { MemoryStore, session } from "sojourn";
import dropIn from "sojourn/express-session";
import { SqliteStore } from "sojourn/sqlite";
import request from "supertest";
import { afterEach, beforeEach, describe, test, vi } from "vitest";

const stores = {
  "in memory": () => session({ store: new MemoryStore() }),
  "on SQLite": () => session({ store: new SqliteStore(":memory:") }),
  "as the drop-in": () =>
    dropIn({
      secret: "keyboard cat",
      resave: false,
      saveUninitialized: false,
      rolling: true,
      cookie: { maxAge: 30 * 60_000 },
    }),
};

function application(sessions) {
  const app = express();
  app.use(sessions);
  app.get("/", (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1;
    res.json({ visits: req.session.visits });
  });
  return app;
}

for (const [name, open] of Object.entries(stores)) {
  describe(name, () => {
    let sessions;
    beforeEach(() => {
      sessions = open();
    });
    afterEach(async () => {
      vi.useRealTimers();
      await sessions.close?.();
    });

    test("an agent is remembered", async () => {
      const agent = request.agent(application(sessions));
      await agent.get("/").expect(200, { visits: 1 });
      await agent.get("/").expect(200, { visits: 2 });
    });

    test("vi.useFakeTimers: the session ends", async () => {
      vi.useFakeTimers();
      const agent = request.agent(application(sessions));
      await agent.get("/").expect(200, { visits: 1 });
      vi.advanceTimersByTime(29 * 60_000);
      await agent.get("/").expect(200, { visits: 2 });
      vi.advanceTimersByTime(31 * 60_000);
      await agent.get("/").expect(200, { visits: 1 });
    });

    test("vi.setSystemTime: the session ends", async () => {
      const agent = request.agent(application(sessions));
      await agent.get("/").expect(200, { visits: 1 });
      vi.setSystemTime(Date.now() + 31 * 60_000);
      await agent.get("/").expect(200, { visits: 1 });
    });
  });
}
