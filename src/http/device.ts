import type { IncomingMessage } from "node:http";
import type { DeviceInfo } from "../session/meta.ts";

/** In order of precedence: the headers of earlier ones also contain the names of later ones. */
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

/** Returns a label by which users recognise a device. It copies no text, so it holds no markup. */
export function deviceLabel(userAgent: string | undefined): string {
  const header = (userAgent ?? "").slice(0, 512);
  const browser = BROWSERS.find(([mark]) => header.includes(mark))?.[1];
  const system = SYSTEMS.find(([mark]) => header.includes(mark))?.[1];
  if (browser !== undefined && system !== undefined) return `${browser} on ${system}`;
  return browser ?? system ?? "Unknown device";
}

/**
 * Returns the label and the address of the device that sent a request. Express's `req.ip` honours
 * its trusted proxies. With `trust proxy: true` it may be any text; unless it is an address, the
 * connection's address counts.
 */
export function deviceOf(req: IncomingMessage & { ip?: unknown }): DeviceInfo {
  const ip = addressOf(req.ip) ?? addressOf(req.socket?.remoteAddress);
  return { label: deviceLabel(req.headers?.["user-agent"]), ...(ip !== undefined && { ip }) };
}

/** The longest address with a port: `[0000:…:0000:255.255.255.255]:65535`. */
const LONGEST_ADDRESS = 53;
/** Some proxies append the client's port. */
const WITH_PORT = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/;
const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

/** Returns an address in its usual form, mapped IPv4 as IPv4; `undefined` for other text. */
export function addressOf(text: unknown): string | undefined {
  if (typeof text !== "string" || text.length > LONGEST_ADDRESS) return undefined;
  const [, bracketed, dotted] = WITH_PORT.exec(text) ?? [];
  // A zone names a network interface of this machine.
  const address = (bracketed ?? dotted ?? text).replace(/%.*$/s, "");
  const { isIPv4, isIPv6 } = process.getBuiltinModule("node:net");
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return undefined;
  const { hostname } = new URL(`http://[${address}]`);
  const [, high, low] = MAPPED.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return hostname.slice(1, -1);
  return [high, low]
    .map((hex) => Number.parseInt(hex, 16))
    .flatMap((both) => [both >> 8, both & 255])
    .join(".");
}
