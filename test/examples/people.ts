import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type LoginSite, Visitor } from "./site.ts";

export const PASSWORD = "correct horse battery";
let people = 0;

/** Someone new with an account, signed in. */
export async function newUser(site: LoginSite): Promise<{ visitor: Visitor; email: string }> {
  const email = `user${++people}@example.com`;
  const visitor = new Visitor(site);
  const { location } = await visitor.post("/register", { email, password: PASSWORD });
  assert.equal(location, "/account");
  return { visitor, email };
}

/** The same person on one more device. */
export async function signIn(site: LoginSite, email: string, form: Record<string, string> = {}): Promise<Visitor> {
  const visitor = new Visitor(site);
  const { location } = await visitor.post("/login", { email, password: PASSWORD, ...form });
  assert.equal(location, "/account");
  return visitor;
}

/** What the first start wrote down for the person who may act as others. */
export function supportPassword(site: LoginSite): string {
  return readFileSync(join(site.dataDir, "support-password"), "utf8");
}

export const isSignedIn = async (visitor: Visitor) => (await visitor.get("/account")).status === 200;

/** The handles that a page offers to sign out. */
export function handlesIn(text: string): string[] {
  return [...text.matchAll(/action="\/devices\/([\w-]{22})\/revoke"/g)].map(([, handle = ""]) => handle);
}

export const cartSize = (text: string) => Number(/class="basket".*?<span>(\d+)<\/span>/.exec(text)?.[1]);
