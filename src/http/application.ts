import { systemClock } from "../contract/time.ts";
import { KeyRing, MANAGED } from "../crypto/key-ring.ts";
import { TokenSource } from "../crypto/token.ts";
import { SealedAdmin } from "../sealed/admin.ts";
import { type SealedOptions, SealedSessions } from "../sealed/backend.ts";
import { type SessionAdmin, StoredAdmin } from "../session/admin.ts";
import type { SessionBackend } from "../session/backend.ts";
import { Events } from "../session/events.ts";
import type { ManagedKeys } from "../session/managed-keys.ts";
import type { StoreAccess } from "../session/store-access.ts";
import { StoredSessions } from "../session/stored.ts";
import { parseDuration, timeouts } from "../session/timeouts.ts";
import { MemoryStore } from "../stores/memory.ts";
import { SealedStore } from "../stores/sealed.ts";
import { encrypted } from "../wrap/encrypted.ts";
import { fromExpressStore, isExpressStore } from "../wrap/from-express-store.ts";
import { deviceReader } from "./device.ts";
import { acceptOf } from "./legacy.ts";
import { refuseUnknown, type SessionOptions } from "./options.ts";
import { formatOf, policyOf } from "./policy.ts";
import type { RequestParts } from "./request-parts.ts";
import { ProxyTrust } from "./secure.ts";
import { cookie, Transports } from "./transports.ts";
import { UrlTokens } from "./url-tokens.ts";
import { warn } from "./warn.ts";

/** The parts that all requests of one application share. */
export interface Application {
  readonly backend: SessionBackend;
  readonly admin: SessionAdmin;
  readonly transports: Transports;
  readonly events: Events;
  readonly parts: RequestParts;
  /** The store of the sessions, which keeps notes as well; `undefined` for sealed sessions. */
  readonly notes: StoreAccess | undefined;
  /** Keys that a store keeps; `undefined` for a secret that never changes. */
  readonly keys: ManagedKeys | undefined;
  /** Sign-in links; `undefined` unless `query()` is a transport. */
  readonly urlTokens: UrlTokens | undefined;
  close(): Promise<void>;
}

/** 64 KiB of data, plus names and lengths. */
const MAX_BYTES = 65_536 + 512;

/** Checks the options and builds the parts. @throws TypeError naming the option and the remedy */
export function openApplication(options: SessionOptions): Application {
  refuseUnknown(options);
  const {
    clock = systemClock,
    store: given = new MemoryStore({ clock }),
    onStoreError = "error",
    maxBytes = MAX_BYTES,
  } = options;
  const store = isExpressStore(given) ? fromExpressStore(given, clock) : given;
  const sealing = store instanceof SealedStore ? store.sealing() : undefined;
  if (store instanceof SealedStore) {
    if (options.encrypt === true) throw new TypeError("encrypt: a SealedStore always encrypts; remove encrypt");
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
      "secret is undefined: set the environment variable that holds it, or omit secret for tokens without a MAC",
    );
  }
  const secret = sealing?.secret ?? options.secret;
  const keys = isManaged(secret) ? secret : undefined;
  const ring =
    secret === undefined
      ? undefined
      : new KeyRing(isManaged(secret) ? MANAGED : secret, {
          production: process.env["NODE_ENV"] === "production",
          warn,
        });
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
    format: formatOf(options, events),
    policy: policyOf(options, store, { clock, events }),
    deviceOf: deviceReader(options.device),
  };
  const { backend, admin, notes } =
    store instanceof SealedStore
      ? openSealed({ ...common, ...store.sealing(), ring: keysToSeal(ring, "a SealedStore") })
      : openStored({
          ...common,
          ring,
          store: options.encrypt === true ? encrypted(store, keysToSeal(ring, "encrypt")) : store,
        });
  const { onError } = options;
  if (onError !== undefined && typeof onError !== "function") {
    throw new TypeError("onError must be a function (error, req, res)");
  }
  const { countsAsUse } = options;
  if (countsAsUse !== undefined && typeof countsAsUse !== "function") {
    throw new TypeError("countsAsUse must be a function (req) that returns true or false");
  }
  const accept = acceptOf(options.accept ?? []);
  const parts = { backend, events, trust, store: given, onStoreError, onError, countsAsUse, accept };
  const { link } = transports;
  const urlTokens = link === undefined ? undefined : new UrlTokens(link, keysToSeal(ring, "query()"), backend);
  const detach = ring === undefined ? undefined : keys?.attach(ring, events, common.limits.absoluteMs);
  const close = (): Promise<void> => {
    detach?.();
    return backend.close();
  };
  return { backend, admin, transports, events, parts, notes, keys, urlTokens, close };
}

/** By a method, not by the class, so that `sojourn` does not load it for those who don't use it. */
function isManaged(secret: unknown): secret is ManagedKeys {
  return typeof secret === "object" && secret !== null && "attach" in secret;
}

function openStored(options: ConstructorParameters<typeof StoredSessions>[0]) {
  const backend = new StoredSessions(options);
  return { backend, admin: new StoredAdmin(backend), notes: backend.access };
}

function openSealed(options: SealedOptions) {
  const backend = new SealedSessions(options);
  return { backend, admin: new SealedAdmin(backend, options.events), notes: undefined };
}

function keysToSeal(ring: KeyRing | undefined, what: string): KeyRing {
  if (ring !== undefined) return ring;
  throw new TypeError(`${what} needs a key: set secret to at least 32 random bytes, or to a list of such secrets`);
}

/** Warns once for each reason: an undeliverable cookie is a common cause of lost sessions. */
function warnOfUnsentCookies(events: Events, trust: ProxyTrust): void {
  const messages = {
    insecure: () =>
      `the session cookie is Secure, but this request does not look like HTTPS, so the cookie can't be sent and the session was not stored. ${trust.remedy}`,
    "headers-sent": () =>
      "a session began when no response could carry its cookie, so it was not stored. Change the session before the response starts; for a WebSocket, before its handshake",
  };
  const warned = new Set<string>();
  events.on("cookie-not-sent", ({ reason }) => {
    if (warned.has(reason)) return;
    warned.add(reason);
    warn(messages[reason]());
  });
}
