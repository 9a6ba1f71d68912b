import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** In memory where that can be had: hundreds of new databases would wait for the disk. */
const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A folder of its own for each test, and how to remove it. */
export function temporaryFolder(): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(base, "sojourn-"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
