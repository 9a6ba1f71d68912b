import type { Clock } from "../../contract/clock.ts";
import { SojournError } from "../../contract/errors.ts";
import type { Connection } from "./client.ts";
import { isFromReplica } from "./failures.ts";
import { Link } from "./link.ts";
import { type ClientPackage, loadPackage, type Package } from "./packages.ts";

/** What a replica refuses makes us look for the primary under the same URL again, but no more often than this. */
const LOOK_AGAIN_AFTER_MS = 1_000;

/**
 * The connection to the server of a URL. Opened with the first command; opened again when it is lost, at once and then with pauses.
 *
 * A command waits for one attempt to connect. While the server is down commands fail at once: nothing is queued for
 * better times, and nothing is repeated.
 */
export class OwnConnection implements Connection {
  readonly isCluster = false;
  readonly #url: string;
  readonly #package: ClientPackage | undefined;
  readonly #clock: Clock;
  #loaded: Promise<Package> | undefined;
  #link: Link | undefined;
  #lookedAgainAt = 0;
  #isClosed = false;

  /** @throws TypeError for what is not such a URL; the message does not repeat it, since it may hold a password */
  constructor(url: string, { client, clock }: { client?: ClientPackage | undefined; clock: Clock }) {
    if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
      throw new TypeError('RedisStore: the URL must look like "redis://localhost:6379", or "rediss://…" for TLS');
    }
    this.#url = url;
    this.#package = client;
    this.#clock = clock;
  }

  async send(key: string, command: readonly string[]): Promise<unknown> {
    const link = await this.#ready();
    return this.#watched(link, () => link.client.connection.send(key, command));
  }

  async sendTogether(key: string, commands: readonly (readonly string[])[]): Promise<PromiseSettledResult<unknown>[]> {
    const link = await this.#ready();
    return this.#watched(link, () => link.client.connection.sendTogether(key, commands));
  }

  /** At once: whoever waits for a reply gets none. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#link?.end();
  }

  async #ready(): Promise<Link> {
    this.#loaded ??= loadPackage(this.#package);
    const loaded = await this.#loaded;
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", "The Redis store was closed.");
    if (this.#link === undefined || this.#link.isSpent) this.#link = new Link(loaded, this.#url, this.#clock);
    const link = this.#link;
    if (!(await link.isReady())) throw link.failure;
    return link;
  }

  async #watched<T>(link: Link, send: () => Promise<T>): Promise<T> {
    try {
      return await link.watch(send);
    } catch (error) {
      if (isFromReplica(error) && this.#clock.now() - this.#lookedAgainAt > LOOK_AGAIN_AFTER_MS) {
        this.#lookedAgainAt = this.#clock.now();
        link.end();
      }
      throw error;
    }
  }
}
