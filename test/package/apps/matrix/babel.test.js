// For Jest with Babel, which turns imports into require().
import { expect, test } from "@jest/globals";
import { MemoryStore, session } from "sojourn";
import cookieSession from "sojourn/cookie-session";
import dropIn, { Store } from "sojourn/express-session";
import { visit } from "../visit.cjs";

test("an application in ES modules that Babel compiles", async () => {
  await visit({ session }, new MemoryStore());
  expect(dropIn({ secret: "s", resave: false, saveUninitialized: false })).toBeInstanceOf(Function);
  expect(cookieSession({ keys: ["k"] })).toBeInstanceOf(Function);
  expect(new dropIn.MemoryStore()).toBeInstanceOf(Store);
});
