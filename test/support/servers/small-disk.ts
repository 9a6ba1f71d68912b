import { execFileSync } from "node:child_process";
import { chownSync } from "node:fs";
import { unprivileged } from "./private-process.ts";

/** Why no file system of a fixed size can be made; `undefined` where it can. */
export const noSmallDisk =
  process.platform === "linux" && process.getuid?.() === 0
    ? undefined
    : "mounting a small file system needs root on Linux";

/** Mounts an empty file system of so many KiB, for the servers' user, on a folder that exists. Gone when the test process is. */
export function mountSmallDisk(
  folder: string,
  kilobytes: number,
): { resize(kilobytes: number): void; unmount(): void } {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kilobytes}k,mode=0700`, "tmpfs", folder]);
  if ("uid" in unprivileged) chownSync(folder, unprivileged.uid, unprivileged.gid);
  let mounted = true;
  const unmount = (): void => {
    if (!mounted) return;
    mounted = false;
    // Lazily: a server that was just killed may not have let go yet.
    execFileSync("umount", ["-l", folder]);
  };
  // Before the folder that it is in is removed.
  process.prependListener("exit", unmount);
  return {
    resize: (to) => execFileSync("mount", ["-o", `remount,size=${to}k`, folder]),
    unmount,
  };
}
