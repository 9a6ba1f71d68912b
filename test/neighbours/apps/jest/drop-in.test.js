const session = require("sojourn/express-session");
const suite = require("./suite");

test("require() gives the function itself, with its classes", () => {
  expect(typeof session).toBe("function");
  for (const name of ["Cookie", "MemoryStore", "Session", "Store"]) expect(typeof session[name]).toBe("function");
});

suite(session, {
  "the drop-in": () => ({
    secret: "keyboard cat",
    resave: false,
    saveUninitialized: false,
    rolling: true,
    cookie: { maxAge: 30 * 60_000 },
  }),
});
