import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { supportPassword } from "../examples/people.ts";
import { type LoginSite, SharedCleanup, startSite, temporaryFolder } from "../examples/site.ts";
import { noBrowser } from "./chromium.ts";
import { Devices, h1, inCart, PASSWORD, press, register, says, sessionCookie, signIn, text } from "./devices.ts";

const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1";
const A_MINUTE = 60_000; // how long a password is fresh

describe("an account in a browser without JavaScript", { skip: noBrowser, timeout: 240_000 }, () => {
  const shared = new SharedCleanup();
  let devices: Devices;
  let site: LoginSite;

  before(async () => {
    site = await startSite(shared, temporaryFolder(shared));
    devices = await Devices.open();
  });
  after(async () => {
    await devices?.close();
    await shared.run();
  });

  const newDevice = (userAgent?: string) =>
    devices.add(site, { javaScriptEnabled: false, ...(userAgent !== undefined && { userAgent }) });

  async function isSignedIn(page: Page): Promise<boolean> {
    await page.goto("/account");
    return (await h1(page)) === "Your account";
  }

  it("is on three devices at most: a fourth chooses which one to end", async () => {
    const email = "four@example.com";
    const [first, phone, third, fourth] = [
      await newDevice(),
      await newDevice(PHONE),
      await newDevice(),
      await newDevice(),
    ];
    await register(first.page, email);
    await signIn(phone.page, email);
    await signIn(third.page, email);
    await fourth.page.goto("/");
    await press(fourth.page, "Add to cart Storm lantern");
    await signIn(fourth.page, email);
    assert.equal(await h1(fourth.page), "One device too many");
    assert.equal(await fourth.page.locator(".devices tbody tr").count(), 3);
    await press(fourth.page, /Sign this one out.*Safari on iPhone/);
    await says(fourth.page, "You are signed in.");
    assert.equal(await inCart(fourth.page), 1);
    assert.equal(await isSignedIn(phone.page), false);
    for (const { page } of [first, third, fourth]) assert.equal(await isSignedIn(page), true);
  });

  it("asks for the password again, and leads back to where it was needed", async () => {
    const email = "fresh@example.com";
    const [laptop, phone] = [await newDevice(), await newDevice(PHONE)];
    await register(laptop.page, email);
    await signIn(phone.page, email);
    await site.later(A_MINUTE + 1);

    await laptop.page.goto("/account");
    await laptop.page.getByRole("link", { name: "Change password" }).click();
    await laptop.page.waitForURL("**/confirm?returnTo=*");
    await laptop.page.getByLabel("Password").fill("wrong password");
    await press(laptop.page, "Confirm");
    await says(laptop.page, "This is not your password.");
    await laptop.page.getByLabel("Password").fill(PASSWORD);
    await press(laptop.page, "Confirm");
    assert.equal(await h1(laptop.page), "Change your password");
    await laptop.page.getByLabel("New password").fill("another few good words");
    await press(laptop.page, "Change password");
    await says(laptop.page, "Your password is changed.");
    assert.equal(await isSignedIn(phone.page), false);

    await signIn(phone.page, email, "another few good words");
    await site.later(A_MINUTE + 1);
    await laptop.page.goto("/account");
    await press(laptop.page, "Sign out everywhere else");
    assert.equal(await h1(laptop.page), "Is it still you?");
    await laptop.page.getByLabel("Password").fill("another few good words");
    await press(laptop.page, "Confirm");
    assert.equal(await h1(laptop.page), "Your account");
    await press(laptop.page, "Sign out everywhere else");
    await says(laptop.page, "One other device is signed out.");
    assert.equal(await isSignedIn(phone.page), false);
  });

  it("is safe from the form of another site", async () => {
    const { page } = await newDevice();
    await register(page, "forged@example.com");
    await page.goto("/compare");
    await page.getByRole("link", { name: "Open a page of another site" }).click();
    await page.waitForURL("http://127.0.0.1:*/forged");
    await press(page, "Claim it now");
    assert.equal(new URL(page.url()).origin, site.url);
    assert.equal(await h1(page), "That came from another site");
    await page.getByRole("link", { name: "Back to the shop" }).click();
    assert.equal(await inCart(page), 0);
    assert.equal(await isSignedIn(page), true);
  });

  it("is seen by support, who acts as the customer, and the customer sees that", async () => {
    const email = "customer@example.com";
    const [customer, support] = [await newDevice(PHONE), await newDevice()];
    await register(customer.page, email);
    await signIn(support.page, "support@example.com", supportPassword(site));
    await support.page.getByRole("link", { name: "Support" }).click();
    await support.page.getByLabel("Customer’s e-mail").fill(email);
    await support.page.getByLabel("Reason").fill("Ticket 4711");
    await press(support.page, "Act as this customer");
    for (const path of ["/account", "/", "/compare", "/nothing-here"]) {
      await support.page.goto(path);
      const banner = await text(support.page, ".acting p");
      assert.equal(banner, `support@example.com is acting as ${email} because: Ticket 4711`);
    }
    await customer.page.goto("/account");
    const row = customer.page.locator(".devices tbody tr", { hasText: "Support" });
    assert.match((await row.textContent()) ?? "", /Chrome on Linux\s+Support\s+Ticket 4711/);
    await press(support.page, "Stop acting");
    await says(support.page, "You are back in your own account.");
    assert.equal(await support.page.locator(".acting").count(), 0);
    const [stopped, began] = await support.page.locator(".audit tbody tr").allTextContents();
    assert.match(began ?? "", /Support began to act.*customer@example\.com\s+support@example\.com: Ticket 4711/s);
    assert.match(stopped ?? "", /Support stopped acting/);
    await customer.page.reload();
    assert.equal(await row.count(), 0);
  });

  it("shows what sessions hold, lets it be downloaded, and erases it", async () => {
    const email = "data@example.com";
    const [laptop, phone] = [await newDevice(), await newDevice(PHONE)];
    await register(laptop.page, email);
    await signIn(phone.page, email);
    await laptop.page.goto("/");
    await press(laptop.page, "Add to cart Two-person tent");
    await laptop.page.goto("/account");
    await laptop.page.getByRole("link", { name: "See my data" }).click();
    assert.equal(await h1(laptop.page), "Your data");
    const download = laptop.page.waitForEvent("download");
    await laptop.page.getByRole("link", { name: "Download" }).click();
    const file = readFileSync(await (await download).path(), "utf8");
    assert.match(file, /"Safari on iPhone".*"tent"|"tent".*"Safari on iPhone"/s);
    const [, secret = ""] = (await sessionCookie(laptop.context)).value.split(".");
    assert.ok(secret && !file.includes(secret), "nothing in it opens a session");
    await press(laptop.page, "Erase my sessions");
    await says(laptop.page, "Your sessions are erased, on all devices.");
    assert.equal(await inCart(laptop.page), 0);
    for (const { page } of [laptop, phone]) assert.equal(await isSignedIn(page), false);
    await signIn(laptop.page, email);
    assert.equal(await isSignedIn(laptop.page), true);
  });

  it("broke no rule of its pages' policy and logged no error", () => {
    assert.deepEqual(devices.complaints, []);
  });
});
