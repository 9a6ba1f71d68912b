import type { SessionStore } from "../../src/contract/store.ts";
import { hashSecret, TokenCodec, TokenSource } from "../../src/crypto/token.ts";
import { StoredAdmin } from "../../src/session/admin.ts";
import type { RequestFacts, SessionContext } from "../../src/session/context.ts";
import { Events, type SessionEvent, type SessionEvents } from "../../src/session/events.ts";
import type { Policy } from "../../src/session/policy.ts";
import { sessionOf } from "../../src/session/session.ts";
import type { Session } from "../../src/session/session-interface.ts";
import { StoredSessions } from "../../src/session/stored.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

/** What a browser holds: the two parts of its token. */
export interface Held {
  handle: string;
  secret: string;
}

type Told = { [E in SessionEvent]: { event: E } & SessionEvents[E] }[SessionEvent];

const EVENTS: SessionEvent[] = [
  "create", "login", "regenerate", "confirm", "impersonate", "impersonation-ended", "destroy", "revoke", "invalidated", "validation-failed", "conflict", "overwritten", "gone", "damaged-record", "migration-failed", "duplicate-cookie", "cookie-not-sent", "store-error",
]; // biome-ignore format: a list of names

/** The engine without HTTP: a backend with its admin, clock and store, and all events. */
export function engine({
  clock = new ManualClock(),
  store = new MemoryStore({ clock, acceptLossOnRestart: true }),
  limits = {},
  maxBytes = 66_048,
  tokens = new TokenSource(),
  isHeld = true,
  policy = {},
}: {
  clock?: ManualClock;
  store?: SessionStore;
  limits?: Parameters<typeof timeouts>[0];
  maxBytes?: number;
  tokens?: TokenSource;
  /** Whether a response waits for the commit. Without one, logins and regenerations are stored at once. */
  isHeld?: boolean;
  policy?: Policy;
} = {}) {
  const events = new Events();
  const told: Told[] = [];
  for (const event of EVENTS) events.on(event, (detail) => told.push(Object.assign({ event }, detail) as Told));
  const backend = new StoredSessions({
    store,
    clock,
    events,
    tokens,
    policy,
    maxBytes,
    limits: timeouts(limits),
    deadlines: { readMs: 1_000, commitMs: 2_000 },
    deviceOf: () => ({ label: "Test" }),
  });
  const admin = new StoredAdmin(backend);
  const scope = { name: "sid", codec: new TokenCodec(undefined, "sid"), room: 4_096 };

  /** One request: opens what the browser holds, and knows what the response would tell it. */
  async function request(held?: Held, facts: Partial<RequestFacts> = {}): Promise<TestRequest> {
    const { transport } = facts;
    const opening =
      held === undefined
        ? undefined
        : await backend.open(
            { ...held, secretHash: hashSecret(held.secret), outdated: false, touchDueAt: 0 },
            { ...scope, transport },
            true,
          );
    const context = backend.context(
      { transport, delivery: "possible", isHeld, isOver: false, countsAsUse: true, request: {}, ...facts },
      opening?.opened,
    );
    return new TestRequest(context, held, opening !== undefined);
  }

  return { clock, store, backend, admin, events, told, request };
}

/** A request in progress, and at its end what its browser holds. */
export class TestRequest {
  readonly context: SessionContext;
  readonly wasOpened: boolean;
  readonly #held: Held | undefined;

  constructor(context: SessionContext, held: Held | undefined, wasOpened: boolean) {
    this.context = context;
    this.wasOpened = wasOpened;
    this.#held = held;
  }

  get session(): Session {
    return sessionOf(this.context);
  }

  /** The commit at the end of the request. */
  async end(): Promise<Held | undefined> {
    await this.context.commit();
    return this.held();
  }

  /** What the browser holds if the response leaves now. */
  held(): Held | undefined {
    const { cookie, state } = this.context;
    if (cookie === "clear") return undefined;
    return cookie === "set" ? { handle: state.handle, secret: state.secret } : this.#held;
  }
}
