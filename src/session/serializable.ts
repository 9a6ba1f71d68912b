import { types } from "node:util";
import { SojournError } from "../contract/errors.ts";

/** A value that JSON would lose, and its place. */
interface Loss {
  path: string;
  what: string;
}

/**
 * Rejects values that JSON silently drops or changes. It walks the whole value, so callers check
 * only what changed.
 * @param path the value's name in the application, such as `req.session.cart`
 * @throws SojournError NOT_SERIALIZABLE with the path of the first such value. The message never
 * contains the value.
 */
export function requireSerializable(value: unknown, path: string): void {
  let loss: Loss | undefined;
  try {
    loss = lossIn(value, "", []);
  } catch (error) {
    throw notSerializable(path, "reading it throws", error);
  }
  if (loss !== undefined) throw notSerializable(path + loss.path, loss.what);
}

/** @param cause the error of `JSON.stringify` */
export function notSerializable(path: string, what: string, cause?: unknown): SojournError {
  return new SojournError(
    "NOT_SERIALIZABLE",
    `${path} can't be saved: ${what}. A session can hold null, booleans, finite numbers, text, arrays and plain objects of these, and objects with a toJSON()`,
    cause,
  );
}

/** Returns `.name`, or `["a name"]`. */
export function step(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}

/** @param above the enclosing objects, to detect circular references; restored on return */
function lossIn(value: unknown, key: string, above: object[]): Loss | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : { path: "", what: `it is ${value}, which JSON turns into null` };
    case "symbol":
      return { path: "", what: "it is a symbol" };
    default:
      return value === null ? undefined : lossInObject(Object(value), typeof value, key, above);
  }
}

/** Checks objects, functions, and boxed BigInts. */
function lossInObject(value: object, type: string, key: string, above: object[]): Loss | undefined {
  if ("toJSON" in value && typeof value.toJSON === "function") {
    if (types.isDate(value) && Number.isNaN(value.getTime())) return { path: "", what: "it is an invalid Date" };
    const given: unknown = value.toJSON(key);
    return Object(given) === given ? lossInParts(Object(given), above) : lossIn(given, key, above);
  }
  if (type === "function") return { path: "", what: "it is a function" };
  if (type === "bigint") return { path: "", what: "it is a BigInt" };
  if (types.isBoxedPrimitive(value)) return lossIn(value.valueOf(), key, above);
  return lossInParts(value, above);
}

function lossInParts(value: object, above: object[]): Loss | undefined {
  if (above.includes(value)) return { path: "", what: "it is a circular reference" };
  above.push(value);
  const loss = Array.isArray(value) ? lossInArray(value, above) : lossInProperties(value, above);
  above.pop();
  return loss;
}

function lossInArray(list: readonly unknown[], above: object[]): Loss | undefined {
  for (let i = 0; i < list.length; i += 1) {
    const value = list[i];
    if (value === undefined) return { path: `[${i}]`, what: "it is undefined, which JSON turns into null in an array" };
    const loss = isSimple(value) ? undefined : lossIn(value, String(i), above);
    if (loss !== undefined) return within(`[${i}]`, loss);
  }
  const name = Object.keys(list)[list.length];
  return name === undefined ? undefined : { path: step(name), what: "it is a named property of an array" };
}

function lossInProperties(value: object, above: object[]): Loss | undefined {
  const kind = Object.prototype.toString.call(value);
  if (kind !== "[object Object]") {
    return { path: "", what: `it is of the class ${kind.slice("[object ".length, -1)}, which JSON can't hold` };
  }
  const names = Object.keys(value);
  if (names.length === 0 && !isPlain(value)) {
    return { path: "", what: "it is an instance of a class without enumerable properties" };
  }
  for (const name of names) {
    const part: unknown = Reflect.get(value, name);
    const loss = isSimple(part) ? undefined : lossIn(part, name, above);
    if (loss !== undefined) return within(step(name), loss);
  }
  const symbol = Object.getOwnPropertySymbols(value).find((mark) =>
    Object.prototype.propertyIsEnumerable.call(value, mark),
  );
  return symbol === undefined ? undefined : { path: `[${String(symbol)}]`, what: "its name is a symbol" };
}

/** Recognises the commonest values, for speed. */
function isSimple(value: unknown): boolean {
  return typeof value === "string" || typeof value === "boolean" || value === null;
}

function within(place: string, { path, what }: Loss): Loss {
  return { path: place + path, what };
}

/** Accepts objects of another realm, such as those of `vm` and of some test runners. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
