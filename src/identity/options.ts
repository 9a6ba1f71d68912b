import { inspect } from "node:util";

/** @throws TypeError for options that are no object, and for an unknown one */
export function refuseUnknownOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${call}(options): options must be an object`);
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`${call}({ ${unknown} }) is not an option: the options are ${known.join(", ")}`);
}

/** Returns the texts of an option that is a list of them. @throws TypeError for anything else */
export function textsOf(call: string, name: string, value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [undefined];
  return list.map((one) => {
    if (typeof one === "string") return one;
    throw new TypeError(`${call}({ ${name} }): ${name} must be a list of strings, not ${inspect(value, { depth: 1 })}`);
  });
}
