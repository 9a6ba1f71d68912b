import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { BrowserContextOptions, Page } from "playwright-core";
import { supportPassword } from "../examples/people.ts";
import { type LoginSite, SharedCleanup, startSite, temporaryFolder } from "../examples/site.ts";
import { noBrowser } from "./chromium.ts";
import { Devices, h1, inCart, PASSWORD, press, register, sessionCookie, signIn, text } from "./devices.ts";

const PAGE_PROBLEMS = readFileSync(join(import.meta.dirname, "page-problems.js"), "utf8");

describe("the site in a browser", {
  skip: noBrowser,
  timeout: 240_000,
}, () => {
  const shared = new SharedCleanup();
  let devices: Devices;
  let dataDir: string;
  let site: LoginSite;

  before(async () => {
    dataDir = temporaryFolder(shared);
    site = await startSite(shared, dataDir);
    devices = await Devices.open();
  });
  after(async () => {
    await devices?.close();
    await shared.run();
  });

  const newDevice = (options: BrowserContextOptions = {}) => devices.add(site, options);
  const views = async (page: Page) => Number(await text(page, ".stamp strong"));

  for (const javaScriptEnabled of [true, false]) {
    it(`keeps the cart at login, and signs out a device, ${javaScriptEnabled ? "with" : "without"} JavaScript`, async () => {
      const email = javaScriptEnabled ? "with@example.com" : "without@example.com";
      const laptop = await newDevice({ javaScriptEnabled });
      await register(laptop.page, email);
      assert.equal(await h1(laptop.page), "Your account");
      await laptop.page.goto("/");
      await press(laptop.page, "Add to cart Storm lantern");
      await laptop.page.getByText("Storm lantern is in your cart.").waitFor();
      assert.equal(await inCart(laptop.page), 1);
      await press(laptop.page, "Sign out");
      await laptop.page.getByText("You are signed out.").waitFor();
      assert.equal(await inCart(laptop.page), 0, "the session ended, and its cart with it");

      // A stranger's cart and counter become the user's.
      await press(laptop.page, "Add to cart Enamel mug");
      await press(laptop.page, "Add to cart Enamel mug");
      const seen = await views(laptop.page);
      await signIn(laptop.page, email);
      assert.equal(await inCart(laptop.page), 2);
      assert.equal(await views(laptop.page), seen + 1);

      const phone = await newDevice({ javaScriptEnabled, viewport: { width: 390, height: 844 } });
      await signIn(phone.page, email);
      await laptop.page.reload();
      assert.equal(await laptop.page.locator(".devices tbody tr").count(), 2);
      assert.equal(await laptop.page.getByText("This device").count(), 1);
      await press(
        laptop.page.locator(".devices tr", { hasNotText: "This device" }).last().page(),
        "Sign out everywhere else",
      );
      await laptop.page.getByText("One other device is signed out.").waitFor();
      await phone.page.goto("/account");
      assert.equal(await h1(phone.page), "Sign in", "the phone was signed out");

      await signIn(phone.page, email);
      await phone.page.goto("/account");
      const other = phone.page.locator(".devices tbody tr", { hasNotText: "This device" });
      await Promise.all([phone.page.waitForEvent("load"), other.getByRole("button").click()]);
      await phone.page.getByText("That device is signed out.").waitFor();
      await laptop.page.goto("/account");
      assert.equal(await h1(laptop.page), "Sign in", "the laptop was signed out");
      await phone.context.close();
      await laptop.context.close();
    });
  }

  it("keeps a remembered session's cookie, and gives any other one back when the browser closes", async () => {
    const email = "remember@example.com";
    const first = await newDevice();
    await register(first.page, email);
    assert.equal((await sessionCookie(first.context)).expires, -1, "a browser-session cookie");
    await press(first.page, /^Sign out$/);
    await first.page.goto("/login");
    await first.page.getByLabel("E-mail").fill(email);
    await first.page.getByLabel("Password").fill(PASSWORD);
    await first.page.getByLabel("Remember me").check();
    await press(first.page, "Sign in");
    const cookie = await sessionCookie(first.context);
    const days = (cookie.expires - Date.now() / 1000) / 86_400;
    assert.ok(days > 29.9 && days < 30.1, `a cookie for ${days} days`);
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, "Lax");
    await first.context.close();
  });

  it("is killed with -9 and started again, and everyone is still signed in", async () => {
    const { context, page } = await newDevice();
    await register(page, "survivor@example.com");
    await page.goto("/");
    await press(page, "Add to cart Two-person tent");
    await page.goto("about:blank"); // so that the browser asks the dead server for nothing, its icon included
    const port = new URL(site.url).port;
    assert.equal((await site.end("SIGKILL")).signal, "SIGKILL");
    site = await startSite(shared, dataDir, { PORT: port });
    await page.goto("/account");
    assert.equal(await h1(page), "Your account");
    await page.getByText("survivor@example.com").waitFor();
    assert.equal(await inCart(page), 1);
    await context.close();
  });

  it("can be used with the keyboard alone", async () => {
    const { context, page } = await newDevice();
    await page.goto("/login");
    await page.keyboard.press("Tab");
    assert.equal(await text(page, ":focus"), "Skip to the content");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.equal(await page.locator(":focus").getAttribute("name"), "email");
    const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    assert.equal(outline, "solid", "focus is visible");
    await page.keyboard.type("nobody@example.com");
    await page.keyboard.press("Tab");
    await page.keyboard.type("not a password");
    await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
    assert.equal(
      await page.locator(":focus").getAttribute("id"),
      "email",
      "the error form has the focus where to go on",
    );
    assert.equal(await page.getByRole("alert").count(), 1);
    await context.close();
  });

  it("has nothing wrong on any page, light and dark, wide and narrow", async (t) => {
    const pictures = mkdtempSync(join(tmpdir(), "sojourn-pages-"));
    t.diagnostic(`screenshots: ${pictures}`);
    const { context, page } = await newDevice();
    const problems: string[] = [];
    const look = async (name: string, at = page) => {
      for (const colorScheme of ["light", "dark"] as const) {
        for (const width of [1280, 390]) {
          await at.emulateMedia({ colorScheme });
          await at.setViewportSize({ width, height: width > 500 ? 900 : 844 });
          const variant = `${name}-${width}-${colorScheme}`;
          await at.screenshot({ path: join(pictures, `${variant}.png`), fullPage: true });
          const found: unknown = await at.evaluate(PAGE_PROBLEMS);
          assert.ok(Array.isArray(found));
          problems.push(...found.map((problem) => `${variant}: ${problem}`));
        }
      }
    };
    await page.goto("/");
    await look("shop-empty");
    await page.goto("/compare");
    await look("compare-empty");
    await page.goto("/");
    await press(page, "Add to cart Storm lantern");
    await press(page, "Add to cart Two-person tent");
    await press(page, "Add to cart Two-person tent");
    await look("shop");
    await page.goto("/compare");
    await look("compare");
    await page.goto("/login");
    await look("login");
    await press(page, "Sign in");
    await look("login-missing");
    await signIn(page, "look@example.com");
    await look("login-wrong");
    await page.goto("/register");
    await look("register");
    await page.getByLabel("E-mail").fill("no address");
    await page.getByLabel("Password").fill("short");
    await press(page, "Create account");
    await look("register-wrong");
    await register(page, "look@example.com");
    await look("account-new");
    const phone = await newDevice({
      userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1",
    });
    await signIn(phone.page, "look@example.com");
    await phone.context.close();
    await page.goto("/account");
    await page.getByText("The code behind this page").click();
    await look("account");
    await page.goto("/account/password");
    await look("password");
    await page.getByLabel("New password").fill("short");
    await press(page, "Change password");
    await look("password-wrong");
    await page.goto("/confirm");
    await look("confirm");
    await press(page, "Confirm");
    await look("confirm-wrong");
    await page.goto("/account/data");
    await look("data");
    await signIn((await newDevice()).page, "look@example.com");
    const fourth = await newDevice();
    await signIn(fourth.page, "look@example.com");
    await look("full", fourth.page);
    await fourth.page.goto(`${site.url.replace("localhost", "127.0.0.1")}/forged`);
    await look("forged", fourth.page);
    await press(fourth.page, "Claim it now");
    await look("refused", fourth.page);
    await signIn(fourth.page, "support@example.com", supportPassword(site));
    await fourth.page.goto("/support");
    await press(fourth.page, "Act as this customer");
    await look("support-missing", fourth.page);
    await fourth.page.getByLabel("e-mail").fill("look@example.com");
    await fourth.page.getByLabel("Reason").fill("Ticket 4711: the total in the cart looks wrong");
    await press(fourth.page, "Act as this customer");
    await look("account-acting", fourth.page);
    await page.goto("/account");
    await look("account-with-support");
    await fourth.page.goto("/account/password");
    await look("refused-acting", fourth.page);
    await press(fourth.page, "Stop acting");
    await look("support", fourth.page);
    await fourth.context.close();
    await context.addCookies([{ name: "demo_cart", value: "%5B%22compass%22%5D", url: site.url }]);
    await page.goto("/compare");
    await look("compare-changed");
    await page.goto("/nothing-here");
    await look("not-found");
    await context.close();
    assert.deepEqual(problems, []);
  });

  it("broke no rule of its policy and logged no error on any page", () => {
    assert.deepEqual(devices.complaints, []);
  });
});
