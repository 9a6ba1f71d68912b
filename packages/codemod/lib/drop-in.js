/** The modules whose place a drop-in takes. */
const DROP_INS = /^(?:express-session(?:\/session\/(?:cookie|memory|session|store)(?:\.js)?)?|cookie-session)$/;

/** Calls that take the name of a module: `require("…")`, `jest.mock("…")`. */
const LOADS = new Set(["require", "mock", "doMock", "unmock", "requireActual", "importActual", "resolve"]);

/** Every place that names a module of the originals. */
export function originals(source) {
  return source.of("StringLiteral").filter((literal) => {
    if (!DROP_INS.test(literal.value)) return false;
    const parent = source.parent(literal);
    switch (parent.type) {
      case "ImportDeclaration":
      case "ExportNamedDeclaration":
      case "ExportAllDeclaration":
        return parent.source === literal;
      case "TSExternalModuleReference":
      case "ImportExpression":
      case "TSImportType":
      case "TSModuleDeclaration":
        return true;
      case "TSLiteralType":
        return source.parent(parent).type === "TSImportType";
      case "CallExpression": {
        const { callee } = parent;
        const name = callee.type === "Import" ? "require" : (callee.name ?? callee.property?.name);
        return parent.arguments[0] === literal && LOADS.has(name);
      }
      default:
        return false;
    }
  });
}

/** Stores that load express-session by themselves, whatever the application imports. */
const LOAD_IT_THEMSELVES = ["connect-redis", "connect-mongo", "connect-dynamodb", "connect-session-sequelize"];

/** One import changes, everything else stays: options, cookies, records and stores are the same. */
export function toDropIn(source) {
  for (const literal of originals(source)) {
    const module = literal.value.replace(/\.js$/, "");
    const quote = source.text[literal.start];
    source.replace(literal, `${quote}sojourn/${module}${quote}`);
  }
  for (const store of LOAD_IT_THEMSELVES)
    for (const { statement } of source.bindings(store))
      source.note(
        statement,
        `${store} loads express-session by itself: keep it installed, or install sojourn's under its name (npm:sojourn-express-session)`,
      );
}
