/**
 * The floors of the house, from the top. Imports run down only: a file may import its own floor, and what `below` names.
 * `docs/ARCHITECTURE.md` tells what each floor is for; `npm run check` enforces this table, and biome.json the rest of the rules:
 * who reads the time, makes secrets, and patches a response.
 *
 * Places are regular expressions. `builtins` are the modules of Node that a floor may import.
 */
const CONTRACT = "^src/contract/";
const DEFAULT_STORE = "^src/stores/memory[.]ts$";
/** It only holds options, which `session()` reads. */
const SEALED_STORE = "^src/stores/sealed[.]ts$";

const floors = [
  {
    name: "index",
    place: "^src/index[.]ts$",
    below: [
      "^src/(compat|identity|http|sealed|wrap|session|crypto)/",
      DEFAULT_STORE,
      SEALED_STORE,
      "^src/stores/open[.]ts$",
    ],
    builtins: [],
    because:
      "It exports and does nothing else, and `sojourn` loads no store but the one in memory (openStore loads the one it is asked for).",
  },
  {
    name: "compat",
    place: "^src/compat/",
    below: ["^src/(http|sealed|wrap|session|crypto)/", DEFAULT_STORE, SEALED_STORE],
    builtins: ["events", "http", "util"],
    because: "It maps other libraries' worlds onto ours, from outside.",
  },
  {
    name: "identity",
    place: "^src/identity/",
    below: ["^src/(http|session|crypto)/", "^src/stores/optional-package[.]ts$"],
    builtins: ["http", "util"],
    because:
      "It guards routes and sessions by who is logged in and how, and by what browsers and providers say. No other part needs it.",
  },
  {
    name: "http",
    place: "^src/http/",
    below: ["^src/(sealed|wrap|session|crypto)/", DEFAULT_STORE, SEALED_STORE],
    builtins: ["async_hooks", "events", "http", "http2", "net", "stream", "tls", "util"],
    because: "It touches requests and responses, and leaves databases to the stores.",
  },
  {
    name: "sealed",
    place: "^src/sealed/",
    below: ["^src/(wrap|session|crypto)/"],
    builtins: ["util"],
    because: "It is sessions that live in their cookies, over the life of a session that all have.",
  },
  {
    name: "wrap",
    place: "^src/wrap/",
    below: ["^src/(session|crypto)/"],
    builtins: [],
    because: "It is stores around stores, and knows nothing of requests.",
  },
  {
    name: "session",
    place: "^src/session/",
    below: ["^src/crypto/"],
    builtins: ["async_hooks", "util"],
    because: "It is the life of a session, and knows no HTTP, no database and no clock but the one given to it.",
  },
  {
    name: "testing",
    place: "^src/testing/",
    below: ["^src/(wrap|session|crypto|stores)/"],
    builtins: ["assert", "assert/strict", "test", "util"],
    because: "It is for authors of stores, who never see the web.",
  },
  {
    name: "contract",
    place: CONTRACT,
    below: [],
    builtins: ["timers"],
    because: "It is what a store's author reads: everyone may import it, so it imports nothing.",
  },
  {
    name: "stores",
    place: "^src/stores/",
    below: [],
    builtins: ["crypto", "fs", "fs/promises", "module", "net", "path", "sqlite", "tls", "url", "util", "zlib"],
    because: "A store keeps opaque records, and knows nothing of HTTP, of sessions or of keys.",
  },
  {
    name: "crypto",
    place: "^src/crypto/",
    below: [],
    builtins: ["crypto"],
    because: "It is the ground floor: cryptography, and nothing that could leak into it.",
  },
];

/** The clients of the databases, and who may name them. */
const clients = [
  { place: "^src/stores/redis", packages: ["redis", "@redis/client", "ioredis"] },
  { place: "^src/stores/postgres", packages: ["pg"] },
  { place: "^src/stores/mysql", packages: ["mysql2"] },
  { place: "^src/identity/oidc", packages: ["jose"] },
];

const LOCAL = ["^(src|test|examples|scripts|bench|packages|dist)/"];
/** How an import may look that is not loaded with the file: a type, or something that is loaded when the code gets there. */
const LATER = ["type-only", "type-import", "dynamic-import", "process-get-builtin-module"];

const builtin = (names) => names.map((name) => `^(node:)?${name}$`);
const folder = (names) => names.map((name) => `(^|/)node_modules/(@types/)?${name}(/|$)`);

export default {
  forbidden: [
    ...floors.flatMap(({ name, place, below, builtins, because }) => [
      {
        name: `${name}-imports-down`,
        comment: because,
        severity: "error",
        from: { path: place },
        to: { path: LOCAL, pathNot: [place, CONTRACT, ...below] },
      },
      {
        name: `${name}-builtins`,
        comment: because,
        severity: "error",
        from: { path: place },
        to: { dependencyTypes: ["core"], pathNot: builtin(builtins) },
      },
    ]),
    {
      name: "on-a-floor",
      comment: "Each file of src is on a floor: give it one in .dependency-cruiser.mjs, or move it to one.",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: floors.map(({ place }) => place) },
    },
    {
      name: "on-a-floor-alone",
      comment: "Each file of src is on a floor: give it one in .dependency-cruiser.mjs, or move it to one.",
      severity: "error",
      from: { orphan: true, path: "^src/", pathNot: floors.map(({ place }) => place) },
      to: {},
    },
    {
      name: "no-circles",
      comment:
        "Two files in a circle, types included, are one file with a seam. Move what they share to a file below both.",
      severity: "error",
      from: { path: "^src/" },
      to: { circular: true },
    },
    {
      name: "resolves",
      comment: "An import leads to a file that is there.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, dependencyTypesNot: ["core"] },
    },
    {
      name: "dist-alone",
      comment: "What is published stands on its own.",
      severity: "error",
      from: { path: "^dist/" },
      to: { path: LOCAL, pathNot: "^dist/" },
    },
    {
      name: "listed-packages",
      comment: "What package.json lists neither as a dependency nor as a peer users won't have.",
      severity: "error",
      from: { path: "^src/" },
      to: {
        dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "npm-optional"],
        dependencyTypesNot: ["npm-peer"],
      },
    },
    {
      name: "optional-clients-late",
      comment: "A client may be missing: import its types, and load it where it is used.",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-peer"], dependencyTypesNot: LATER },
    },
    ...clients.map(({ place, packages }) => ({
      name: `${packages[0]}-in-its-store`,
      comment: "A database's client is the business of its store.",
      severity: "error",
      from: { path: "^src/", pathNot: place },
      to: { path: folder(packages) },
    })),
    {
      name: "sqlite-late",
      comment: "Node 20 hasn't node:sqlite: load it by process.getBuiltinModule, and say so where it is missing.",
      severity: "error",
      from: { path: "^src/" },
      to: { path: builtin(["sqlite"]), dependencyTypesNot: LATER },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    parser: "tsc",
    tsPreCompilationDeps: true,
    detectProcessBuiltinModuleCalls: true,
    builtInModules: { add: ["node:sqlite", "node:test"] },
    combinedDependencies: false,
    enhancedResolveOptions: { conditionNames: ["import", "require", "node", "default", "types"] },
  },
};
