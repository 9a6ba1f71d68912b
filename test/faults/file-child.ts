import { writeSync } from "node:fs";
import { FileStore } from "../../src/stores/file.ts";
import { nextVersion, recordOf } from "./sqlite-history.ts";

/** What another process does to a folder of sessions: `node file-child.ts <task> <folder>`. One line says that a step is done. */

const [task, folder = ""] = process.argv.slice(2);

function say(line: string): void {
  // At once, so that nothing said is lost when this process is killed.
  writeSync(1, `${line}\n`);
}

/** Writes without end; every acknowledged step of every handle is said. */
async function writeUntilKilled(): Promise<void> {
  const store = new FileStore(folder);
  const write = async (handle: string): Promise<never> => {
    for (;;) {
      const current = await store.load(handle);
      const next = nextVersion(current?.version ?? 0);
      const done =
        current === undefined
          ? await store.create(handle, recordOf(handle, next))
          : next === 0
            ? await store.delete(handle)
            : (await store.update(handle, recordOf(handle, next), current.version)) === "ok";
      if (!done) throw new Error(`another writer of ${handle}?`);
      say(`${handle} ${next}`);
    }
  };
  await Promise.all(Array.from({ length: 6 }, (_, n) => write(`handle${n}`)));
}

/** Adds 1 to the payload 100 times, by compare and set. */
async function increment(): Promise<void> {
  const store = new FileStore(folder);
  say("ready");
  await new Promise<void>((resolve) => process.stdin.once("data", () => resolve()));
  for (let done = 0; done < 100; ) {
    const current = await store.load("counter");
    if (current === undefined) throw new Error("the counter is gone");
    const { version } = current;
    const next = { ...current, payload: String(Number(current.payload) + 1), version: version + 1 };
    if ((await store.update("counter", next, version)) === "ok") done++;
  }
  await store.close();
  say("done");
  process.stdin.destroy();
}

const tasks: Readonly<Record<string, () => Promise<unknown>>> = { writeUntilKilled, increment };
await tasks[task ?? ""]?.();
