import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

/** Returns the code of a system error, such as `ENOENT`, or `undefined` for any other error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" && "syscall" in error
    ? error.code
    : undefined;
}

/** Runs `work`. Returns `otherwise` if it fails with one of these codes. */
export async function unless<T, U>(codes: readonly string[], otherwise: U, work: () => Promise<T>): Promise<T | U> {
  try {
    return await work();
  } catch (error) {
    const code = systemCode(error);
    if (code !== undefined && codes.includes(code)) return otherwise;
    throw error;
  }
}

/** Runs `work`. Returns `false` if it fails with one of these codes, else `true`. */
export function succeeds(codes: readonly string[], work: () => Promise<unknown>): Promise<boolean> {
  return unless(codes, false, () => work().then(() => true));
}

/** What a system error says about the session folder. */
const FAILURES: Readonly<Record<string, string>> = {
  ENOSPC: "has no space left on its disk",
  EDQUOT: "has used up its disk quota",
  EACCES: "is not accessible to this process",
  EPERM: "is not accessible to this process",
  EROFS: "is on a read-only file system",
  EMFILE: "can't be used: this process has too many open files",
  ENFILE: "can't be used: this system has too many open files",
  ENOENT: "was removed while in use",
  ENOTDIR: "is not a folder, or contains a file in place of a folder",
  EIO: "can't be read or written (I/O error)",
  EOWNER: "contains a folder of another user, who could replace sessions: change its owner, or use another folder",
  ELOOP: "contains a symbolic link, which the store never creates: remove it",
};
/** The codes of failures that are not `STORE_UNAVAILABLE`. */
const CODES: Readonly<Record<string, SojournErrorCode>> = {
  ENOSPC: "STORE_FULL",
  EDQUOT: "STORE_FULL",
  ELOOP: "STORE_CORRUPT",
};

/** Returns the error for callers. Its cause names paths, which have hashes and no data. */
export function storeError(error: unknown, folder: string): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  const failure = FAILURES[code] ?? `failed (${code})`;
  return new SojournError(CODES[code] ?? "STORE_UNAVAILABLE", `The session folder ${folder} ${failure}.`, error);
}

/** Makes an error that looks like one of the system, for what the store refuses by itself. */
export function refusal(code: "ENOENT" | "EOWNER" | "ELOOP", reason: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${reason}, '${path}'`), { code, syscall: "lstat", path });
}
