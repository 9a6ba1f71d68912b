/** Turns the options of `session({ … })` of express-session, or of `cookieSession({ … })`, into those of sojourn's `session`. */
export function convertOptions(source, object, kind, wanted) {
  const { text } = source;
  const kept = [];
  const given = new Map();
  let idle;
  for (const property of object.properties) {
    if (property.type !== "ObjectProperty" || property.computed) {
      source.note(property, "these options are not written here: compare them with the options of sojourn's session()");
      kept.push(property);
      continue;
    }
    given.set(nameOf(property), property);
  }
  const value = (name) => source.textOf(given.get(name).value);
  const lines = [];
  const add = (line, of) => lines.push(withComments(source, line, of, object));

  if (kind === "cookie-session") {
    const keys = given.has("keys") ? value("keys") : given.has("secret") ? value("secret") : undefined;
    const secret = keys === undefined || keys === "secret" ? (keys ?? "") : `secret: ${keys}`;
    wanted("sojourn/sealed", "SealedStore");
    add(`store: new SealedStore({ ${secret} })`, given.get("keys") ?? given.get("secret"));
    for (const option of ["signed", "overwrite", "secureProxy", "encrypt"]) given.delete(option);
  } else {
    if (given.has("store")) add(source.textOf(given.get("store")), given.get("store"));
    if (given.has("secret")) add(source.textOf(given.get("secret")), given.get("secret"));
  }
  const name = given.get("name") ?? given.get("key");
  if (name !== undefined) add(name.shorthand ? source.textOf(name) : `name: ${source.textOf(name.value)}`, name);
  if (given.get("proxy")?.value.value === true) add("trustProxy: true", given.get("proxy"));
  if (given.has("genid"))
    source.note(given.get("genid"), "genid is gone: sojourn makes the ID of a session, and it opens nothing");

  const attributes = new Map();
  if (kind === "cookie-session")
    for (const attribute of COOKIE) if (given.has(attribute)) attributes.set(attribute, given.get(attribute));
  const cookie = given.get("cookie");
  if (cookie?.value.type === "ObjectExpression") {
    for (const property of cookie.value.properties) {
      if (property.type === "ObjectProperty" && !property.computed) attributes.set(nameOf(property), property);
      else kept.push(property);
    }
  } else if (cookie !== undefined) {
    source.note(cookie, "maxAge is no option of sojourn's cookie: it is idleTimeout and absoluteTimeout of session()");
    add(source.textOf(cookie), cookie);
  }
  const sent = [];
  for (const [attribute, property] of attributes) {
    if (attribute === "maxAge") {
      if (property.value.type !== "NullLiteral") idle = property;
    } else if (attribute === "expires")
      source.note(property, "cookie.expires is gone: see idleTimeout and absoluteTimeout");
    else if (attribute === "sameSite" && property.value.type === "BooleanLiteral") {
      if (property.value.value) sent.push('sameSite: "strict"');
      else
        source.note(property, 'the cookie is SameSite=Lax now; sameSite: "none" sends it with requests of other sites');
    } else if (attribute !== "signed") sent.push(source.textOf(property));
  }
  if (sent.length > 0) add(`cookie: { ${sent.join(", ")} }`, cookie);

  if (idle !== undefined) {
    const rolling = given.get("rolling")?.value.value === true;
    const lives = source.textOf(idle.value);
    add(`idleTimeout: ${lives}`, idle);
    add(`absoluteTimeout: ${rolling ? "false" : lives}`, undefined);
    source.note(
      object,
      'the server ends sessions now, the cookie ends with the browser: login(id, { remember: "30d" }) or persist("30d") lets it outlive it',
    );
  } else
    source.note(
      object,
      "sessions end after 30 minutes without a request, and 12 hours after they began: idleTimeout and absoluteTimeout say otherwise",
    );
  // What was spread came first, or would override what is written here.
  lines.unshift(...kept.map((property) => source.textOf(property)));

  const first = object.properties[0];
  const several = first !== undefined && text.slice(object.start, first.start).includes("\n");
  if (!several) return `{ ${lines.join(", ")} }`;
  const indent = /^[ \t]*/.exec(text.slice(source.lineStart(first.start)))[0];
  const closing = /^[ \t]*/.exec(text.slice(source.lineStart(object.end)))[0];
  return `{\n${lines.map((line) => `${indent}${line.includes("\0") ? line.replace("\0", ",") : `${line},`}\n`).join("")}${closing}}`;
}

const COOKIE = ["maxAge", "expires", "path", "domain", "sameSite", "secure", "httpOnly", "partitioned", "priority"];

function nameOf(property) {
  return property.key.name ?? property.key.value;
}

/** An option keeps the comment that its author wrote behind it. NUL marks where the comma belongs. */
function withComments(source, line, property, object) {
  if (property === undefined) return line;
  const end = source.text.indexOf("\n", property.end);
  if (end < 0 || end > object.end) return line;
  const comment = /^\s*,?\s*(\/\/.*)$/.exec(source.text.slice(property.end, end))?.[1];
  return comment === undefined ? line : `${line}\0 ${comment}`;
}
