import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchChromium } from "../test/browser/chromium.ts";
import { SharedCleanup, startSite } from "../test/examples/site.ts";
import { root } from "./package.ts";

/** `npm run screenshot`: takes the picture of the demo's account page that README.md shows. */
const SIZE = { width: 1100, height: 720 };
const OTHERS = [
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
];

const shared = new SharedCleanup();
const folder = mkdtempSync(join(tmpdir(), "sojourn-screenshot-"));
shared.after(() => rmSync(folder, { recursive: true, force: true }));
try {
  const site = await startSite(shared, folder);
  const browser = await launchChromium();
  shared.after(() => browser.close());

  const open = async (userAgent?: string) => {
    const context = await browser.newContext({
      baseURL: site.url,
      viewport: SIZE,
      ...(userAgent !== undefined && { userAgent }),
    });
    return context.newPage();
  };
  const enter = async (path: string, userAgent?: string) => {
    const page = await open(userAgent);
    await page.goto(path);
    await page.getByLabel("E-mail").fill("ada@example.com");
    await page.getByLabel("Password").fill("correct horse battery");
    await page.locator("form button").last().click();
    await page.waitForURL("**/account");
    return page;
  };
  const page = await enter("/register");
  for (const userAgent of OTHERS) await enter("/login", userAgent);
  await page.goto("/account");
  const picture = join(root, "docs/public/account.png");
  await page.screenshot({ path: picture });
  console.log(picture);
} finally {
  await shared.run();
}
