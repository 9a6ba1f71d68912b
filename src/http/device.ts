import type { IncomingMessage } from "node:http";
import type { DeviceInfo } from "../core/record.ts";

/** Looked for in this order: the later ones' names stand in the earlier ones' headers too. */
const BROWSERS: readonly [string, string][] = [
  ["Edg/", "Edge"],
  ["OPR/", "Opera"],
  ["SamsungBrowser/", "Samsung Internet"],
  ["FxiOS/", "Firefox"],
  ["Firefox/", "Firefox"],
  ["CriOS/", "Chrome"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
  ["curl/", "curl"],
];
const SYSTEMS: readonly [string, string][] = [
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Android", "Android"],
  ["CrOS", "ChromeOS"],
  ["Windows", "Windows"],
  ["Macintosh", "macOS"],
  ["Linux", "Linux"],
];

/** What a user may recognise their device by. Nothing of the header's own text gets into it, so it holds no markup. */
export function deviceLabel(userAgent: string | undefined): string {
  const header = (userAgent ?? "").slice(0, 512);
  const browser = BROWSERS.find(([mark]) => header.includes(mark))?.[1];
  const system = SYSTEMS.find(([mark]) => header.includes(mark))?.[1];
  if (browser !== undefined && system !== undefined) return `${browser} on ${system}`;
  return browser ?? system ?? "Unknown device";
}

/** Label and address of the device that sends a request; Express's `req.ip` honours its trusted proxies. */
export function deviceOf(req: IncomingMessage & { ip?: unknown }): DeviceInfo {
  const ip = typeof req.ip === "string" ? req.ip : req.socket?.remoteAddress;
  return { label: deviceLabel(req.headers["user-agent"]), ...(ip !== undefined && { ip }) };
}
