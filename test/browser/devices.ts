import assert from "node:assert/strict";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import type { Site } from "../examples/site.ts";
import { launchChromium } from "./chromium.ts";

export const PASSWORD = "correct horse battery";

/** A device: its own cookies, nothing shared with another. */
export interface Device {
  context: BrowserContext;
  page: Page;
}

/** Devices of one real browser. */
export class Devices {
  /** What any page complained about on its console, other than the statuses that a test expects. */
  readonly complaints: string[] = [];
  readonly #browser: Browser;

  static async open(): Promise<Devices> {
    return new Devices(await launchChromium());
  }

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  async add(site: Site, options: BrowserContextOptions = {}): Promise<Device> {
    const context = await this.#browser.newContext({ baseURL: site.url, ...options });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      // Chromium logs each page whose status is 4xx; those are what some steps of the tests are about.
      if (message.location().url === page.url() && /the server responded with a status of 4\d\d/.test(message.text()))
        return;
      this.complaints.push(`${page.url()}: ${message.type()}: ${message.text()}`);
    });
    return { context, page };
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}

export async function press(page: Page, name: string | RegExp): Promise<void> {
  await Promise.all([page.waitForEvent("load"), page.getByRole("button", { name }).first().click()]);
}

async function fillIn(page: Page, path: string, email: string, password: string, button: string): Promise<void> {
  await page.goto(path);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await press(page, button);
}

export const register = (page: Page, email: string) => fillIn(page, "/register", email, PASSWORD, "Create account");
export const signIn = (page: Page, email: string, password = PASSWORD) =>
  fillIn(page, "/login", email, password, "Sign in");

export const text = async (page: Page, selector: string) =>
  (await page.locator(selector).textContent())?.replace(/\s+/g, " ").trim();
export const h1 = (page: Page) => text(page, "h1");
export const inCart = async (page: Page) => Number(await text(page, ".basket span"));

/** Waits until the page says this somewhere, or fails. */
export const says = (page: Page, words: string) => page.getByText(words).first().waitFor();

export async function sessionCookie(context: BrowserContext) {
  const cookie = (await context.cookies()).find(({ name }) => name === "sid");
  assert.ok(cookie, "there is a session cookie");
  return cookie;
}
