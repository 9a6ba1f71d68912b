import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const isMissing = !existsSync(CHROMIUM);
if (isMissing && process.env.CI === "true") throw new Error(`${CHROMIUM} is missing: CI runs the browser tests`);

/** Why the tests of a browser are skipped; `false` where there is one. */
export const noBrowser: string | false = isMissing && `no browser at ${CHROMIUM} (set CHROMIUM)`;

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A browser with a new profile in this folder that allows third-party cookies: a private window blocks them, as does the default. */
export function launchWithProfile(folder: string, flags: readonly string[]): Promise<BrowserContext> {
  mkdirSync(join(folder, "Default"));
  writeFileSync(join(folder, "Default/Preferences"), JSON.stringify({ profile: { cookie_controls_mode: 0 } }));
  return chromium.launchPersistentContext(folder, { executablePath: CHROMIUM, args: [...FLAGS, ...flags] });
}
