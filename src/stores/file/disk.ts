import { constants, lstatSync, type Stats, statSync } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { refusal, succeeds, unless } from "./failures.ts";

/**
 * All operations of the file store on the disk. None follows a symbolic link, or uses a folder of
 * another user, who could read and replace sessions.
 */

const READ = constants.O_RDONLY | constants.O_NOFOLLOW;
const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const FOLDER = READ | constants.O_DIRECTORY;

/** Writes and syncs a new file. Removes it on failure, because a full disk needs the space. */
export async function writeNew(path: string, content: Buffer): Promise<void> {
  const file = await open(path, WRITE_NEW, 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await remove(path);
    throw error;
  } finally {
    await file.close();
  }
}

/** Creates an empty file, if it is missing. */
export async function mark(path: string): Promise<void> {
  const file = await unless(["EEXIST"], undefined, () => open(path, WRITE_NEW, 0o600));
  await file?.close();
}

/** Reads a file. Returns `undefined` if it is missing. */
export function read(path: string): Promise<Buffer | undefined> {
  return withFile(path, READ, (file) => file.readFile());
}

/** Syncs the names in a folder, if it exists. */
export async function syncNames(folder: string): Promise<void> {
  await withFile(folder, FOLDER, (file) => file.sync());
}

async function withFile<T>(
  path: string,
  flags: number,
  work: (file: FileHandle) => Promise<T>,
): Promise<T | undefined> {
  const file = await unless(["ENOENT"], undefined, () => open(path, flags));
  try {
    return file && (await work(file));
  } finally {
    await file?.close();
  }
}

/** Returns the names in a folder: none if it is missing. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await namesIfPresent(folder)) ?? [];
}

/** Returns the names in a folder, or `undefined` if it is missing. */
export async function namesIfPresent(folder: string): Promise<string[] | undefined> {
  const [names] = await Promise.all([unless(["ENOENT"], undefined, () => readdir(folder)), isOwn(folder)]);
  return names;
}

/** Creates a folder for this user only, or makes an existing one private. */
export async function makeFolder(folder: string): Promise<void> {
  if (await succeeds(["EEXIST"], () => mkdir(folder, { mode: 0o700 }))) return syncNames(dirname(folder));
  const stats = await lstat(folder);
  refuseForeign(folder, stats);
  if ((stats.mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** Creates a folder and its missing parents. (Node's `mkdir` with `recursive` hangs in `/proc`.) */
export async function makeRoot(folder: string): Promise<void> {
  const parent = dirname(folder);
  const make = async () => {
    // Without the sync, a power cut could remove the folder with everything in it.
    if (await succeeds(["EEXIST"], () => mkdir(folder, { mode: 0o700 }))) await syncNames(parent);
  };
  if ((await succeeds(["ENOENT"], make)) || parent === folder) return;
  await makeRoot(parent);
  await make();
}

/** Returns whether a path exists. Throws if it is a link, or another user's. */
export async function isOwn(path: string): Promise<boolean> {
  const stats = await unless(["ENOENT"], undefined, () => lstat(path));
  if (stats !== undefined) refuseForeign(path, stats);
  return stats !== undefined;
}

/** Checks folders before first use. The root may be a link, and may be the administrator's. */
export function checkFolders(root: string, inner: readonly string[]): void {
  const link = lstatSync(root, { throwIfNoEntry: false });
  const stats = link && statSync(root, { throwIfNoEntry: false });
  if (link !== undefined && stats === undefined) refuseForeign(root, link);
  if (stats !== undefined && stats.uid !== 0) refuseForeign(root, stats);
  for (const folder of inner) {
    const found = lstatSync(folder, { throwIfNoEntry: false });
    if (found !== undefined) refuseForeign(folder, found);
  }
}

function refuseForeign(path: string, stats: Stats): void {
  if (stats.isSymbolicLink()) throw refusal("ELOOP", "a symbolic link in place of a folder", path);
  if (stats.uid !== process.geteuid?.()) throw refusal("EOWNER", `user ${stats.uid} owns it`, path);
}

/** Renames a file. Returns `false` if it is missing. */
export function move(from: string, to: string): Promise<boolean> {
  return succeeds(["ENOENT"], () => rename(from, to));
}

/** Renames a folder. Returns `false` if a folder with files has the new name. */
export function moveFolder(from: string, to: string): Promise<boolean> {
  return succeeds(["ENOTEMPTY", "EEXIST"], () => rename(from, to));
}

/** Removes a file. Returns `false` if it is missing. */
export function remove(path: string): Promise<boolean> {
  return succeeds(["ENOENT"], () => unlink(path));
}

/** Removes a folder, if it is empty. */
export async function removeFolder(folder: string): Promise<void> {
  await unless(["ENOENT", "ENOTEMPTY", "EEXIST"], undefined, () => rmdir(folder));
}
