import { join } from "node:path";
import { isOwn, makeFolder, mark, move, namesIn, remove, removeFolder, syncNames } from "./disk.ts";
import { unless } from "./failures.ts";
import { isSessionName, type State } from "./names.ts";

/** Sessions that end within the same so many milliseconds wait in one folder. */
const BUCKET_MS = 120_000;

/**
 * Empty files that say where to look: a user's folder holds the names of the user's sessions, and a folder of each two
 * minutes holds those that may end then. A marker is made before its session is, and taken away after it, so one too many is
 * what a crash can leave; whoever meets it looks at the session itself.
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

  /** Makes both markers of a session, and waits until the disk has them. */
  async add(name: string, state: State): Promise<void> {
    const due = this.#bucketFolder(bucketOf(state.expiresAt));
    await markIn([due], name);
    await this.addUser(name, state.userName);
    await syncNames(due);
    if (state.userName !== undefined) await syncNames(this.#userFolder(state.userName));
  }

  /** Mends the list of a user's sessions. */
  async addUser(name: string, userName: string | undefined): Promise<void> {
    if (userName === undefined) return;
    const folder = this.#userFolder(userName);
    await markIn([join(folder, ".."), folder], name);
  }

  /** Where a session ends sooner than it would have: its marker comes too late. A touch only makes one come too early. */
  async bringForward(name: string, from: State, to: State): Promise<void> {
    const bucket = bucketOf(to.expiresAt);
    if (bucket >= bucketOf(from.expiresAt)) return;
    await markIn([this.#bucketFolder(bucket)], name);
  }

  /** A marker that was made before a touch may be somewhere else; `prune` meets it there. */
  async dropDue(name: string, state: State): Promise<void> {
    await remove(join(this.#bucketFolder(bucketOf(state.expiresAt)), name));
  }

  async dropUser(name: string, userName: string | undefined): Promise<void> {
    if (userName === undefined) return;
    const folder = this.#userFolder(userName);
    if (await remove(join(folder, name))) await removeFolder(folder);
  }

  async ofUser(userName: string): Promise<string[]> {
    const names = await namesIn(this.#userFolder(userName));
    return (names ?? []).filter(isSessionName);
  }

  /** The folders of times that are past, the oldest first. */
  async bucketsBefore(now: number): Promise<number[]> {
    const names = (await namesIn(this.#due)) ?? [];
    const buckets = names.filter((name) => /^[0-9]{1,16}$/.test(name)).map(Number);
    return buckets.filter((bucket) => (bucket + 1) * BUCKET_MS <= now).sort((a, b) => a - b);
  }

  async inBucket(bucket: number): Promise<string[]> {
    return ((await namesIn(this.#bucketFolder(bucket))) ?? []).filter(isSessionName);
  }

  /** The session will be looked at again when it ends by what is known now. */
  async postpone(name: string, bucket: number, expiresAt: number): Promise<void> {
    const later = this.#bucketFolder(bucketOf(expiresAt));
    await makeFolder(later);
    await move(join(this.#bucketFolder(bucket), name), join(later, name));
  }

  async dropFrom(bucket: number, name: string): Promise<void> {
    await remove(join(this.#bucketFolder(bucket), name));
  }

  async dropBucket(bucket: number): Promise<void> {
    await removeFolder(this.#bucketFolder(bucket));
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

/** Makes the folders where they are missing. Somebody may be removing one, which was empty, at this moment. */
async function markIn(folders: readonly string[], name: string): Promise<void> {
  const innermost = folders.at(-1);
  if (innermost === undefined) return;
  const path = join(innermost, name);
  for (let attempt = 1; attempt < 100; attempt++) {
    await isOwn(innermost);
    if ((await unless(["ENOENT"], undefined, () => mark(path))) !== undefined) return;
    for (const folder of folders) await makeFolder(folder);
  }
  await mark(path);
}
