import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { cartSize, handlesIn, isSignedIn, newUser, PASSWORD, signIn } from "./people.ts";
import { type LoginSite, type Page, SharedCleanup, startSite, temporaryFolder, Visitor } from "./site.ts";

const NEW_PASSWORD = "another few good words";
const A_MINUTE = 60_000; // how long a password is fresh
let site: LoginSite;
const shared = new SharedCleanup();
after(() => shared.run());
before(async () => {
  site = await startSite(shared, temporaryFolder(shared));
});

/** A user on as many devices as are allowed, and one more that was refused. */
async function fourDevices() {
  const { visitor, email } = await newUser(site);
  const devices = [visitor, await signIn(site, email), await signIn(site, email)] as const;
  const fourth = new Visitor(site);
  await fourth.submit("/cart", { item: "mug" });
  const page = await fourth.post("/login", { email, password: PASSWORD, remember: "yes" });
  return { email, devices, fourth, page };
}

const offered = (page: Page) =>
  [...page.text.matchAll(/name="handle" value="([\w-]{22})"/g)].map(([, handle]) => handle);
const handleOf = (visitor: Visitor) => visitor.jar.get("sid")?.split(".")[0] ?? "";

describe("a fourth device", () => {
  it("is offered the other three to end, and is signed in once one of them is", async () => {
    const { email, devices, fourth, page } = await fourDevices();
    const [first, second, third] = devices;
    assert.equal(page.status, 409);
    assert.match(page.text, /<h1>One device too many<\/h1>/);
    assert.deepEqual(offered(page).sort(), devices.map(handleOf).sort());
    assert.equal(await isSignedIn(fourth), false);

    const { location, cookies } = await fourth.post("/login/make-room", { handle: handleOf(second) });
    assert.equal(location, "/account");
    assert.match(cookies.find((line) => line.startsWith("sid=")) ?? "", /Max-Age=25\d{5}/i, "remembered, as asked for");
    const { text } = await fourth.get("/account");
    assert.match(text, /You are signed in\./);
    assert.equal(cartSize(text), 1, "the cart came along");
    assert.deepEqual(await Promise.all([first, second, third].map(isSignedIn)), [true, false, true]);
    const again = await third.post("/login", { email, password: PASSWORD });
    assert.equal(again.location, "/account", "a device that is signed in already needs no fourth place");
  });

  it("gets nowhere with a wrong password, another user's device, a planted token, or too late", async () => {
    const { email, devices, fourth } = await fourDevices();
    const [first] = devices;
    const wrong = await new Visitor(site).post("/login", { email, password: "wrong password" });
    assert.equal(wrong.status, 401);
    assert.doesNotMatch(wrong.text, /127\.0\.0\.1|make-room/);

    const bystander = await newUser(site);
    const page = await fourth.post("/login/make-room", { handle: handleOf(bystander.visitor) });
    assert.equal(page.status, 409, "it is asked again");
    assert.equal(offered(page).length, 3);
    assert.equal(await isSignedIn(bystander.visitor), true);

    const victim = new Visitor(site);
    await victim.submit("/cart", { item: "mug" });
    const planted = new Visitor(site, victim.jar);
    assert.equal((await victim.post("/login", { email, password: PASSWORD })).status, 409);
    for (const visitor of [planted, new Visitor(site), fourth, victim]) {
      if (visitor === fourth) await site.later(5 * A_MINUTE + 1);
      const { location } = await visitor.post("/login/make-room", { handle: handleOf(first) });
      assert.equal(location, "/login");
    }
    assert.match((await fourth.get("/login")).text, /That took too long/);
    for (const visitor of [planted, victim, fourth]) assert.equal(await isSignedIn(visitor), false);
    assert.deepEqual(await Promise.all(devices.map(isSignedIn)), [true, true, true]);
  });
});

describe("a password that was entered a while ago", () => {
  it("is asked for before it is changed, and the way leads back", async () => {
    const { visitor, email } = await newUser(site);
    assert.equal((await visitor.get("/account/password")).status, 200, "just now");
    await site.later(A_MINUTE + 1);
    const { status, location } = await visitor.get("/account/password");
    assert.equal(status, 303);
    assert.equal(location, "/confirm?returnTo=%2Faccount%2Fpassword");

    const form = await visitor.get(location ?? "");
    assert.ok(form.text.includes(`value="${email}"`), "for password managers");
    const wrong = await visitor.post(location ?? "", { password: NEW_PASSWORD });
    assert.equal(wrong.status, 401);
    assert.match(wrong.text, /This is not your password/);
    assert.equal((await visitor.get("/account/password")).status, 303, "a wrong one changes nothing");

    const before = visitor.jar.get("sid");
    const confirmed = await visitor.post(location ?? "", { password: PASSWORD });
    assert.equal(confirmed.location, "/account/password");
    assert.notEqual(visitor.jar.get("sid"), before, "a new token");
    assert.equal((await visitor.get("/account/password")).status, 200);
  });

  it("is asked for before other devices are signed out, and none is meanwhile", async () => {
    const { visitor, email } = await newUser(site);
    const other = await signIn(site, email);
    await site.later(A_MINUTE + 1);
    for (const path of ["/devices/revoke-others", `/devices/${handleOf(other)}/revoke`]) {
      assert.equal((await visitor.post(path)).location, "/confirm?returnTo=/account");
    }
    assert.equal(await isSignedIn(other), true);
    const { text } = await visitor.submit("/confirm?returnTo=/account", { password: PASSWORD });
    assert.match(text, /Now you can go on/);
    assert.deepEqual(handlesIn(text), [handleOf(other)]);
    assert.match((await visitor.submit("/devices/revoke-others")).text, /One other device is signed out/);
    assert.equal(await isSignedIn(other), false);
    assert.equal((await visitor.post("/logout")).location, "/", "a plain logout never asks");
  });

  it("leads to no other site", async () => {
    const { visitor } = await newUser(site);
    for (const path of ["//evil.example", "https://evil.example", "/\\evil.example"]) {
      const query = new URLSearchParams({ returnTo: path });
      assert.equal((await visitor.post(`/confirm?${query}`, { password: PASSWORD })).location, "/", path);
    }
  });
});

describe("a new password", () => {
  it("takes the place of the old one, and signs all other devices out", async () => {
    const { visitor, email } = await newUser(site);
    const other = await signIn(site, email);
    const short = await visitor.post("/account/password", { password: "7 chars" });
    assert.equal(short.status, 422);
    assert.match(short.text, /id="password-error"/);
    assert.equal(await isSignedIn(other), true);

    const { text } = await visitor.submit("/account/password", { password: NEW_PASSWORD });
    assert.match(text, /Your password is changed/);
    assert.equal(await isSignedIn(other), false);
    const login = (password: string) => new Visitor(site).post("/login", { email, password });
    assert.equal((await login(PASSWORD)).status, 401);
    assert.equal((await login(NEW_PASSWORD)).location, "/account");
  });

  it("may be thought over for a quarter of an hour, and no longer", async () => {
    const { visitor } = await newUser(site);
    await site.later(14 * A_MINUTE);
    assert.equal((await visitor.post("/account/password", { password: NEW_PASSWORD })).status, 303);
    await site.later(A_MINUTE + 1);
    assert.equal((await visitor.post("/account/password", { password: NEW_PASSWORD })).status, 401);
  });
});

describe("what sessions hold about a user", () => {
  it("is shown and downloaded, and has no token, password or other user in it", async () => {
    const { visitor, email } = await newUser(site);
    await visitor.submit("/cart", { item: "tent" });
    await signIn(site, email);
    await newUser(site);
    const page = await visitor.get("/account/data");
    assert.match(page.text, /&#34;tent&#34;/);
    const { text, headers } = await visitor.get("/account/data/sessions.json");
    assert.match(headers.get("content-disposition") ?? "", /^attachment; filename=sessions\.json$/);
    assert.match(headers.get("content-type") ?? "", /^application\/json/);
    assert.match(headers.get("cache-control") ?? "", /no-store/);
    const exported: unknown = JSON.parse(text);
    assert.ok(Array.isArray(exported) && exported.length === 2);
    assert.ok(exported.every(({ userId }) => userId === exported[0].userId));
    assert.deepEqual(exported.find(({ handle }) => handle === handleOf(visitor)).data.cart, ["tent"]);
    const [, secret = "", mac = ""] = visitor.jar.get("sid")?.split(".") ?? [];
    for (const part of [secret, mac, "scrypt"]) assert.ok(part && !text.includes(part));
  });

  it("is kept from someone who finds the browser open a while later", async () => {
    const { visitor } = await newUser(site);
    await site.later(A_MINUTE + 1);
    assert.equal((await visitor.get("/account/data")).location, "/confirm?returnTo=%2Faccount%2Fdata");
    await site.later(14 * A_MINUTE);
    const { location } = await visitor.get("/account/data/sessions.json");
    assert.equal(location, "/confirm?returnTo=%2Faccount%2Fdata%2Fsessions.json");
    assert.equal((await visitor.post("/account/data/erase")).status, 401);
    assert.equal(await isSignedIn(visitor), true);
  });

  it("is erased on all devices, with the cart, and the account stays", async () => {
    const { visitor, email } = await newUser(site);
    await visitor.submit("/cart", { item: "tent" });
    const other = await signIn(site, email);
    const bystander = await newUser(site);
    const copy = new Visitor(site, visitor.jar);
    const { text } = await visitor.submit("/account/data/erase");
    assert.match(text, /Your sessions are erased/);
    assert.equal(cartSize(text), 0);
    assert.deepEqual(await Promise.all([visitor, copy, other].map(isSignedIn)), [false, false, false]);
    assert.equal(await isSignedIn(bystander.visitor), true);
    const again = await signIn(site, email);
    const exported: unknown = JSON.parse((await again.get("/account/data/sessions.json")).text);
    assert.ok(Array.isArray(exported) && exported.length === 1);
  });
});

describe("a page of another site", () => {
  it("is here by the machine's other name, and its form goes to the shop", async () => {
    const { host } = new URL(site.url);
    const neighbour = host.replace("localhost", "127.0.0.1");
    assert.ok((await new Visitor(site).get("/compare")).text.includes(`href="http://${neighbour}/forged"`));
    const page = await new Visitor(site).get("/forged", { host: neighbour });
    assert.ok(page.text.includes(`action="http://${host}/cart"`));
    assert.match(page.headers.get("content-security-policy") ?? "", new RegExp(`form-action http://${host}(?:;|$)`));
  });

  it("is not there where the shop has a name of its own", async () => {
    const elsewhere = { host: "shop.example.com" };
    assert.equal((await new Visitor(site).get("/forged", elsewhere)).status, 404);
    assert.doesNotMatch((await new Visitor(site).get("/compare", elsewhere)).text, /\/forged/);
  });
});
