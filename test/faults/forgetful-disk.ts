import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import disk, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join, relative, sep } from "node:path";

/**
 * Says what a power cut leaves of work on files, before each of its steps. It watches what the code under test asks Node for, keeps a copy of the
 * tree in memory, and knows of each file and folder what was synced.
 *
 * Two kinds of disk, between which all real ones lie. One forgets every name that was made, moved or taken away since its folder was synced; a
 * move between two folders stays one step, as in every journal. The other one has all names, and forgets the content of each file that was
 * not synced, as disks do that allocate late.
 */

interface File {
  content: string;
  synced: string;
}

interface Folder {
  names: Map<string, File | Folder>;
  synced: Map<string, File | Folder>;
}

/** A folder that a power cut leaves; a text is a file's content. */
export interface Tree {
  [name: string]: Tree | string;
}

export interface PowerCut {
  /** What was done before. */
  steps: readonly string[];
  /** Whether the work had come to its end. */
  isDone: boolean;
  left: { "names forgotten": Tree; "contents forgotten": Tree };
}

interface Watch {
  readonly root: string;
  readonly top: Folder;
  /** Since neither of their two folders was synced. */
  moves: { from: Folder; oldName: string; to: Folder; newName: string; what: File | Folder }[];
  readonly steps: string[];
  readonly cuts: PowerCut[];
}

let watch: Watch | undefined;

/** Does `work`, and tells what each power cut would leave of `root`, all of which is on the disk to begin with. */
export async function powerCuts(root: string, work: () => Promise<unknown>): Promise<PowerCut[]> {
  const watched: Watch = { root, top: folderOf(root), moves: [], steps: [], cuts: [] };
  watch = watched;
  try {
    note("nothing");
    await work();
  } finally {
    watch = undefined;
  }
  const last = watched.cuts.at(-1);
  return last === undefined ? [] : [...watched.cuts.slice(0, -1), { ...last, isDone: true }];
}

/** Makes a folder of what a power cut left. */
export function restore(tree: Tree, folder: string): void {
  mkdirSync(folder, { mode: 0o700 });
  for (const [name, content] of Object.entries(tree)) {
    const path = join(folder, name);
    if (typeof content === "string") writeFileSync(path, content, { mode: 0o600 });
    else restore(content, path);
  }
}

function folderOf(path: string): Folder {
  const names = new Map<string, File | Folder>();
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    names.set(entry.name, entry.isDirectory() ? folderOf(inner) : fileOf(readFileSync(inner, "utf8")));
  }
  return { names, synced: new Map(names) };
}

function fileOf(content: string): File {
  return { content, synced: content };
}

function isFolder(found: File | Folder | undefined): found is Folder {
  return found !== undefined && "names" in found;
}

function find(path: string): File | Folder | undefined {
  if (watch === undefined) return undefined;
  const way = relative(watch.root, path);
  let found: File | Folder | undefined = watch.top;
  for (const name of way === "" ? [] : way.split(sep)) found = isFolder(found) ? found.names.get(name) : undefined;
  return found;
}

/** The folder that a path is in; `undefined` outside of what is watched. */
function parentOf(path: string): Folder | undefined {
  const parent = watch === undefined || relative(watch.root, path).startsWith("..") ? undefined : find(dirname(path));
  return isFolder(parent) ? parent : undefined;
}

/** Called when a step is done, so that no other one comes in between. */
function note(step: string): void {
  if (watch === undefined) return;
  watch.steps.push(step);
  const { top, steps, cuts } = watch;
  const left = {
    "names forgotten": leftOf(top, ({ synced }) => synced),
    "contents forgotten": leftOf(top, ({ names }) => names),
  };
  cuts.push({ steps: [...steps], isDone: false, left });
}

function leftOf(folder: Folder, namesOf: (folder: Folder) => Map<string, File | Folder>): Tree {
  const tree: Tree = {};
  for (const [name, found] of namesOf(folder)) tree[name] = isFolder(found) ? leftOf(found, namesOf) : found.synced;
  return tree;
}

function sync(found: File | Folder | undefined): void {
  if (watch === undefined || found === undefined) return;
  if (!isFolder(found)) {
    found.synced = found.content;
    return;
  }
  for (const { from, oldName, to, newName, what } of watch.moves) {
    if (from !== found && to !== found) continue;
    if (from.synced.get(oldName) === what) from.synced.delete(oldName);
    if (to.names.get(newName) === what) to.synced.set(newName, what);
  }
  watch.moves = watch.moves.filter(({ from, to }) => from !== found && to !== found);
  found.synced = new Map(found.names);
}

const { mkdir, rename, rmdir, unlink, open } = disk;

Object.assign(disk, {
  mkdir: async (...call: Parameters<typeof mkdir>) => {
    const made = await mkdir(...call);
    const path = String(call[0]);
    parentOf(path)?.names.set(basename(path), { names: new Map(), synced: new Map() });
    note("mkdir");
    return made;
  },
  rename: async (...call: Parameters<typeof rename>) => {
    await rename(...call);
    const [oldPath, newPath] = call.map(String);
    const [from, to] = [parentOf(oldPath ?? ""), parentOf(newPath ?? "")];
    const what = find(oldPath ?? "");
    if (from === undefined || to === undefined || what === undefined) return;
    const [oldName, newName] = [basename(oldPath ?? ""), basename(newPath ?? "")];
    from.names.delete(oldName);
    to.names.set(newName, what);
    watch?.moves.push({ from, oldName, to, newName, what });
    note("rename");
  },
  rmdir: async (...call: Parameters<typeof rmdir>) => {
    await rmdir(...call);
    parentOf(String(call[0]))?.names.delete(basename(String(call[0])));
    note("rmdir");
  },
  unlink: async (...call: Parameters<typeof unlink>) => {
    await unlink(...call);
    parentOf(String(call[0]))?.names.delete(basename(String(call[0])));
    note("unlink");
  },
  open: async (...call: Parameters<typeof open>) => {
    const opened = await open(...call);
    const path = String(call[0]);
    const makes = typeof call[1] === "number" && (call[1] & disk.constants.O_CREAT) !== 0;
    if (makes) {
      parentOf(path)?.names.set(basename(path), { content: "", synced: "" });
      note("open");
    }
    const found = find(path);
    return found === undefined ? opened : remembering(opened, found);
  },
});
syncBuiltinESMExports();

/** Of a handle, what the store uses. A file stays the same one when it is moved. */
function remembering(
  opened: FileHandle,
  found: File | Folder,
): Pick<FileHandle, "writeFile" | "sync" | "close" | "readFile"> {
  const readFile: FileHandle["readFile"] = opened.readFile.bind(opened);
  return {
    readFile,
    async writeFile(content) {
      await opened.writeFile(content);
      if (!isFolder(found)) found.content = String(content);
      note("write");
    },
    async sync() {
      await opened.sync();
      sync(found);
      note("sync");
    },
    close: () => opened.close(),
  };
}
