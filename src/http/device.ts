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

/** Describes what a login keeps of the device that it came from. */
export interface DeviceOptions {
  /**
   * The IP address: `"full"` (default); `"network"`, its first 24 bits of IPv4 or 48 of IPv6, such as
   * `192.0.2.0` and `2001:db8:1::`; or `false` for none.
   */
  ip?: "full" | "network" | false | undefined;
  /** Whether to keep a label such as "Firefox on Linux". Default `true`. */
  label?: boolean | undefined;
}

/**
 * Returns a function that describes the device that sent a request.
 * @throws TypeError for an unknown option
 */
export function deviceReader(options: DeviceOptions | false = {}): (req: IncomingMessage) => DeviceInfo {
  const isOptions = typeof options === "object" && options !== null;
  if (options !== false && !isOptions) throw new TypeError("device must be false, or { ip, label }");
  const { ip = "full", label = true } = options === false ? { ip: false, label: false } : options;
  if (ip !== "full" && ip !== "network" && ip !== false) {
    throw new TypeError('device.ip must be "full", "network" or false');
  }
  if (typeof label !== "boolean") throw new TypeError("device.label must be true or false");
  if (ip === "full" && label) return deviceOf;
  return (req) => {
    const device = deviceOf(req);
    const kept: DeviceInfo = {};
    if (label && device.label !== undefined) kept.label = device.label;
    if (ip !== false && device.ip !== undefined) kept.ip = ip === "network" ? networkOf(device.ip) : device.ip;
    return kept;
  };
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

/** Returns the network of an address in its usual form: /24 of IPv4, /48 of IPv6. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address.replace(/\d+$/, "0");
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  // `::` stands for zeros up to the groups after it, of which the first three may have some.
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const all = [
    ...groups,
    ...Array<string>(tail === undefined ? 0 : 8 - groups.length - last.length).fill("0"),
    ...last,
  ];
  const { hostname } = new URL(`http://[${all.slice(0, 3).join(":")}::]`);
  return hostname.slice(1, -1);
}

/** The longest address with a port: `[0000:…:0000:255.255.255.255]:65535`. */
const LONGEST_ADDRESS = 53;
/** How a server that listens for both kinds of addresses sees an IPv4 one. */
const MAPPED_DOTTED = /^::ffff:(?=[\d.]+$)/i;
/** Some proxies append the client's port. */
const WITH_PORT = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/;
const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

/** Returns an address in its usual form, mapped IPv4 as IPv4; `undefined` for other text. */
export function addressOf(text: unknown): string | undefined {
  if (typeof text !== "string" || text.length > LONGEST_ADDRESS) return undefined;
  const [, bracketed, dotted] = WITH_PORT.exec(text) ?? [];
  // A zone names a network interface of this machine.
  const address = (bracketed ?? dotted ?? text).replace(/%.*$/s, "").replace(MAPPED_DOTTED, "");
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
