/**
 * The programs of the question `start-up`: each makes one library's middleware, then serves requests to itself, and prints what that took. They
 * are texts, because they run in an empty folder in which the packed package is installed.
 */
export interface StartProgram {
  name: string;
  how: "import" | "require";
  /** What is installed beside the program. Fastify's plugins need a framework; the version before is another `sojourn`. */
  folder: "middleware" | "fastify" | "before";
  text: string;
}

/** What a program prints. Memory in bytes. */
export interface Started {
  /** From before the library is loaded until its middleware is made. */
  ms: number;
  cpuMs: number;
  rss: number;
  heap: number;
  /** Until requests are answered that have nothing to do with sessions. */
  servingCpuMs: number;
  /** From the first request that has a session, but does not use it, until its response is written. */
  firstMs: number;
  /** The first login, likewise. */
  loginMs: number;
}

const SECRET = JSON.stringify("a secret of the benchmark, 32 bytes and more");

interface Library {
  /** Statements that make `middleware`; `load` takes the place of `import` and `require`. */
  make: string;
  /** An expression that logs `req` in and ends `res`. */
  login: string;
}

const ours = (store: string): Library => ({
  make: `${store === "" ? "" : `const { ${store.split("(")[0]} } = await load("sojourn/${store.split("Store")[0]?.toLowerCase()}");`}
    const { session } = await load("sojourn");
    const middleware = session({ secret: ${SECRET}${store === "" ? "" : `, store: new ${store}`} });`,
  login: 'req.session.login("alice").then(() => res.end())',
});
const expressSession = (name: string): Library => ({
  make: `const session = await load("${name}");
    const middleware = session({ secret: ${SECRET}, resave: false, saveUninitialized: false });`,
  login: 'req.session.regenerate(() => { req.session.user = "alice"; res.end(); })',
});

const BOTH = ["import", "require"] as const;
const LIBRARIES: readonly [name: string, hows: readonly StartProgram["how"][], library: Library][] = [
  ["sojourn", BOTH, ours("")],
  ["sojourn, SQLite", ["import"], ours('SqliteStore(":memory:")')],
  ["sojourn, sealed", ["import"], ours("SealedStore()")],
  ["sojourn/express-session", BOTH, expressSession("sojourn/express-session")],
  ["express-session", BOTH, expressSession("express-session")],
  [
    "cookie-session",
    BOTH,
    {
      make: `const session = await load("cookie-session");
        const middleware = session({ keys: [${SECRET}] });`,
      login: '(req.session = { user: "alice" }, res.end())',
    },
  ],
];

const BEGIN = `
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  const began = performance.now();`;

const MADE = `
  const cpuMs = (since) => { const { user, system } = process.cpuUsage(since); return (user + system) / 1000; };
  const now = process.memoryUsage();
  const started = { ms: performance.now() - began, cpuMs: cpuMs(cpu), rss: now.rss - memory.rss, heap: now.heapUsed - memory.heapUsed };`;

/** Sends requests over one connection, and times each in the server: from its arrival until its response is written. */
const VISIT = `
  let written;
  server.prependListener("request", (req, res) => {
    const arrived = performance.now();
    res.on("finish", () => written(performance.now() - arrived));
  });
  if (!server.listening) await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = process.getBuiltinModule("node:net").connect(server.address().port, "127.0.0.1");
  let answer = "";
  let answered;
  socket.on("data", (chunk) => {
    answer += chunk;
    if (answer.endsWith("\\r\\n\\r\\n")) answered();
  });
  // No answer has a body. The event loop comes to rest before the next request.
  async function ask(path) {
    const time = new Promise((resolve) => { written = resolve; });
    const whole = new Promise((resolve) => { answered = resolve; });
    answer = "";
    socket.write("GET " + path + " HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n");
    await whole;
    const ms = await time;
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    return ms;
  }
  for (let i = 0; i < 5; i++) await ask("/bare");
  started.servingCpuMs = cpuMs(cpu);
  started.firstMs = await ask("/first");
  started.loginMs = await ask("/login");
  if (!/^set-cookie:/im.test(answer)) throw new Error("the login brought no cookie: " + answer);
  process.stdout.write(JSON.stringify(started), () => process.exit());`;

function programOf(how: StartProgram["how"], { make, login }: Library): string {
  const load =
    how === "require"
      ? "const load = require;"
      : "const load = async (name) => { const module = await import(name); return module.default ?? module; };";
  return `${load}
(async () => {${BEGIN}
  ${make}${MADE}
  const server = process.getBuiltinModule("node:http").createServer((req, res) => {
    if (req.url === "/bare") res.end();
    else middleware(req, res, () => (req.url === "/login" ? ${login} : res.end()));
  });${VISIT}
})();
`;
}

/** Fastify itself is loaded before the clock starts. */
const FASTIFY = `
  import fastify from "fastify";
  const app = fastify();${BEGIN}
  const { default: cookie } = await import("@fastify/cookie");
  const { default: session } = await import("@fastify/session");
  app.get("/bare", async () => "");
  app.register(async (part) => {
    await part.register(cookie);
    await part.register(session, { secret: ${SECRET}, saveUninitialized: false, cookie: { secure: false } });
    part.get("/first", async () => "");
    part.get("/login", async (req) => {
      await req.session.regenerate();
      req.session.user = "alice";
      return "";
    });
  });
  await app.ready();${MADE}
  await app.listen({ port: 0, host: "127.0.0.1" });
  const { server } = app;${VISIT}
`;

/** @param withBefore whether our programs also run with the version before */
export function startPrograms(withBefore: boolean): StartProgram[] {
  const of = (folder: StartProgram["folder"], libraries: typeof LIBRARIES, mark = "") =>
    libraries.flatMap(([name, hows, library]) =>
      hows.map((how): StartProgram => ({ name: name + mark, how, folder, text: programOf(how, library) })),
    );
  const ours = LIBRARIES.filter(([name]) => name.startsWith("sojourn"));
  return [
    ...of("middleware", LIBRARIES),
    ...(withBefore ? of("before", ours, ", before") : []),
    { name: "@fastify/session", how: "import", folder: "fastify", text: FASTIFY },
  ];
}
