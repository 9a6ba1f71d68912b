// What the compiler accepts and refuses, by `import` as it stands, and by `require` as a `.cts` file of the same text.
import { createServer } from "node:http";
import type { RequestHandler } from "express";
import {
  bearer,
  type CookieAttributes,
  type CookieOptions,
  cookie,
  type Duration,
  duration,
  MemoryStore,
  type Session,
  type SessionOptions,
  type Sessions,
  session,
} from "sojourn";
import { SealedStore } from "sojourn/sealed";
import { SqliteStore } from "sojourn/sqlite";

// --- store
session({ store: new MemoryStore() });
session({ store: new SqliteStore("sessions.db") });
session({ store: new SealedStore({ secret: "s" }) });
session({ store: { get() {}, set() {}, destroy() {} } });
session({ store: undefined });
// @ts-expect-error a URL is no store: openStore(url) opens one
session({ store: "redis://x" });
// @ts-expect-error a number is no store
session({ store: 42 });
// @ts-expect-error an object without a store's methods
session({ store: {} });
// @ts-expect-error half a store
session({ store: { load: () => undefined } });
// @ts-expect-error only a SealedStore keeps sessions in cookies
session({ store: { sealing: () => ({}) } });
// @ts-expect-error the overflow of a SealedStore is a store
new SealedStore({ overflow: {} });

// --- Session is a type
export type Visitor = Session;
// @ts-expect-error only the middleware makes sessions
// biome-ignore lint/correctness/noUndeclaredVariables: it is a type, and that is what is tested
new Session();

// --- durations
export const lengths: Duration[] = [
  1_800_000,
  "30m",
  "1.5h",
  "500ms",
  "30 m",
  "2w",
  duration("30 minutes".slice(0, 3)),
];
session({ idleTimeout: "30m", absoluteTimeout: false, touchAfter: 0, storeTimeout: { read: "500ms", commit: "2s" } });
session({ idleTimeout: duration(String(process.env["IDLE_TIMEOUT"])) });
// @ts-expect-error the unit of 30 minutes is "m"
session({ idleTimeout: "30 minutes" });
// @ts-expect-error a number without a unit is no text
session({ absoluteTimeout: "1800000" });
// @ts-expect-error no such unit
session({ touchAfter: "1y" });
// @ts-expect-error no number
session({ storeTimeout: { read: "soon" } });
// @ts-expect-error text that the compiler doesn't know goes through duration()
session({ idleTimeout: String(process.env["IDLE_TIMEOUT"]) });

// --- cookies
session({ name: "__Host-id", cookie: { path: "/", secure: true, sameSite: "strict" } });
session({ name: "__Host-id", cookie: { secure: "auto", domain: undefined } });
session({ name: "__Secure-id", cookie: { domain: "example.com", path: "/app" } });
session({ name: "id", cookie: { domain: "example.com", secure: false } });
session({ name: process.env["NAME"], cookie: { domain: "example.com" } });
session({ name: undefined, cookie: (req) => ({ path: req.url ?? "/", secure: undefined, sameSite: undefined }) });
session({ cookie: { secure: process.env["NODE_ENV"] === "production", sameSite: "lax" } });
session({ cookie: { sameSite: "none" } });
session({ cookie: process.env["EMBEDDED"] ? { sameSite: "none", secure: true } : { secure: false } });
// @ts-expect-error a __Host- cookie has no domain
session({ name: "__Host-id", cookie: { domain: "example.com" } });
// @ts-expect-error nor another path
session({ name: "__Host-id", cookie: { path: "/app" } });
// @ts-expect-error it is Secure
session({ name: "__Host-id", cookie: { secure: false } });
// @ts-expect-error browsers don't tell case
session({ name: "__HOST-id", cookie: { domain: "example.com" } });
// @ts-expect-error what a function returns is checked, too
session({ name: "__Host-id", cookie: () => ({ domain: "example.com" }) });
// @ts-expect-error a __Secure- cookie is Secure
session({ name: "__Secure-id", cookie: { secure: false } });
// @ts-expect-error a __Http- cookie is Secure
session({ name: "__Http-id", cookie: { secure: false } });
// @ts-expect-error and out of reach of scripts
session({ name: "__Http-id", cookie: { httpOnly: false } });
// @ts-expect-error with both prefixes
session({ name: "__Host-Http-id", cookie: { httpOnly: false } });
// @ts-expect-error browsers drop it unless it is Secure
session({ cookie: { sameSite: "none", secure: false } });
// @ts-expect-error browsers drop it unless it is Secure
session({ cookie: { partitioned: true, secure: false } });
// @ts-expect-error a function's, too
session({ cookie: () => ({ sameSite: "none", secure: false }) });
// @ts-expect-error the server ends sessions
session({ cookie: { maxAge: 60_000 } });
// @ts-expect-error an option that is no attribute
export const attribute: CookieAttributes = { samesite: "lax" };
export const none: CookieOptions = { sameSite: "none", secure: "always" };

// --- transports
session({ transport: [cookie(), bearer()] });
// @ts-expect-error a name is no transport
session({ transport: "bearer" });

// --- options
export const options: SessionOptions = { idleTimeout: "30m", name: "id" };
session(options);
// @ts-expect-error no such option
session({ idleTimeOut: "30m" });

session({ maxSessionsPerUser: 3 });
session({ maxSessionsPerUser: { limit: async (userId) => userId.length, exceed: "refuse" } });
// @ts-expect-error no such way
session({ maxSessionsPerUser: { limit: 1, exceed: "newest" } });

// --- session<Data>(), for those who declare nothing
interface Shop {
  cart: string[];
}
export const shop: Sessions<Shop> = session<Shop>({ idleTimeout: "30m" });
export const middleware: RequestHandler = shop;
export const handler: RequestHandler = async (req, res) => {
  const visit = shop.of(req);
  const cart: string[] | undefined = visit.cart;
  const user: string | null = visit.userId;
  visit.cart = [...(cart ?? []), "tea"];
  const length: number = await visit.update((newest) => newest.cart?.push("milk") ?? 0);
  // @ts-expect-error the wrong type
  visit.cart = "tea";
  // @ts-expect-error a property that Shop doesn't have
  visit.undeclared = 1;
  // @ts-expect-error within update(), too
  await visit.update((newest) => newest.undeclared);
  // @ts-expect-error the user's ID changes by login() alone
  visit.userId = "ada";
  await visit.login("ada", { methods: ["pwd", "otp"], notAfter: new Date(), link: "sid", stamp: "1" });
  // @ts-expect-error RFC 8176 calls it "pwd"
  await visit.login("ada", { methods: ["password"] });
  // @ts-expect-error confirm() sets it
  visit.authenticatedAt = new Date();
  const methods: readonly string[] = visit.authenticationMethods;
  await shop.revokeAll({ link: methods.join() }, { except: visit });
  const snapshot = await shop.get(visit.id);
  const stored: string[] | undefined = snapshot?.data.cart;
  const other: unknown = snapshot?.data["other"];
  const socket = await shop.authenticateUpgrade(req);
  socket?.data.cart?.push("milk");
  // @ts-expect-error the wrong type
  const wrong: number | undefined = snapshot?.data.cart;
  res.json({ user, length, stored, other, wrong, addTo: addTo(visit) });
};
function addTo(visit: Session<Shop>): number {
  return visit.cart?.push("milk") ?? 0;
}
createServer((req, res) => shop(req, res, () => res.end(String(shop.of(req).cart))));
session<{ views: number }>();
session<Record<string, unknown>>();
// @ts-expect-error a session has a member of this name
session<{ userId: number }>();
// @ts-expect-error data is an object
session<string>();
