/**
 * The floors of the house, from the top. Imports run down only: a file may import its own floor, and what `below` names.
 * `docs/ARCHITECTURE.md` tells what each floor is for; this table is what the build enforces.
 */
export interface Floor {
  name: string;
  /** The files of the floor: a folder ending in `/`, or one file. */
  place: string;
  /** Folders and files that it may import besides its own. */
  below: readonly string[];
  /** Modules of Node that it may import. */
  builtins: readonly string[];
  /** Why, for whoever broke the rule. */
  because: string;
}

/** Everyone may import the contract. */
export const CONTRACT = "src/stores/store.ts";
const DEFAULT_STORE = "src/stores/memory.ts";

export const floors: readonly Floor[] = [
  {
    name: "the public face",
    place: "src/index.ts",
    below: ["src/compat/", "src/http/", "src/core/", "src/tokens/", DEFAULT_STORE, "src/stores/open.ts"],
    builtins: [],
    because:
      "it exports and does nothing else, and importing `sojourn` loads no store but the one in memory (openStore loads the one it is asked for)",
  },
  {
    name: "compat",
    place: "src/compat/",
    below: ["src/http/", "src/core/", "src/tokens/", DEFAULT_STORE, "src/stores/sealed"],
    builtins: ["node:http", "node:util", "node:events"],
    because: "it maps other libraries' worlds onto ours, from outside",
  },
  {
    name: "http",
    place: "src/http/",
    below: ["src/core/", "src/tokens/", DEFAULT_STORE],
    builtins: [
      "node:http",
      "node:async_hooks",
      "node:http2",
      "node:net",
      "node:tls",
      "node:stream",
      "node:util",
      "node:events",
    ],
    because: "it touches requests and responses, and leaves databases to the stores",
  },
  {
    name: "core",
    place: "src/core/",
    below: ["src/tokens/"],
    builtins: ["node:async_hooks", "node:timers", "node:util"],
    because: "it is the life of a session, and knows no HTTP, no database and no clock but the one given to it",
  },
  {
    name: "testing",
    place: "src/testing/",
    below: ["src/core/", "src/tokens/", "src/stores/"],
    builtins: ["node:assert", "node:assert/strict", "node:test", "node:util"],
    because: "it is for authors of stores, who never see the web",
  },
  {
    name: "the store contract",
    place: CONTRACT,
    below: [],
    builtins: [],
    because: "everyone may import it, so it imports nothing",
  },
  {
    name: "stores",
    place: "src/stores/",
    below: ["src/core/awaitable.ts", "src/core/clock.ts", "src/core/errors.ts"],
    builtins: [
      "node:fs",
      "node:fs/promises",
      "node:module",
      "node:net",
      "node:path",
      "node:sqlite",
      "node:tls",
      "node:url",
      "node:util",
      "node:zlib",
      "node:crypto",
    ],
    because: "a store keeps opaque records, and knows nothing of HTTP, of sessions or of keys",
  },
  {
    name: "tokens",
    place: "src/tokens/",
    below: [],
    builtins: ["node:crypto"],
    because: "it is the ground floor: cryptography, and nothing that could leak into it",
  },
];

/** The one file that reads the time; see house rule 7 in `CONTRIBUTING.md`. */
export const CLOCK = "src/core/clock.ts";
/** The one file that loads a package by a computed name. Its callers name the package in an `import()`, which is checked. */
export const OPTIONAL_PACKAGES = "src/stores/optional-package.ts";
/** The one file (or folder of that name) that patches a response. */
export const HELD_RESPONSE = "src/http/held-response";
/** The one floor that makes names and secrets. */
export const CRYPTOGRAPHY = "src/tokens/";
/** Where `Math.random` may spread timers, so that processes don't act all at once. Elsewhere names and headers are made. */
export const JITTER: readonly string[] = ["src/core/", "src/stores/"];

/** Modules of Node that the oldest supported version hasn't; a file that loads them at once could not be imported there. */
export const newerBuiltins: ReadonlySet<string> = new Set(["node:sqlite"]);

/** The methods of a response that send something or say what will be sent. */
export const responseMethods: ReadonlySet<string> = new Set([
  "addTrailers",
  "appendHeader",
  "assignSocket",
  "cork",
  "end",
  "flushHeaders",
  "headersSent",
  "pipe",
  "removeHeader",
  "setHeader",
  "setHeaders",
  "uncork",
  "writableEnded",
  "writableFinished",
  "write",
  "writeContinue",
  "writeEarlyHints",
  "writeHead",
  "writeProcessing",
]);

/** The floor of a file: the first one whose place holds it. */
export function floorOf(file: string): Floor | undefined {
  return floors.find(({ place }) => isWithin(file, place));
}

/** Whether a file is a place, or lies in it: `src/core/` holds all that is beneath, `src/stores/sealed` that file or folder. */
export function isWithin(file: string, place: string): boolean {
  if (place.endsWith("/") || place.endsWith(".ts"))
    return file === place || (place.endsWith("/") && file.startsWith(place));
  return file === `${place}.ts` || file.startsWith(`${place}/`);
}
