import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore, SessionRecord } from "../../src/index.ts";
import { decodePayload } from "../../src/session/content.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { handleOf, type Reply, tokenOf } from "../support/client.ts";
import { type Cleanup, PATIENT, type Site, startSite } from "../support/express-site.ts";
import { assertTruth, type Look, type Outcome } from "./invariants.ts";
import { IDLE_MS, type Operation, POLL, REMEMBERED_MS, routes } from "./operations.ts";
import { SteppedStore } from "./stepped-store.ts";
import { type Run, rest } from "./steps.ts";

/** An application whose requests can be interleaved, used for one run after the other. */
export class Track {
  readonly clock: ManualClock;
  readonly inner: IndexedStore;
  readonly store: SteppedStore;
  /** One, or two that know nothing of each other but the store, as two processes do. */
  readonly #sites: readonly [Site, ...Site[]];

  private constructor(clock: ManualClock, inner: IndexedStore, store: SteppedStore, sites: readonly [Site, ...Site[]]) {
    this.clock = clock;
    this.inner = inner;
    this.store = store;
    this.#sites = sites;
  }

  static async open(
    t: Cleanup,
    makeStore: (clock: Clock) => IndexedStore,
    { processes = 1 }: { processes?: 1 | 2 } = {},
  ): Promise<Track> {
    const clock = new ManualClock();
    const inner = makeStore(clock);
    const store = new SteppedStore(inner);
    // By the idle timeout alone no session ends while a request of it runs.
    const limits = { idleTimeout: IDLE_MS, absoluteTimeout: IDLE_MS + REMEMBERED_MS };
    const countsAsUse = ({ url = "" }: { url?: string | undefined }) => !url.startsWith(POLL);
    const options = { store: store.store, clock, ...limits, storeTimeout: PATIENT, countsAsUse };
    const start = () => startSite(t, options, routes);
    const first = await start();
    return new Track(clock, inner, store, processes === 1 ? [first] : [first, await start()]);
  }

  get site(): Site {
    return this.#sites[0];
  }

  /** What reached the error handlers. */
  get errors(): unknown[] {
    return this.#sites.flatMap(({ errors }) => errors);
  }

  /** The process that serves A, or B, … */
  siteOf(by: string): Site {
    return this.#sites[by === "A" ? 0 : this.#sites.length - 1] ?? this.site;
  }

  forgetErrors(): void {
    for (const { errors } of this.#sites) errors.length = 0;
  }
}

/** Operations that work on one session at the same time: A, B, … */
export class Race {
  readonly #track: Track;
  readonly #operations: readonly Operation[];
  #model: { record: SessionRecord; secret: string } | undefined = undefined;

  constructor(track: Track, operations: readonly Operation[]) {
    this.#track = track;
    this.#operations = operations;
  }

  /** One run, in the order that `run` chooses; afterwards everything has to be as it should. */
  async attempt(run: Run): Promise<void> {
    const { store, inner, clock } = this.#track;
    store.run = undefined;
    await inner.deleteAll({});
    this.#track.forgetErrors();
    const token = await this.#newSession();
    clock.advance(this.#operations.some(({ due }) => due) ? IDLE_MS / 3 : 1_000);
    const began = clock.now();

    const racers = this.#operations.map((operation, position) => ({ operation, by: "ABC".charAt(position) }));
    // Nobody waits for the answer to a touch that came due, except the operation that asks for one.
    const askers = new Set(racers.filter(({ operation }) => operation.name === "touch").map(({ by }) => by));
    run.isAwaited = (by, method) => method !== "touch" || askers.has(by);
    store.run = run;
    const started = racers.map((racer) => ({ ...racer, reply: this.#begin(run, racer, token) }));
    await run.toTheEnd(() => clock.advance(20));
    const outcomes: Outcome[] = [];
    for (const { reply, ...racer } of started) outcomes.push(outcomeOf(run, racer, await reply, handleOf(token)));
    store.run = undefined;

    await this.#check(token, outcomes, began);
  }

  /** Another handle each time: the store remembers which ones were replaced. */
  async #newSession(): Promise<string> {
    this.#model ??= await this.#modelSession();
    const { record, secret } = this.#model;
    const now = this.#track.clock.now();
    const handle = randomBytes(16).toString("base64url");
    await this.#track.inner.create(handle, { ...record, createdAt: now, touchedAt: now, expiresAt: now + IDLE_MS });
    return `${handle}.${secret}`;
  }

  async #modelSession(): Promise<{ record: SessionRecord; secret: string }> {
    const { site, inner } = this.#track;
    const token = tokenOf(await site.send("/begin", { method: "POST" }));
    const record = await inner.load(handleOf(token));
    assert.ok(record);
    await inner.deleteAll({});
    return { record, secret: token.slice(handleOf(token).length + 1) };
  }

  #begin(run: Run, { operation, by }: { operation: Operation; by: string }, token: string): Promise<Reply | undefined> {
    const { clock } = this.#track;
    const site = this.#track.siteOf(by);
    const rank = by.charCodeAt(0);
    if (operation.name === "expire") {
      run.add({
        rank,
        touches: "clock",
        label: `${by} the session's time is over`,
        go: async () => {
          clock.advance(IDLE_MS + REMEMBERED_MS);
          await rest();
        },
      });
      return Promise.resolve(undefined);
    }
    const path = `/${operation.name}?p=p${by}&handle=${handleOf(token)}`;
    return run.start(`${by} ${operation.name}`, rank, () => {
      const begun = site.begins(by);
      const done = site.send(path, { method: "POST", token: operation.outside ? undefined : token, as: by });
      return { begun, done };
    });
  }

  async #check(token: string, outcomes: Outcome[], began: number): Promise<void> {
    const { inner, errors, clock } = this.#track;
    // Before anybody looks, which is a use.
    const record = await inner.load(handleOf(token));
    const issued = new Map<string, Look>();
    for (const { reply } of outcomes) {
      if (reply === undefined || typeof reply.cookie === "string" || reply.cookie.token === token) continue;
      issued.set(reply.cookie.token, await this.#look(reply.cookie.token));
    }
    const { sessions } = await inner.list({});
    assertTruth({
      token,
      outcomes,
      issued,
      old: await this.#look(token),
      record,
      live: sessions.map(({ handle }) => handle),
      errors,
      began,
      now: clock.now(),
    });
  }

  /** What a client sees with a token, and the messages that wait for it. */
  async #look(token: string): Promise<Look> {
    const reply = await this.#track.site.send("/look", { token });
    assert.equal(reply.status, 200);
    assert.equal(reply.cookie, "kept", "a request that only reads changes no cookie");
    const look = JSON.parse(reply.text);
    const record = await this.#track.inner.load(handleOf(token));
    return { ...look, messages: decodePayload(record?.payload ?? "")?.meta.flash?.["news"] ?? [] };
  }
}

function outcomeOf(
  run: Run,
  { operation, by }: { operation: Operation; by: string },
  reply: Reply | undefined,
  handle: string,
): Outcome {
  const mine = run.calls.filter((call) => call.by === by && call.handle === handle);
  const updated = mine.findLast(({ method }) => method === "update" || method === "replace")?.result;
  // A conflict is no end: if no other update followed, there was nothing left to update.
  const update = updated === "conflict" ? "gone" : updated;
  const touch = operation.name === "touch" ? mine.findLast(({ method }) => method === "touch")?.result : undefined;
  const opened = reply?.headers.get("x-opened") === "true";
  const acknowledged =
    operation.name === "revoke" ? reply?.json()["revoked"] === true : reply === undefined || reply.status === 200;
  const dropped = opened && (update === "gone" || touch === false || reply?.status === 409);
  return { operation, by, reply, opened, update, dropped, acknowledged };
}
