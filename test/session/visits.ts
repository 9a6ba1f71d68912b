import type { SessionStore } from "../../src/contract/store.ts";
import { hashSecret, TokenSource } from "../../src/crypto/token.ts";
import { Events, type SessionEvent, type SessionEvents } from "../../src/session/events.ts";
import { SessionManager } from "../../src/session/manager.ts";
import type { LiveSession } from "../../src/session/session.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import type { Client, Visit } from "../../src/session/visit.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

/** What a browser holds: the two parts of its token. */
export interface Held {
  handle: string;
  secret: string;
}

type Told = { [E in SessionEvent]: { event: E } & SessionEvents[E] }[SessionEvent];

const EVENTS: SessionEvent[] = [
  "create", "login", "regenerate", "destroy", "revoke", "conflict", "overwritten", "gone", "damaged-record", "duplicate-cookie", "cookie-not-sent", "store-error",
]; // biome-ignore format: a list of names

/** The engine without HTTP: a manager, its clock and store, and everything that its events told. */
export function engine({
  clock = new ManualClock(),
  store = new MemoryStore({ clock, acceptLossOnRestart: true }),
  limits = {},
  maxBytes = 66_048,
  tokens = new TokenSource(),
}: {
  clock?: ManualClock;
  store?: SessionStore;
  limits?: Parameters<typeof timeouts>[0];
  maxBytes?: number;
  tokens?: TokenSource;
} = {}) {
  const events = new Events();
  const told: Told[] = [];
  for (const event of EVENTS) events.on(event, (detail) => told.push(Object.assign({ event }, detail) as Told));
  const manager = new SessionManager({
    store,
    clock,
    events,
    tokens,
    maxBytes,
    limits: timeouts(limits),
    deadlines: { readMs: 1_000, commitMs: 2_000 },
  });

  /** One request: opens what the browser holds, and knows what the answer would tell it. */
  async function request(held?: Held, client: Partial<Client> = {}): Promise<TestVisit> {
    const opened =
      held === undefined
        ? undefined
        : await manager.open({ ...held, secretHash: hashSecret(held.secret), outdated: false, quietUntil: 0 });
    const visit = manager.visit({ delivery: () => "possible", device: () => ({ label: "Test" }), ...client }, opened);
    return new TestVisit(visit, held, opened !== undefined);
  }

  return { clock, store, manager, events, told, request };
}

/** A request under way, and at its end what its browser holds then. */
export class TestVisit {
  readonly visit: Visit;
  readonly wasOpened: boolean;
  readonly #held: Held | undefined;

  constructor(visit: Visit, held: Held | undefined, wasOpened: boolean) {
    this.visit = visit;
    this.wasOpened = wasOpened;
    this.#held = held;
  }

  get session(): LiveSession {
    return this.visit.session;
  }

  /** The commit at the end of the request. */
  async end(): Promise<Held | undefined> {
    await this.visit.commit();
    return this.held();
  }

  /** What the browser holds if the answer leaves now. */
  held(): Held | undefined {
    const { token, session, secret } = this.visit;
    if (token === "clear") return undefined;
    return token === "send" ? { handle: session.id, secret } : this.#held;
  }
}
