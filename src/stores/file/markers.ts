import { join } from "node:path";
import * as disk from "./disk.ts";
import { succeeds } from "./failures.ts";
import { type Group, groupsOf, isSessionName, type State } from "./names.ts";

/** Sessions that expire within the same two minutes share a folder. */
const BUCKET_MS = 120_000;

/**
 * The indexes: empty files, named after sessions, in a folder for each user, for each link, and for
 * each two minutes of expiry.
 *
 * A marker is created before its session and removed after it. So a crash can leave a marker too
 * many, never one too few; readers therefore look at the session itself.
 */
export class Markers {
  readonly #groups: Readonly<Record<Group["folder"], string>>;
  readonly #due: string;

  constructor(root: string) {
    this.#groups = { users: join(root, "users"), links: join(root, "links") };
    this.#due = join(root, "due");
  }

  get folders(): readonly string[] {
    return [...Object.values(this.#groups), this.#due];
  }

  /** Creates and syncs all markers of a session. */
  async add(name: string, state: State): Promise<void> {
    const due = this.#bucketFolder(bucketOf(state.expiresAt));
    await markIn([due], name);
    await this.addNamed(name, state);
    await disk.syncNames(due);
    for (const group of groupsOf(state)) await disk.syncNames(this.#folder(group));
  }

  /** Creates the markers of a session's user and link. */
  async addNamed(name: string, state: State): Promise<void> {
    for (const group of groupsOf(state)) {
      const folder = this.#folder(group);
      await markIn([join(folder, ".."), folder], name);
    }
  }

  /** Adds a marker for an earlier expiry. For a later one, `prune` postpones the old marker. */
  async bringForward(name: string, from: State, to: State): Promise<void> {
    const bucket = bucketOf(to.expiresAt);
    if (bucket < bucketOf(from.expiresAt)) await markIn([this.#bucketFolder(bucket)], name);
  }

  async removeNamed(name: string, group: Group): Promise<void> {
    const folder = this.#folder(group);
    if (await disk.remove(join(folder, name))) await disk.removeFolder(folder);
  }

  async ofGroup(group: Group): Promise<string[]> {
    return (await disk.namesIn(this.#folder(group))).filter(isSessionName);
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

  #folder({ folder, name }: Group): string {
    return join(this.#groups[folder], name.slice(0, 3), name);
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
