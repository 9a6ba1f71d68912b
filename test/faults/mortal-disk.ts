import { AsyncLocalStorage } from "node:async_hooks";
import disk, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/**
 * Lets work on files stop dead before any one of its steps, as `kill -9` does, and leaves what it has done so far to whoever comes next, without
 * a process for each. Nothing of the code under test knows: the steps are those that it asks Node for.
 */

interface Life {
  /** How many steps are still to be done. */
  left: number;
  readonly steps: string[];
  readonly open: Set<FileHandle>;
  die(): void;
}

const lives = new AsyncLocalStorage<Life>();
const forever = new Promise<never>(() => undefined);

/**
 * Does `work` up to, and without, its step number `most`; reading is no step.
 *
 * @returns what was done, step by step, and whether it came to its end
 */
export async function liveFor(
  most: number,
  work: () => Promise<unknown>,
): Promise<{ steps: string[]; isDone: boolean }> {
  return await new Promise((resolve, reject) => {
    const life: Life = {
      left: most,
      steps: [],
      open: new Set(),
      die: () => void closeAll(life.open).then(() => resolve({ steps: life.steps, isDone: false }), reject),
    };
    lives.run(life, work).then(() => resolve({ steps: life.steps, isDone: true }), reject);
  });
}

/** What the system does for a process that has ended. */
async function closeAll(handles: Iterable<FileHandle>): Promise<void> {
  for (const handle of handles) await handle.close();
}

async function step(what: string, byHalf: () => Promise<unknown> = async () => undefined): Promise<void> {
  const life = lives.getStore();
  if (life === undefined) return;
  if (life.left === 0) {
    life.left = -1;
    await byHalf();
    life.die();
  }
  if (life.left < 0) await forever;
  life.left--;
  life.steps.push(what);
}

const { mkdir, rename, rmdir, unlink, chmod, open } = disk;

Object.assign(disk, {
  mkdir: async (...call: Parameters<typeof mkdir>) => {
    await step("mkdir");
    return mkdir(...call);
  },
  rename: async (...call: Parameters<typeof rename>) => {
    await step("rename");
    return rename(...call);
  },
  rmdir: async (...call: Parameters<typeof rmdir>) => {
    await step("rmdir");
    return rmdir(...call);
  },
  unlink: async (...call: Parameters<typeof unlink>) => {
    await step("unlink");
    return unlink(...call);
  },
  chmod: async (...call: Parameters<typeof chmod>) => {
    await step("chmod");
    return chmod(...call);
  },
  open: async (...call: Parameters<typeof open>) => {
    const life = lives.getStore();
    const writes = typeof call[1] === "number" && (call[1] & disk.constants.O_CREAT) !== 0;
    if (writes) await step("open");
    const opened = await open(...call);
    if (life === undefined) return opened;
    life.open.add(opened);
    return mortal(opened, life);
  },
});
syncBuiltinESMExports();

/** Of a handle, what the store uses. A process may be killed in the middle of writing. */
function mortal(opened: FileHandle, life: Life): Pick<FileHandle, "writeFile" | "sync" | "close" | "readFile"> {
  const readFile: FileHandle["readFile"] = opened.readFile.bind(opened);
  return {
    readFile,
    async writeFile(content) {
      const bytes = Buffer.from(String(content));
      await step("write", () => opened.write(bytes.subarray(0, bytes.length / 2)));
      await opened.writeFile(bytes);
    },
    async sync() {
      await step("sync");
      await opened.sync();
    },
    async close() {
      life.open.delete(opened);
      await opened.close();
    },
  };
}
