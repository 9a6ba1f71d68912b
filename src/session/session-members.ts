/** What a session says about itself. It can be read, and changed only by the session's methods. */
export const FACTS: ReadonlySet<string> = new Set(["id", "isNew", "userId", "createdAt", "expiresAt", "transport"]);

const METHODS = ["save", "reload", "regenerate", "login", "logout", "destroy", "touch", "update", "persist", "flash"];

/** What to do instead of writing to a member of a session; for the others there is nothing but another name. */
const INSTEAD: Readonly<Record<string, string>> = {
  id: "For a new one, await req.session.regenerate()",
  userId:
    "To log in, await req.session.login(userId); to log out, await req.session.logout(), or req.session.destroy()",
  expiresAt: "To move it, await req.session.persist(duration), or req.session.touch()",
  flash:
    "In the place of connect-flash: app.use((req, res, next) => { req.flash = (...given) => req.session.flash(...given); next(); })",
};

const MEMBERS = new Set([...FACTS, ...METHODS, "__proto__"]);

/** @throws TypeError where a name belongs to the session itself, so that writing to it or deleting it would do nothing */
export function refuseMember(name: string): void {
  if (!MEMBERS.has(name)) return;
  const instead = Object.hasOwn(INSTEAD, name) ? `. ${INSTEAD[name]}` : "";
  throw new TypeError(`req.session.${name} belongs to the session itself: choose another name for your data${instead}`);
}

/** Names by which an object leads to its prototype, and the one under which express-session keeps its cookie: unless they are data, they lead nowhere. */
export function isWithheld(name: string): boolean {
  return name === "constructor" || name === "__proto__" || name === "cookie";
}

const COOKIE_MEMBERS: ReadonlySet<string | symbol> = new Set([
  "maxAge", "originalMaxAge", "expires", "path", "domain", "secure", "httpOnly", "sameSite", "partitioned", "priority",
]); // biome-ignore format: a list of names

function refuseCookie(): never {
  throw new TypeError(
    "req.session.cookie: a session of sojourn has no cookie object. How long it lives: await req.session.persist(duration), or " +
      "login(userId, { remember: duration }); when it ends: req.session.expiresAt; to end it: await req.session.destroy(); the " +
      "cookie's attributes: session({ cookie })",
  );
}

/** What `req.session.cookie` is. For code that was written for express-session: it says what to do, where nothing would happen. */
export const NO_COOKIE: object = new Proxy(Object.freeze({}), {
  get: (_target, name) => (COOKIE_MEMBERS.has(name) ? refuseCookie() : undefined),
  set: refuseCookie,
  defineProperty: refuseCookie,
  deleteProperty: refuseCookie,
});

/** For members of a session that are looked at on something else: most often a copy which a library has made. */
export function copyError(): TypeError {
  return new TypeError(
    "this is no session but a copy of one, which has only its data: use req.session itself, or copy the data with { ...req.session }",
  );
}
