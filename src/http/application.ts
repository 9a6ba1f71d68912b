import { systemClock } from "../contract/clock.ts";
import type { SessionStore } from "../contract/store.ts";
import { KeyRing } from "../crypto/key-ring.ts";
import { TokenSource } from "../crypto/token.ts";
import { type ClientSideStore, SealedManager } from "../sealed/manager.ts";
import { Events } from "../session/events.ts";
import type { SessionKeeper } from "../session/keeper.ts";
import { SessionManager } from "../session/manager.ts";
import { parseDuration, timeouts } from "../session/timeouts.ts";
import { MemoryStore } from "../stores/memory.ts";
import { encrypted } from "../wrap/encrypted.ts";
import { fromExpressStore, isExpressStore } from "../wrap/from-express-store.ts";
import type { ExchangeEnvironment } from "./exchange.ts";
import { acceptOf } from "./legacy.ts";
import { refuseUnknown, type SessionOptions } from "./options.ts";
import { ProxyTrust } from "./secure.ts";
import { cookie, Transports } from "./transports.ts";
import { UrlTokens } from "./url-tokens.ts";

/** What users call of a manager, whichever it is. */
type ManagerMembers = Pick<
  SessionManager,
  "list" | "revoke" | "revokeAll" | "get" | "count" | "prune" | "close" | "capabilities"
>;

/** The parts that all requests of one application share. */
export interface Application {
  readonly manager: SessionKeeper & ManagerMembers;
  readonly transports: Transports;
  readonly events: Events;
  readonly env: ExchangeEnvironment;
  /** Links that sign in, if there are any. */
  readonly urlTokens: UrlTokens | undefined;
}

/** 64 KiB of data, and room for names and lengths. */
const MAX_BYTES = 65_536 + 512;

/** Checks the options and puts the parts together. @throws TypeError naming the option and the remedy */
export function openApplication(options: SessionOptions): Application {
  refuseUnknown(options);
  const {
    clock = systemClock,
    store: given = new MemoryStore({ clock }),
    onStoreError = "error",
    maxBytes = MAX_BYTES,
  } = options;
  const store = isExpressStore(given) ? fromExpressStore(given, clock) : given;
  const sealing = isClientSide(store) ? store.sealing() : undefined;
  if (isClientSide(store)) {
    if (options.encrypt === true) throw new TypeError("encrypt: a SealedStore encrypts all by itself; remove encrypt");
  } else if (
    typeof store?.load !== "function" ||
    typeof store.create !== "function" ||
    typeof store.update !== "function"
  ) {
    throw new TypeError("store must have load, create, update, touch, delete and close: see SessionStore");
  }
  if (onStoreError !== "error" && onStoreError !== "anonymous") {
    throw new TypeError('onStoreError must be "error" or "anonymous"');
  }
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError("maxBytes must be a positive number of bytes");
  if ("secret" in options && options.secret === undefined) {
    throw new TypeError(
      "secret is undefined: set the environment variable that it is read from, or leave secret out for tokens without a MAC",
    );
  }
  const secret = sealing?.secret ?? options.secret;
  const ring =
    secret === undefined
      ? undefined
      : new KeyRing(secret, { production: process.env["NODE_ENV"] === "production", warn });
  if (options.encrypt !== undefined && typeof options.encrypt !== "boolean") {
    throw new TypeError("encrypt must be true or false");
  }
  const trust = new ProxyTrust(options.trustProxy);
  const transports = new Transports(options.transport ?? cookie(), {
    cookie: options.cookie,
    name: options.name,
    trust,
    ring,
    chunks: sealing?.chunks ?? 1,
  });
  const events = new Events();
  warnOfUnsentCookies(events, trust);
  const common = {
    clock,
    events,
    maxBytes,
    limits: timeouts(options),
    deadlines: {
      readMs: parseDuration(options.storeTimeout?.read ?? "1s", "storeTimeout.read"),
      commitMs: parseDuration(options.storeTimeout?.commit ?? "2s", "storeTimeout.commit"),
    },
    tokens: new TokenSource(),
  };
  const manager: SessionKeeper & ManagerMembers = isClientSide(store)
    ? new SealedManager({
        ...common,
        ring: keysToSeal(ring, "a SealedStore"),
        revocations: sealing?.revocations,
        overflow: sealing?.overflow,
      })
    : new SessionManager({
        ...common,
        ring,
        store: options.encrypt === true ? encrypted(store, keysToSeal(ring, "encrypt")) : store,
      });
  const { onError } = options;
  if (onError !== undefined && typeof onError !== "function") {
    throw new TypeError("onError must be a function of the error, the request and the response");
  }
  const env = { manager, store: given, onStoreError, onError, accept: acceptOf(options.accept ?? []) };
  const { link } = transports;
  const urlTokens = link === undefined ? undefined : new UrlTokens(link, keysToSeal(ring, "query()"), manager);
  return { manager, transports, events, env, urlTokens };
}

function isClientSide(store: SessionStore | ClientSideStore): store is ClientSideStore {
  return typeof store === "object" && store !== null && "sealing" in store && typeof store.sealing === "function";
}

function keysToSeal(ring: KeyRing | undefined, what: string): KeyRing {
  if (ring !== undefined) return ring;
  throw new TypeError(`${what} needs a key: set secret to at least 32 random bytes, or to several such`);
}

function warn(message: string): void {
  process.emitWarning(message, { code: "SOJOURN" });
}

/** Loud, but once: a cookie that can't arrive is the commonest reason why "the session doesn't work". */
function warnOfUnsentCookies(events: Events, trust: ProxyTrust): void {
  const messages = {
    insecure: () =>
      `the session cookie is Secure, but this request did not come over HTTPS as far as the application can tell, so the cookie can't be sent and the session was not stored. ${trust.remedy}`,
    "headers-sent": () =>
      "a session was begun where no response could bring its cookie any more, or none ever, so it was not stored. Change the session before the response starts; for a WebSocket, before its handshake",
  };
  const told = new Set<string>();
  events.on("cookie-not-sent", ({ reason }) => {
    if (told.has(reason)) return;
    told.add(reason);
    warn(messages[reason]());
  });
}
