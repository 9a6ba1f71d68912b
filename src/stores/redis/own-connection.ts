import { SojournError } from "../../contract/errors.ts";
import type { Clock } from "../../contract/time.ts";
import type { Command, Connection } from "./client.ts";
import { Link } from "./link.ts";
import { type ClientPackage, loadPackage, type Package } from "./packages.ts";
import { isFromReplica } from "./replies.ts";

/** How often the URL is resolved again, at most, to find the primary after a failover. */
const RESOLVE_AGAIN_AFTER_MS = 1_000;

/**
 * The connection to the server of a URL. The first command opens it. If it is lost, it is opened
 * again: at once, then with pauses.
 *
 * A command waits for one attempt to connect. While the server is down, commands fail at once; none
 * is queued or repeated.
 */
export class OwnConnection implements Connection {
  readonly isCluster = false;
  readonly #url: string;
  readonly #package: ClientPackage | undefined;
  readonly #clock: Clock;
  #loaded: Promise<Package> | undefined;
  #link: Link | undefined;
  #resolvedAgainAt = 0;
  #isClosed = false;

  /** @throws TypeError for an invalid URL, without the URL, which may contain a password */
  constructor(url: string, { client, clock }: { client?: ClientPackage | undefined; clock: Clock }) {
    if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
      throw new TypeError('RedisStore: the URL must look like "redis://localhost:6379", or "rediss://…" for TLS');
    }
    this.#url = url;
    this.#package = client;
    this.#clock = clock;
  }

  send(key: string, command: Command): Promise<unknown> {
    return this.#use((connection) => connection.send(key, command));
  }

  sendTogether(key: string, commands: readonly Command[]): Promise<PromiseSettledResult<unknown>[]> {
    return this.#use((connection) => connection.sendTogether(key, commands));
  }

  /** Ends the connection at once; pending commands fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#link?.end();
  }

  async #use<T>(send: (connection: Connection) => Promise<T>): Promise<T> {
    this.#loaded ??= loadPackage(this.#package);
    const loaded = await this.#loaded;
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", "The Redis store was closed.");
    if (this.#link === undefined || this.#link.isSpent) this.#link = new Link(loaded, this.#url, this.#clock);
    const link = this.#link;
    if (!(await link.isReady())) throw link.failure;
    try {
      return await link.use(send);
    } catch (error) {
      if (isFromReplica(error) && this.#clock.now() - this.#resolvedAgainAt > RESOLVE_AGAIN_AFTER_MS) {
        this.#resolvedAgainAt = this.#clock.now();
        link.end();
      }
      throw error;
    }
  }
}
