import { join } from "node:path";
import * as disk from "./disk.ts";
import { succeeds } from "./failures.ts";
import { isSessionName, type State } from "./names.ts";

/** Sessions that expire within the same two minutes share a folder. */
const BUCKET_MS = 120_000;

/**
 * The indexes: empty files, named after sessions, in a folder for each user and for each two
 * minutes of expiry.
 *
 * A marker is created before its session and removed after it. So a crash can leave a marker too
 * many, never one too few; readers therefore look at the session itself.
 */
export class Markers {
  readonly #users: string;
  readonly #due: string;

  constructor(root: string) {
    this.#users = join(root, "users");
    this.#due = join(root, "due");
  }

  get folders(): readonly string[] {
    return [this.#users, this.#due];
  }

  /** Creates and syncs both markers of a session. */
  async add(name: string, { expiresAt, userName }: State): Promise<void> {
    const due = this.#bucketFolder(bucketOf(expiresAt));
    await markIn([due], name);
    await this.addUser(name, userName);
    await disk.syncNames(due);
    if (userName !== undefined) await disk.syncNames(this.#userFolder(userName));
  }

  /** Creates the user's marker. */
  async addUser(name: string, userName: string | undefined): Promise<void> {
    if (userName === undefined) return;
    const folder = this.#userFolder(userName);
    await markIn([join(folder, ".."), folder], name);
  }

  /** Adds a marker for an earlier expiry. For a later one, `prune` postpones the old marker. */
  async bringForward(name: string, from: State, to: State): Promise<void> {
    const bucket = bucketOf(to.expiresAt);
    if (bucket < bucketOf(from.expiresAt)) await markIn([this.#bucketFolder(bucket)], name);
  }

  async removeUser(name: string, userName: string | undefined): Promise<void> {
    if (userName === undefined) return;
    const folder = this.#userFolder(userName);
    if (await disk.remove(join(folder, name))) await disk.removeFolder(folder);
  }

  async ofUser(userName: string): Promise<string[]> {
    return (await disk.namesIn(this.#userFolder(userName))).filter(isSessionName);
  }

  /** Returns the buckets whose time has passed, oldest first. */
  async bucketsBefore(now: number): Promise<number[]> {
    const buckets = (await disk.namesIn(this.#due)).filter((name) => /^[0-9]{1,16}$/.test(name)).map(Number);
    return buckets.filter((bucket) => (bucket + 1) * BUCKET_MS <= now).sort((a, b) => a - b);
  }

  async inBucket(bucket: number): Promise<string[]> {
    return (await disk.namesIn(this.#bucketFolder(bucket))).filter(isSessionName);
  }

  /** Moves a marker to the bucket of the session's present expiry. */
  async postpone(name: string, bucket: number, expiresAt: number): Promise<void> {
    const later = this.#bucketFolder(bucketOf(expiresAt));
    await disk.makeFolder(later);
    await disk.move(join(this.#bucketFolder(bucket), name), join(later, name));
  }

  /** Removes a session's marker from a bucket: by default from that of its expiry. */
  async removeDue(name: string, { expiresAt }: State): Promise<void> {
    await this.removeFrom(bucketOf(expiresAt), name);
  }

  async removeFrom(bucket: number, name: string): Promise<void> {
    await disk.remove(join(this.#bucketFolder(bucket), name));
  }

  async removeBucket(bucket: number): Promise<void> {
    await disk.removeFolder(this.#bucketFolder(bucket));
  }

  #bucketFolder(bucket: number): string {
    return join(this.#due, String(bucket));
  }

  #userFolder(userName: string): string {
    return join(this.#users, userName.slice(0, 3), userName);
  }
}

function bucketOf(expiresAt: number): number {
  return Math.floor(expiresAt / BUCKET_MS);
}

/** Creates a marker, and its missing folders, which others may remove while they are empty. */
async function markIn(folders: readonly string[], name: string): Promise<void> {
  const folder = folders.at(-1) ?? "";
  const path = join(folder, name);
  for (let attempt = 1; attempt < 100; attempt++) {
    await disk.isOwn(folder);
    if (await succeeds(["ENOENT"], () => disk.mark(path))) return;
    for (const missing of folders) await disk.makeFolder(missing);
  }
  await disk.mark(path);
}
