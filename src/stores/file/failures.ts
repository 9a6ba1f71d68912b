import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

/** The system's name for what went wrong, such as `ENOENT`; `undefined` for an error that is not the system's. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" && "syscall" in error
    ? error.code
    : undefined;
}

/** Runs what may find that a file is missing, or there already; then gives `otherwise`. */
export async function unless<T, U>(codes: readonly string[], otherwise: U, work: () => Promise<T>): Promise<T | U> {
  try {
    return await work();
  } catch (error) {
    const code = systemCode(error);
    if (code !== undefined && codes.includes(code)) return otherwise;
    throw error;
  }
}

const MAPPED: Readonly<Record<string, readonly [SojournErrorCode, string]>> = {
  ENOSPC: ["STORE_FULL", "has no room left on its disk"],
  EDQUOT: ["STORE_FULL", "has used up its quota of the disk"],
  EACCES: ["STORE_UNAVAILABLE", "may not be used by this process"],
  EPERM: ["STORE_UNAVAILABLE", "may not be used by this process"],
  EROFS: ["STORE_UNAVAILABLE", "is on a read-only file system"],
  EMFILE: ["STORE_UNAVAILABLE", "can't be used: this process has too many files open"],
  ENFILE: ["STORE_UNAVAILABLE", "can't be used: this machine has too many files open"],
  ENOENT: ["STORE_UNAVAILABLE", "was removed while in use"],
  ENOTDIR: ["STORE_UNAVAILABLE", "is no folder, or has a file where a folder should be"],
  EIO: ["STORE_UNAVAILABLE", "can't be read or written (I/O error)"],
  EOWNER: [
    "STORE_UNAVAILABLE",
    "has a folder of another user, who could replace sessions: change its owner, or take another folder",
  ],
  ELOOP: ["STORE_CORRUPT", "has a symbolic link in it, which the store never makes: remove it"],
};

/** The error that a caller sees. The system's messages name paths, which hold hashes, so the cause may travel along. */
export function storeError(error: unknown, folder: string): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  const [ours, what] = MAPPED[code] ?? ["STORE_UNAVAILABLE", `failed (${code})`];
  return new SojournError(ours, `The session folder ${folder} ${what}.`, error);
}

/** What `stat` would say of a folder that was there before. */
export function vanishedError(path: string): Error {
  const message = `ENOENT: the folder of all sessions is gone, '${path}'`;
  return Object.assign(new Error(message), { code: "ENOENT", syscall: "lstat", path });
}

export function ownerError(path: string, uid: number): Error {
  const message = `EOWNER: user ${uid} owns '${path}'`;
  return Object.assign(new Error(message), { code: "EOWNER", syscall: "lstat", path });
}

export function linkError(path: string): Error {
  const message = `ELOOP: a symbolic link where a folder should be, '${path}'`;
  return Object.assign(new Error(message), { code: "ELOOP", syscall: "lstat", path });
}
