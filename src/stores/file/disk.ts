import { constants, lstatSync, type Stats, statSync } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { linkError, ownerError, unless } from "./failures.ts";

/**
 * The few things that the store does to a disk. Nothing here follows a symbolic link, lets anyone else in, or uses a
 * folder of anyone else's, who could read sessions and put other ones in their place.
 */

const READ = constants.O_RDONLY | constants.O_NOFOLLOW;
const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const FOLDER = READ | constants.O_DIRECTORY;

/** Writes a file that must not be there yet, and waits until the disk has it. Leaves none where it fails: a full disk needs the room. */
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

/** Makes an empty file; `false` if it was there. */
export async function mark(path: string): Promise<boolean> {
  const file = await unless(["EEXIST"], undefined, () => open(path, WRITE_NEW, 0o600));
  await file?.close();
  return file !== undefined;
}

/** The whole file, or `undefined` if there is none. */
export async function read(path: string): Promise<Buffer | undefined> {
  const file = await unless(["ENOENT"], undefined, () => open(path, READ));
  if (file === undefined) return undefined;
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** The names in a folder, or `undefined` if there is no folder. */
export async function namesIn(folder: string): Promise<string[] | undefined> {
  const [names] = await Promise.all([unless(["ENOENT"], undefined, () => readdir(folder)), isOwn(folder)]);
  return names;
}

/** Waits until the disk has the names of a folder. Nothing to wait for where the folder is gone. */
export async function syncNames(folder: string): Promise<void> {
  const handle = await unless(["ENOENT"], undefined, () => open(folder, FOLDER));
  if (handle === undefined) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a folder inside one that is there, for nobody but this user. One that was there is made private. */
export async function makeFolder(folder: string): Promise<void> {
  const made = await unless(["EEXIST"], false, async () => {
    await mkdir(folder, { mode: 0o700 });
    return true;
  });
  if (made) {
    await syncNames(dirname(folder));
    return;
  }
  const stats = await lstat(folder);
  refuseForeign(folder, stats);
  if ((stats.mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** Makes a folder and those that it is in, where they are missing. `mkdir` with `recursive` never comes back from `/proc`. */
export async function makeRoot(folder: string): Promise<void> {
  const parent = dirname(folder);
  const make = async () => {
    await unless(["EEXIST"], undefined, async () => {
      await mkdir(folder, { mode: 0o700 });
      // Or a power cut would take everything in it along.
      await syncNames(parent);
    });
  };
  const isMissing = await unless(["ENOENT"], true, make);
  if (isMissing !== true || parent === folder) return;
  await makeRoot(parent);
  await make();
}

/** Whether there is something, which must be this user's own and no link. */
export async function isOwn(path: string): Promise<boolean> {
  const stats = await unless(["ENOENT"], undefined, () => lstat(path));
  if (stats !== undefined) refuseForeign(path, stats);
  return stats !== undefined;
}

/**
 * Looks at what is there before anything is used. A link may lead to the root, and the administrator may own it.
 */
export function checkFolders(root: string, inner: readonly string[]): void {
  const there = lstatSync(root, { throwIfNoEntry: false });
  const stats = there && statSync(root, { throwIfNoEntry: false });
  if (there !== undefined && stats === undefined) throw linkError(root);
  if (stats !== undefined && stats.uid !== 0) refuseForeign(root, stats);
  for (const folder of inner) {
    const found = lstatSync(folder, { throwIfNoEntry: false });
    if (found !== undefined) refuseForeign(folder, found);
  }
}

function refuseForeign(path: string, stats: Stats): void {
  if (stats.isSymbolicLink()) throw linkError(path);
  if (stats.uid !== process.geteuid?.()) throw ownerError(path, stats.uid);
}

/** `false` if there is no `from`. */
export async function move(from: string, to: string): Promise<boolean> {
  return await unless(["ENOENT"], false, async () => {
    await rename(from, to);
    return true;
  });
}

/** Puts a folder where none is, or an empty one. `false` where one that isn't empty is in the way. */
export async function moveFolder(from: string, to: string): Promise<boolean> {
  return await unless(["ENOTEMPTY", "EEXIST"], false, async () => {
    await rename(from, to);
    return true;
  });
}

/** `false` if there was none. */
export async function remove(path: string): Promise<boolean> {
  return await unless(["ENOENT"], false, async () => {
    await unlink(path);
    return true;
  });
}

/** `false` where something is left in it. */
export async function removeFolder(folder: string): Promise<boolean> {
  return await unless(["ENOTEMPTY", "EEXIST"], false, async () => {
    await unless(["ENOENT"], undefined, () => rmdir(folder));
    return true;
  });
}
