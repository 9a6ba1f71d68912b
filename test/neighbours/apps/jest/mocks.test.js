const express = require("express");
const request = require("supertest");

// As applications that test everything but their sessions do.
jest.mock("sojourn", () => ({
  session: jest.fn(() => (req, _res, next) => {
    req.session = { userId: "ada" };
    next();
  }),
}));

test("jest.mock replaces the package", async () => {
  const { session } = require("sojourn");
  const app = express();
  app.use(session());
  app.get("/", (req, res) => res.send(req.session.userId));
  await request(app).get("/").expect(200, "ada");
  expect(session).toHaveBeenCalledTimes(1);
});

test("jest.requireActual, and a registry of its own for each test, give a whole package", () => {
  jest.isolateModules(() => {
    const { session, MemoryStore } = jest.requireActual("sojourn");
    expect(typeof session({ store: new MemoryStore() })).toBe("function");
  });
});
