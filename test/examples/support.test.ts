import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { cartSize, handlesIn, isSignedIn, newUser, PASSWORD, signIn, supportPassword } from "./people.ts";
import { type LoginSite, SharedCleanup, startSite, temporaryFolder, Visitor } from "./site.ts";

const SUPPORT = "support@example.com";
const REASON = "Ticket 4711: the cart <looks> wrong";
const SHOWN_REASON = "Ticket 4711: the cart &lt;looks&gt; wrong";
let site: LoginSite;
let support: Visitor;
const shared = new SharedCleanup();
after(() => shared.run());
before(async () => {
  site = await startSite(shared, temporaryFolder(shared));
  support = await signInAsSupport();
});

async function signInAsSupport(at: LoginSite = site): Promise<Visitor> {
  const visitor = new Visitor(at);
  const { location } = await visitor.post("/login", { email: SUPPORT, password: supportPassword(at) });
  assert.equal(location, "/account");
  return visitor;
}

const actAs = (email: string) => support.submit("/support/act", { email, reason: REASON });
const banner = (text: string) => /<aside class="acting".*?<\/aside>/s.exec(text)?.[0];
/** The audit log's lines, newest first, as text. */
const log = (text: string) =>
  [...text.slice(text.indexOf('class="audit"')).matchAll(/<tr role="row">\s*<th role="rowheader".*?<\/tr>/gs)].map(
    ([row]) =>
      row
        .replace(/<[^>]+>/g, " ")
        .replace(/\s+/g, " ")
        .trim(),
  );

describe("support", () => {
  it("acts as a customer for a reason, and each page says who really does", async () => {
    const { visitor, email } = await newUser(site);
    await visitor.submit("/cart", { item: "mug" });
    const account = await actAs(email);
    assert.match(account.text, new RegExp(`Signed in as <strong class="break">${email}<`));
    for (const path of ["/account", "/", "/compare", "/nothing-here", "/account/password"]) {
      const shown = banner((await support.get(path)).text);
      assert.ok(shown?.includes(SUPPORT) && shown.includes(email) && shown.includes(SHOWN_REASON), path);
    }
    assert.equal(banner((await visitor.get("/account")).text), undefined, "the customer has no banner");
    assert.equal(cartSize(account.text), 0, "it is a session of its own");

    const stopped = await support.submit("/support/stop");
    assert.match(stopped.text, /You are back in your own account/);
    assert.equal(banner(stopped.text), undefined);
    assert.match((await support.get("/account")).text, new RegExp(SUPPORT));
  });

  it("is in the audit log, with the reason", async () => {
    const { email } = await newUser(site);
    await actAs(email);
    const { text } = await support.submit("/support/stop");
    const [stopped, began, registered] = log(text);
    for (const [line, what] of [
      [stopped, "Support stopped acting"],
      [began, "Support began to act"],
    ] as const) {
      assert.ok(line?.startsWith(what) && line.includes(email), line);
      assert.ok(line?.endsWith(`${SUPPORT}: ${SHOWN_REASON}`), line);
    }
    assert.ok(registered?.startsWith("Signed in") && registered.includes(email), registered);
  });

  it("is seen by the customer, who can end it", async () => {
    const { visitor, email } = await newUser(site);
    await actAs(email);
    const { text } = await visitor.get("/account");
    assert.match(text, />Support<\/span> <span class="muted reason break">Ticket 4711/);
    const [handle] = handlesIn(text);
    assert.match((await visitor.submit(`/devices/${handle}/revoke`)).text, /That device is signed out/);
    assert.equal(await isSignedIn(support), false, "both of its sessions are over");
    support = await signInAsSupport();
  });

  it("counts as one of the customer's devices, and a further one is told so", async () => {
    const { visitor, email } = await newUser(site);
    await signIn(site, email);
    await actAs(email);
    const further = new Visitor(site);
    const page = await further.post("/login", { email, password: PASSWORD });
    assert.equal(page.status, 409);
    assert.equal(page.text.match(/name="handle"/g)?.length, 2);
    assert.match(page.text, /Support is acting as you/);
    const handle = visitor.jar.get("sid")?.split(".")[0] ?? "";
    assert.match((await further.submit("/login/make-room", { handle })).text, /You are signed in/);
    await support.submit("/support/stop");
  });

  it("can do nothing that only the customer may", async () => {
    const { visitor, email } = await newUser(site);
    const account = await actAs(email);
    assert.deepEqual(handlesIn(account.text), []);
    assert.doesNotMatch(account.text, /(?:action|href)="(?:\/devices|\/account\/)/);
    const handle = visitor.jar.get("sid")?.split(".")[0];
    const form = { password: PASSWORD, email, reason: REASON };
    for (const path of [
      "/devices/revoke-others",
      `/devices/${handle}/revoke`,
      "/account/password",
      "/account/data/erase",
      "/confirm",
    ]) {
      const { status, text } = await support.post(path, form);
      assert.equal(status, 403, path);
      assert.match(text, /Only the customer can do that/);
    }
    for (const path of ["/account/password", "/account/data", "/account/data/sessions.json"]) {
      assert.equal((await support.get(path)).status, 403, path);
    }
    assert.equal((await support.post("/support/act", form)).status, 404, "a customer has no support page");
    assert.equal(await isSignedIn(visitor), true);
    await support.submit("/support/stop");
  });

  it("ends after a quarter of an hour, and with the logout of either", async () => {
    const { email } = await newUser(site);
    await actAs(email);
    await support.submit("/logout");
    assert.equal(await isSignedIn(support), false);
    support = await signInAsSupport();
    await actAs(email);
    await site.later(15 * 60_000 + 1);
    assert.equal(await isSignedIn(support), false);
    assert.equal((await support.post("/support/stop")).location, "/", "nothing is left to stop");
    support = await signInAsSupport();
  });

  it("says what is missing", async () => {
    const { email } = await newUser(site);
    const cases: [Record<string, string>, string[]][] = [
      [{}, ["email-error", "reason-error"]],
      [{ email }, ["reason-error"]],
      [{ email, reason: "  " }, ["reason-error"]],
      [{ email, reason: "x".repeat(201) }, ["reason-error"]],
      [{ email: "nobody@example.com", reason: REASON }, ["email-error"]],
      [{ email: SUPPORT, reason: REASON }, ["email-error"]],
    ];
    for (const [form, errors] of cases) {
      const { status, text } = await support.post("/support/act", form);
      assert.equal(status, 422);
      assert.deepEqual(
        [...text.matchAll(/id="(\w+-error)"/g)].map(([, id]) => id),
        errors,
      );
    }
  });

  it("is not there for customers, nor for strangers", async () => {
    const { visitor, email } = await newUser(site);
    const other = await newUser(site);
    assert.doesNotMatch((await visitor.get("/account")).text, /href="\/support"/);
    assert.equal((await visitor.get("/support")).status, 404);
    assert.equal((await visitor.post("/support/act", { email: other.email, reason: REASON })).status, 404);
    assert.match((await visitor.get("/account")).text, new RegExp(email));
    assert.equal((await new Visitor(site).get("/support")).location, "/login");
  });

  it("can't act where sessions live in their cookies, and says so", async (t) => {
    const sealed = await startSite(t, temporaryFolder(t), { SESSION_MODE: "sealed" });
    const visitor = await signInAsSupport(sealed);
    const { text } = await visitor.get("/support");
    assert.match(text, /yours could not wait on the server/);
    assert.doesNotMatch(text, /action="\/support\/act"/);
    assert.ok(log(text)[0]?.startsWith("Signed in"));
    assert.equal((await visitor.post("/support/act", { email: "a@example.com", reason: REASON })).status, 404);
    assert.equal((await visitor.get("/account/data")).status, 404);
    assert.doesNotMatch((await visitor.get("/account")).text, /account\/data/);
  });
});

describe("the audit log", () => {
  it("tells of refused forms of other sites, confirmed passwords and ended devices", async () => {
    const { visitor, email } = await newUser(site);
    await visitor.post("/logout", {}, { origin: "https://evil.example" });
    await signIn(site, email);
    await visitor.post("/confirm", { password: PASSWORD });
    await visitor.submit("/devices/revoke-others");
    await visitor.submit("/logout");
    const lines = log((await support.get("/support")).text).slice(0, 5);
    const expected = [
      "Signed out",
      "Devices signed out",
      "Password entered again",
      "Signed in",
      "Form of another site refused",
    ];
    for (const [index, what] of expected.entries()) assert.ok(lines[index]?.startsWith(what), lines[index]);
    assert.ok(lines[0]?.includes(email));
    assert.ok(lines[4]?.endsWith("https://evil.example"));
  });

  it("is kept when the site starts again, with the support's account", async (t) => {
    const folder = temporaryFolder(t);
    const first = await startSite(t, folder);
    await signInAsSupport(first);
    await first.end("SIGTERM");
    const second = await startSite(t, folder);
    const { text } = await (await signInAsSupport(second)).get("/support");
    assert.equal(log(text).length, 2);
  });
});
