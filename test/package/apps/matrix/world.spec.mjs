import { expect, test, vi } from "vitest";

test("an application in ES modules", async () => {
  await (await import("./world.mjs")).done;
});

test("the package can be mocked", async () => {
  vi.doMock("sojourn", async (original) => ({ ...(await original()), session: () => "a double" }));
  const { MemoryStore, session } = await import("sojourn");
  expect(session()).toBe("a double");
  expect(new MemoryStore()).toBeInstanceOf(MemoryStore);
});
