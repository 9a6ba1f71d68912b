import type { SessionPage } from "../../contract/store.ts";
import type { Clock } from "../../contract/time.ts";
import { inBatches } from "../concurrency.ts";
import { Newest, nextPage, type PageStart } from "../paging.ts";
import { CHUNK } from "./lifecycle.ts";
import type { Markers } from "./markers.ts";
import { type Group, isOf } from "./names.ts";
import type { Sessions } from "./sessions.ts";

/** Lists and counts the sessions of a user, of a link, or of everyone. */
export class Listing {
  readonly #sessions: Sessions;
  readonly #markers: Markers;
  readonly #clock: Clock;

  constructor(sessions: Sessions, markers: Markers, clock: Clock) {
    this.#sessions = sessions;
    this.#markers = markers;
    this.#clock = clock;
  }

  /** Only the payload has the handle, so the name stands for it until the page is known. */
  async page(group: Group | undefined, limit: number, start: PageStart | undefined): Promise<SessionPage> {
    const places =
      group === undefined ? await this.#everyone(limit + 1, start) : await this.#of(group, limit + 1, start);
    const page = places.slice(0, limit);
    const sessions = await inBatches(page, CHUNK, ({ handle: name }) => this.#sessions.load(name));
    return { sessions: sessions.flatMap((session) => session ?? []), ...nextPage(places, limit) };
  }

  async #of(group: Group, room: number, start: PageStart | undefined): Promise<PageStart[]> {
    const newest = new Newest(room, start);
    for await (const names of this.names(group)) {
      for (const place of await this.live(names, group)) newest.offer(place);
    }
    return newest.places;
  }

  /** In the order of their names. */
  async #everyone(room: number, start: PageStart | undefined): Promise<PageStart[]> {
    const places: PageStart[] = [];
    for await (const names of this.#sessions.shards(start?.handle)) {
      places.push(...(await this.live(names, undefined)));
      if (places.length >= room) break;
    }
    return places.slice(0, room);
  }

  async count(group: Group | undefined): Promise<number> {
    let count = 0;
    for await (const names of this.names(group)) {
      count += group === undefined ? names.length : (await this.live(names, group)).length;
    }
    return count;
  }

  /** Yields the names of a group's sessions at once, or of everyone's, one shard at a time. */
  async *names(group: Group | undefined): AsyncGenerator<string[]> {
    if (group === undefined) return yield* this.#sessions.shards();
    const names = await this.#markers.ofGroup(group);
    await this.#sessions.assertPresent();
    yield names;
  }

  /** Returns the unexpired sessions among these, of one group or of everyone. */
  async live(names: readonly string[], group: Group | undefined): Promise<PageStart[]> {
    const now = this.#clock.now();
    const looks = await inBatches(names, CHUNK, async (name) => ({
      name,
      state: (await this.#sessions.look(name)).state,
    }));
    return looks.flatMap(({ name, state }) =>
      state !== undefined && state.expiresAt > now && isOf(state, group)
        ? [{ touchedAt: state.touchedAt, handle: name }]
        : [],
    );
  }
}
