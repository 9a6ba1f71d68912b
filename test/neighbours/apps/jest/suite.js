const express = require("express");
const request = require("supertest");

/** An application's tests, whichever way it loads its sessions. */
module.exports = function suite(session, stores) {
  const application = (sessions) => {
    const app = express();
    app.use(sessions);
    app.get("/", (req, res) => {
      req.session.visits = (req.session.visits ?? 0) + 1;
      res.json({ visits: req.session.visits });
    });
    return app;
  };

  for (const [name, open] of Object.entries(stores)) {
    describe(name, () => {
      let sessions;
      beforeEach(() => {
        sessions = session(open());
      });
      afterEach(async () => {
        jest.useRealTimers();
        await sessions.close?.();
      });

      test("an agent is remembered", async () => {
        const agent = request.agent(application(sessions));
        await agent.get("/").expect(200, { visits: 1 });
        await agent.get("/").expect(200, { visits: 2 });
      });

      test("Jest's fake timers: the session ends", async () => {
        // Node's own HTTP needs process.nextTick, whatever the sessions do.
        jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask"] });
        const agent = request.agent(application(sessions));
        await agent.get("/").expect(200, { visits: 1 });
        jest.advanceTimersByTime(29 * 60_000);
        await agent.get("/").expect(200, { visits: 2 });
        jest.advanceTimersByTime(31 * 60_000);
        await agent.get("/").expect(200, { visits: 1 });
      });

      test("jest.setSystemTime: the session ends", async () => {
        jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate", "setTimeout"] });
        const agent = request.agent(application(sessions));
        await agent.get("/").expect(200, { visits: 1 });
        jest.setSystemTime(Date.now() + 31 * 60_000);
        await agent.get("/").expect(200, { visits: 1 });
      });

      test("a spy on Date.now: the session ends", async () => {
        const agent = request.agent(application(sessions));
        await agent.get("/").expect(200, { visits: 1 });
        const now = Date.now();
        const spy = jest.spyOn(Date, "now").mockImplementation(() => now + 31 * 60_000);
        await agent.get("/").expect(200, { visits: 1 });
        spy.mockRestore();
      });
    });
  }
};
