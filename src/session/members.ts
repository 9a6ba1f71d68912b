/** The names of a session's members, which are no data. */

/** The members that are readable properties. Only the session's methods change them. */
export const FACTS: ReadonlySet<string> = new Set([
  "id",
  "isNew",
  "userId",
  "createdAt",
  "actor",
  "authenticatedAt",
  "authenticationMethods",
  "expiresAt",
  "transport",
]);

const METHODS = [
  "save",
  "reload",
  "regenerate",
  "login",
  "confirm",
  "impersonate",
  "stopImpersonating",
  "logout",
  "destroy",
  "touch",
  "update",
  "persist",
  "flash",
];

/** Advice for code that writes to a member of a session. */
const INSTEAD: Readonly<Record<string, string>> = {
  id: "To rotate it, call await req.session.regenerate()",
  userId: "To log in, call await req.session.login(userId); to log out, req.session.logout() or req.session.destroy()",
  actor: "To act as another user, call await req.session.impersonate(userId, { reason })",
  authenticatedAt: "To set it after another check of the password, call await req.session.confirm()",
  expiresAt: "To move it, call await req.session.persist(duration), or req.session.touch()",
  flash:
    "Instead of connect-flash, use app.use((req, res, next) => { req.flash = (...args) => req.session.flash(...args); next(); })",
};

export const MEMBERS: ReadonlySet<string> = new Set([...FACTS, ...METHODS, "__proto__"]);

/** Rejects a write to a member of a session, which would do nothing. @throws TypeError */
export function refuseMember(name: string): never {
  const instead = Object.hasOwn(INSTEAD, name) ? `. ${INSTEAD[name]}` : "";
  throw new TypeError(`req.session.${name} is a member of the session: choose another name for your data${instead}`);
}
