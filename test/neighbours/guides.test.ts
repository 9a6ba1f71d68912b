import { after, before, describe, test } from "node:test";
import { beside } from "../docs/pages.ts";
import { Workshop } from "../docs/workshop.ts";
import { type Any, listen } from "./world.ts";

/** The programs of the pages that need these libraries run as they stand there: `test/docs/workshop.ts` says how. */
const LONG_MS = 5 * 60_000;

/** A provider of OpenID Connect that lets everybody in by whatever name they give. */
async function startProvider(t: { after(action: () => unknown): void }): Promise<string> {
  const { Provider } = await import("oidc-provider" as string);
  const clients = [{ client_id: "shop", client_secret: "s3cret", redirect_uris: ["http://localhost:3000/callback"] }];
  let answer: Any;
  const { port } = await listen(t, (req, res) => answer(req, res));
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, { clients, cookies: { keys: ["a key of a test"] } });
  answer = provider.callback();
  return issuer;
}

describe("the programs of the guides", { timeout: LONG_MS }, () => {
  const ended: (() => unknown)[] = [];
  let workshop: Workshop;
  before(async () => {
    const issuer = await startProvider({ after: (action) => ended.push(action) });
    workshop = new Workshop(import.meta.dirname, {
      ISSUER_BASE_URL: issuer,
      CLIENT_SECRET: "s3cret",
      IRON_PASSWORD: "a password of more than 32 characters",
    });
    for (const page of beside) workshop.write(page);
  });
  after(() => {
    for (const end of ended) end();
    workshop.remove();
  });

  test("type-check", { timeout: LONG_MS }, () => workshop.compile());
  for (const page of beside) test(`run: ${page}`, { timeout: LONG_MS }, () => workshop.run(page));
});
