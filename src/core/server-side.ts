import type { Awaitable, SessionRecord } from "../stores/store.ts";
import { after } from "./awaitable.ts";
import type { Clock } from "./clock.ts";
import { lastCopyEnds } from "./endings.ts";
import { noteHandle } from "./notes.ts";
import { decodePayload, encodePayload } from "./record.ts";
import type { StoreAccess } from "./store-access.ts";
import type { Timeouts } from "./timeouts.ts";

/** What the server holds of one session's properties, as it was read or written last. */
export interface ServerSideKept {
  /** Of its record; 0 where there is none yet. */
  version: number;
  texts: ReadonlyMap<string, string>;
}

export const NOT_KEPT: ServerSideKept = { version: 0, texts: new Map() };

/** No payload reads like this: that of a session which another one has replaced. */
const REPLACED = "replaced";

/**
 * Properties of sealed sessions that stay on the server, so that nobody brings an old value back with an old cookie: a record for each
 * session that has such a property, in a store that is expected to encrypt. They are written by compare-and-set. A seal never
 * holds them. One that was made before they were named may: it counts until there is a record, and never again.
 */
export class ServerSide {
  readonly #access: StoreAccess;
  readonly #names: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #limits: Timeouts;

  constructor(access: StoreAccess, names: readonly string[], clock: Clock, limits: Timeouts) {
    this.#access = access;
    this.#names = new Set(names);
    this.#clock = clock;
    this.#limits = limits;
  }

  /** `undefined` for a session that was replaced, and where the record is damaged: then nothing can be said of it. */
  load(handle: string): Awaitable<ServerSideKept | undefined> {
    return after(this.#access.load(nameOf(handle)), (record) => {
      if (record === undefined) return NOT_KEPT;
      const content = decodePayload(record.payload);
      return content === undefined ? undefined : { version: record.version, texts: content.texts };
    });
  }

  /** A session as its application sees it. */
  join(record: SessionRecord, kept: ServerSideKept): SessionRecord {
    if (kept.version === 0) return record;
    const content = decodePayload(record.payload);
    // Damaged, as whoever reads it will find.
    if (content === undefined) return record;
    const texts = this.#split(content.texts).others;
    for (const [name, text] of kept.texts) texts.set(name, text);
    return { ...record, payload: encodePayload(content.facts, texts) };
  }

  /** A session as its seal holds it. */
  without<R extends Pick<SessionRecord, "payload">>(record: R): R {
    const content = decodePayload(record.payload);
    if (content === undefined) return record;
    const { own, others } = this.#split(content.texts);
    return own.size === 0 ? record : { ...record, payload: encodePayload(content.facts, others) };
  }

  /**
   * Keeps what a session holds now, for as long as any copy of its seal may live.
   *
   * @param kept what was there as far as this request knows
   * @returns what is there now, or `"conflict"` if that was something else
   */
  put(handle: string, record: SessionRecord, kept: ServerSideKept): Awaitable<ServerSideKept | "conflict"> {
    const { own } = this.#split(decodePayload(record.payload)?.texts ?? new Map());
    if (isSame(own, kept.texts)) return this.prolong(handle, record, kept);
    return this.#write(handle, record, kept, encodePayload({}, own), own);
  }

  /** As long as the seal that is about to be sent. */
  prolong(handle: string, record: SessionRecord, kept: ServerSideKept): Awaitable<ServerSideKept | "conflict"> {
    if (kept.version === 0) return kept;
    const now = this.#clock.now();
    const touched = this.#access.touch(nameOf(handle), now, lastCopyEnds(record, now, this.#limits));
    return after(touched, (there) => {
      if (there) return kept;
      // The store has lost it.
      return this.#write(handle, record, NOT_KEPT, encodePayload({}, kept.texts), kept.texts);
    });
  }

  /** From now on no seal of this session opens, and what other requests would keep of it is refused. */
  replace(handle: string, record: SessionRecord, kept: ServerSideKept): Awaitable<ServerSideKept | "conflict"> {
    return this.#write(handle, record, kept, REPLACED, NOT_KEPT.texts);
  }

  #write(
    handle: string,
    record: SessionRecord,
    kept: ServerSideKept,
    payload: string,
    texts: ReadonlyMap<string, string>,
  ): Awaitable<ServerSideKept | "conflict"> {
    const now = this.#clock.now();
    const version = kept.version + 1;
    const { createdAt } = record;
    const expiresAt = lastCopyEnds(record, now, this.#limits);
    const next = { payload, version, secretHash: "note", userId: null, createdAt, touchedAt: now, expiresAt };
    const name = nameOf(handle);
    const written =
      kept.version === 0
        ? this.#access.note(name, next)
        : after(this.#access.update(name, next, kept.version), (result) => result === "ok");
    return after(written, (isWritten) => (isWritten ? { version, texts } : "conflict"));
  }

  #split(texts: ReadonlyMap<string, string>): { own: Map<string, string>; others: Map<string, string> } {
    const own = new Map<string, string>();
    const others = new Map<string, string>();
    for (const [name, text] of texts) (this.#names.has(name) ? own : others).set(name, text);
    return { own, others };
  }
}

function isSame(one: ReadonlyMap<string, string>, another: ReadonlyMap<string, string>): boolean {
  if (one.size !== another.size) return false;
  for (const [name, text] of one) if (another.get(name) !== text) return false;
  return true;
}

/** A note: were it dropped, an old seal's values would count again. */
function nameOf(handle: string): string {
  return noteHandle("kept", handle);
}
