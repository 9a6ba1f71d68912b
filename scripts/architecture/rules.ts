import { existsSync, globSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join, posix, sep } from "node:path";
import { type PackageManifest, readManifest } from "../package.ts";
import { findCircles } from "./circles.ts";
import {
  CLOCK,
  CONTRACT,
  CRYPTOGRAPHY,
  type Floor,
  floorOf,
  HELD_RESPONSE,
  isWithin,
  JITTER,
  newerBuiltins,
  OPTIONAL_PACKAGES,
  responseMethods,
} from "./floors.ts";
import { type Import, type Mention, readSource } from "./source.ts";

/** A broken rule: where, which one, and why it is one. */
export interface Violation {
  file: string;
  line: number;
  rule: "floors" | "circles" | "builtins" | "packages" | "resolution" | "clock" | "randomness" | "response";
  message: string;
}

/** Checks every file below `src/` of a folder that holds a `package.json`. */
export function checkArchitecture(root: string): Violation[] {
  const manifest = readManifest(root);
  const violations: Violation[] = [];
  const graph = new Map<string, { target: string; line: number }[]>();
  const files = globSync("src/**/*.ts", { cwd: root }).map((file) => file.split(sep).join("/"));

  for (const file of files.sort()) {
    const report = (line: number, rule: Violation["rule"], message: string) =>
      void violations.push({ file, line, rule, message });
    const floor = floorOf(file);
    if (floor === undefined) {
      report(1, "floors", "is on no floor: give it one in scripts/architecture/floors.ts, or move it to one");
      continue;
    }
    const { imports, globals, patches } = readSource(join(root, file));
    const edges: { target: string; line: number }[] = [];
    for (const entry of imports) {
      if (entry.specifier === "*") {
        if (file !== OPTIONAL_PACKAGES)
          report(entry.line, "resolution", "loads a module by a computed name, which nothing can check");
      } else if (isBuiltin(entry.specifier)) checkBuiltin(floor, entry, report);
      else if (!entry.specifier.startsWith(".")) checkPackage(manifest, entry, report);
      else {
        const target = posix.join(posix.dirname(file), entry.specifier);
        edges.push({ target, line: entry.line });
        if (!existsSync(join(root, target))) report(entry.line, "resolution", `imports ${target}, which isn't there`);
        else checkFloor(floor, target, entry.line, report);
      }
    }
    graph.set(file, edges);
    checkGlobals(file, globals, report);
    checkPatches(file, patches, report);
  }
  for (const { path, line } of findCircles(graph))
    violations.push({
      file: path[0] ?? "",
      line,
      rule: "circles",
      message: `imports itself in a circle: ${path.join(" → ")}. Move what they share to a file below both`,
    });
  return violations;
}

type Report = (line: number, rule: Violation["rule"], message: string) => void;

function checkFloor(floor: Floor, target: string, line: number, report: Report): void {
  if (target === CONTRACT || floorOf(target) === floor || floor.below.some((place) => isWithin(target, place))) return;
  const allowed = floor.below.length === 0 ? "nothing" : floor.below.join(", ");
  report(line, "floors", `imports ${target}, but ${floor.name} may import ${allowed}: ${floor.because}`);
}

function checkBuiltin(floor: Floor, { specifier, kind, line }: Import, report: Report): void {
  const name = specifier.startsWith("node:") ? specifier : `node:${specifier}`;
  if (!floor.builtins.includes(name)) {
    const allowed = floor.builtins.length === 0 ? "no module of Node" : `only ${floor.builtins.join(", ")}`;
    report(line, "builtins", `imports ${specifier}, but ${floor.name} may import ${allowed}: ${floor.because}`);
  } else if (kind === "value" && newerBuiltins.has(name))
    report(
      line,
      "builtins",
      `imports ${specifier}, which Node 20 hasn't: load it by process.getBuiltinModule and say so where it is missing`,
    );
}

function checkPackage(manifest: PackageManifest, { specifier, kind, line }: Import, report: Report): void {
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (name === manifest.name)
    report(line, "packages", `imports ${specifier} by its public name: inside, name the file`);
  else if (manifest.dependencies?.[name] === undefined && manifest.peerDependencies?.[name] === undefined)
    report(
      line,
      "packages",
      `imports ${name}, which package.json lists neither as a dependency nor as a peer: users won't have it`,
    );
  else if (kind === "value" && manifest.peerDependenciesMeta?.[name]?.optional === true)
    report(
      line,
      "packages",
      `imports ${name}, an optional peer that may be missing: import its types, and load it where it is used`,
    );
}

const READS_TIME = new Set([
  "setTimeout",
  "setInterval",
  "Date",
  "Date.now",
  "AbortSignal.timeout",
  "process.hrtime",
  "process.uptime",
]);

function checkGlobals(file: string, globals: readonly Mention[], report: Report): void {
  for (const { name, line } of globals) {
    if (/^crypto\b/.test(name)) {
      if (!isWithin(file, CRYPTOGRAPHY))
        report(
          line,
          "randomness",
          `uses ${name}: names and secrets are made in ${CRYPTOGRAPHY}, and come in as parameters`,
        );
    } else if (name === "Math.random") {
      if (!JITTER.some((place) => isWithin(file, place)))
        report(
          line,
          "randomness",
          `uses ${name}, which can be predicted: fit only to spread timers, in ${JITTER.join(", ")}`,
        );
    } else if (READS_TIME.has(name) || /^(performance|Temporal)\b/.test(name)) {
      if (file !== CLOCK)
        report(line, "clock", `uses ${name}: only ${CLOCK} reads the time, so that tests can hold it still`);
    }
  }
}

function checkPatches(file: string, patches: readonly Mention[], report: Report): void {
  if (isWithin(file, HELD_RESPONSE)) return;
  for (const { name, line } of patches)
    if (responseMethods.has(name))
      report(
        line,
        "response",
        `puts its own ${name} on an object: only ${HELD_RESPONSE}.ts patches a response, so that one file tells when bytes leave`,
      );
}
