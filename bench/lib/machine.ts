import { availableParallelism, cpus } from "node:os";
import { versions } from "node:process";

/** What the numbers were measured on. */
export function machine(): Record<string, string | number> {
  return {
    node: versions.node,
    v8: versions.v8,
    system: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    date: new Date().toISOString(),
  };
}
