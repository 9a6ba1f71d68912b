/** Names that sojourn's sessions have for members, and express-session's don't: data needs another name. */
const MEMBERS = new Set([
  "actor",
  "authenticatedAt",
  "authenticationMethods",
  "confirm",
  "createdAt",
  "expiresAt",
  "flash",
  "impersonate",
  "isNew",
  "login",
  "logout",
  "persist",
  "stopImpersonating",
  "transport",
  "update",
]);

/** `= …`, `??= …`, `+= …`, `++`: what makes a property data of the application's. */
const ASSIGNED = /\bsession\.(\w+)\s*(?:(?:\?\?|\|\||&&|\*\*|<<|>>>?|[-+*/%&|^])?=(?![=>])|\+\+|--)/g;

/** Which of these names an application gives to data: those that it assigns. */
export function takenNames(texts) {
  const assigned = texts.flatMap((text) => [...text.matchAll(ASSIGNED)]).map(([, name]) => name);
  return new Set(assigned.filter((name) => MEMBERS.has(name)));
}

/** Functions that these are given to are called and forgotten, or their result counts: they can't become asynchronous. */
const SYNCHRONOUS = new Set([
  "every",
  "filter",
  "find",
  "findIndex",
  "flatMap",
  "forEach",
  "map",
  "reduce",
  "some",
  "sort",
]);

/** `req.session`, `request.session`, `ctx.req.session`. */
function isSession(node) {
  if (!/MemberExpression$/.test(node?.type ?? "") || node.computed || node.property.name !== "session") return false;
  return /^(?:req|request)$/.test(node.object.name ?? node.object.property?.name ?? "");
}

/** `req.session.NAME` */
function members(source, name) {
  return source
    .of("MemberExpression", "OptionalMemberExpression")
    .filter((node) => isSession(node.object) && memberName(node) === name);
}

function memberName(node) {
  return node.computed ? node.property.value : node.property.name;
}

/** What handlers do with a session of express-session that one of sojourn does otherwise. */
export function convertHandlers(source, project) {
  const isTarget = (node) => source.parent(node).type === "AssignmentExpression" && source.parent(node).left === node;

  for (const node of source.of("UnaryExpression")) {
    if (node.operator !== "delete") continue;
    const { argument } = node;
    if (isSession(argument)) awaited(source, node, `${source.textOf(argument)}.destroy()`, project);
    else if (isSession(argument.object) && memberName(argument) === "userId")
      awaited(source, node, `${source.textOf(argument.object)}.logout()`, project);
  }

  for (const node of members(source, "userId")) {
    const assignment = source.parent(node);
    if (!isTarget(node) || assignment.operator !== "=") continue;
    const session = source.textOf(node.object);
    const { right } = assignment;
    if (right.type === "NullLiteral" || right.name === "undefined")
      awaited(source, assignment, `${session}.logout()`, project);
    else if (awaited(source, assignment, `${session}.login(String(${source.textOf(right)}))`, project))
      source.note(assignment, "req.session.userId is text from now on, and null before a login");
  }

  for (const node of source.of("MemberExpression", "OptionalMemberExpression")) {
    if (!isSession(node.object) || !project.taken.has(memberName(node)) || node.computed) continue;
    const parent = source.parent(node);
    if (/CallExpression$/.test(parent.type) && parent.callee === node) continue;
    const name = `${memberName(node)}Data`;
    source.note(
      node,
      `sojourn's sessions have a member ${memberName(node)}: this data is called ${name} now, everywhere`,
    );
    source.replace(node.property, name);
  }

  for (const node of members(source, "cookie")) convertCookie(source, node, project);
  for (const node of source.of("MemberExpression", "OptionalMemberExpression")) {
    if (node.computed || !/^(?:req|request)$/.test(node.object.name ?? "")) continue;
    if (node.property.name === "sessionStore")
      source.note(
        node,
        "req.sessionStore is gone: sessions.list, get, revoke and revokeAll of the middleware manage sessions",
      );
    if (node.property.name === "sessionOptions")
      source.note(node, "req.sessionOptions is gone: persist(duration) changes how long one session lives");
  }
  for (const name of ["isPopulated", "isChanged"])
    for (const node of members(source, name))
      source.note(node, `req.session.${name} is gone: Object.keys(req.session).length says whether it holds anything`);

  // A browser is told by sojourn itself, and the cookie has another name.
  for (const node of source.of("CallExpression")) {
    if (node.callee.property?.name !== "clearCookie" || node.arguments[0]?.value !== "connect.sid") continue;
    const statement = source.parent(node);
    if (statement.type === "ExpressionStatement" && source.parent(statement).type === "BlockStatement")
      source.removeStatement(statement);
    else source.note(node, "sojourn clears its cookie itself when a session ends");
  }
  for (const node of source.of("CallExpression"))
    if (node.callee.property?.name === "serializeUser")
      source.note(
        node,
        "call req.session.login(id, callback) here, with serializeUser((req, user, done) => …), and sojourn knows whose session it is",
      );
}

/** `req.session.cookie.maxAge = …` is `persist(…)`; nothing else of the cookie can be set. */
function convertCookie(source, node, project) {
  const member = source.parent(node);
  if (/MemberExpression$/.test(member.type) && member.object === node) {
    const assignment = source.parent(member);
    const session = source.textOf(node.object);
    if (assignment.type === "AssignmentExpression" && assignment.left === member) {
      const name = memberName(member);
      const off = ["NullLiteral", "BooleanLiteral"].includes(assignment.right.type);
      if (name === "maxAge" || (name === "expires" && off)) {
        awaited(source, assignment, `${session}.persist(${off ? "false" : source.textOf(assignment.right)})`, project);
        return;
      }
    }
    if (memberName(member) === "expires" || memberName(member) === "maxAge") {
      source.note(member, "req.session.cookie is gone: req.session.expiresAt says when the session ends");
      return;
    }
  }
  source.note(
    node,
    "req.session.cookie is gone: cookie of session() sets its attributes, persist(duration) how long it lives",
  );
}

/** Waits for a call in the place of an expression; the function around it becomes asynchronous. */
function awaited(source, node, call, project) {
  const statement = source.parent(node);
  const around = source.functionAround(node);
  const given = around && source.parent(around);
  const synchronous = given?.type === "CallExpression" && SYNCHRONOUS.has(given.callee.property?.name);
  const alone = statement.type === "ExpressionStatement";
  if (!alone || synchronous || around?.generator || (around === undefined && !source.esm)) {
    source.note(node, `write here: await ${call}`);
    return false;
  }
  if (around !== undefined && !around.async && !project.madeAsync.has(around)) {
    project.madeAsync.add(around);
    source.insert(around.type.endsWith("Method") ? around.key.start : around.start, "async ");
    if (project.express4)
      source.note(
        around,
        "Express 4 does not handle what an async function rejects with: catch it, and pass it to next",
      );
  }
  source.replace(node, `await ${call}`);
  return true;
}
