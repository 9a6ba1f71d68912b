import { closeSync, openSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Keeps back some of the disk beside a database: whether it is kept. Written in full: a file with holes would keep nothing back. */
export function keepReserve(file: string, bytes: number): boolean {
  const path = reservePath(file);
  try {
    const descriptor = openSync(path, "wx", 0o600);
    const zeros = Buffer.alloc(bytes);
    try {
      for (let written = 0; written < zeros.length; ) written += writeSync(descriptor, zeros, written);
    } finally {
      closeSync(descriptor);
    }
    return true;
  } catch (error) {
    // Another process may have done it.
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return true;
    giveUpReserve(file);
    return false;
  }
}

export function giveUpReserve(file: string): void {
  try {
    unlinkSync(reservePath(file));
  } catch {
    // Another process was first.
  }
}

/** What this process may still write there; 0 where nobody can say. */
export function bytesFreeBeside(file: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize;
  } catch {
    return 0;
  }
}

function reservePath(file: string): string {
  return `${file}-reserve`;
}
