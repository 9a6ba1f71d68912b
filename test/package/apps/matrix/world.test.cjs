// For Jest as it comes, without any flag.
const { expect, test } = require("@jest/globals");

test("an application in CommonJS", () => require("./world.cjs"));

test("the package's functions can be spied on", () => {
  const sojourn = require("sojourn");
  const { jest: doubles } = require("@jest/globals");
  const spy = doubles.spyOn(sojourn, "session").mockReturnValue("a double");
  expect(sojourn.session()).toBe("a double");
  spy.mockRestore();
  expect(sojourn.session()).toBeInstanceOf(Function);
});
