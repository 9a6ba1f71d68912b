import { SojournError } from "../contract/errors.ts";

/**
 * Loads a package that an application may or may not have installed.
 *
 * `load` names the package in an `import()`, so that a bundler includes it. If that fails, the
 * package is required, because Jest refuses `import()`. Last, it is imported from the program's
 * folder, because a bundle may have left it out.
 *
 * @param member the export that the caller needs. A bundler may wrap a CommonJS package in
 * `default`.
 * @returns `undefined` if the package is not installed
 */
export async function optionalPackage<T extends object>(
  name: string,
  member: keyof T,
  load: () => Promise<T | { default: T }>,
): Promise<T | undefined> {
  const ways = [load, () => requireByName(name), () => import(/* webpackIgnore: true */ /* @vite-ignore */ name)];
  const errors: unknown[] = [];
  for (const way of ways) {
    try {
      const loaded: T | { default: T } = await way();
      return isWrapped(loaded, member) ? loaded.default : loaded;
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.some((error) => /^(?:ERR_)?MODULE_NOT_FOUND$/.test(String(Object(error).code)))) return undefined;
  throw errors[0];
}

/** @throws SojournError STORE_UNAVAILABLE with the command that installs the package */
export async function requiredPackage<T extends object>(
  store: string,
  ...wanted: Parameters<typeof optionalPackage<T>>
): Promise<T> {
  const loaded = await optionalPackage<T>(...wanted);
  if (loaded !== undefined) return loaded;
  throw notInstalled(`${store} with a URL needs the package "${wanted[0]}": npm install ${wanted[0]}`);
}

/** One of our errors, because the engine hides the message of any other, and this one names the remedy. */
export function notInstalled(message: string): SojournError {
  return new SojournError("STORE_UNAVAILABLE", message);
}

function isWrapped<T extends object>(loaded: T | { default: T }, member: keyof T): loaded is { default: T } {
  return !(member in loaded) && "default" in loaded;
}

/** Uses `module.require`, because bundlers warn of a `require()` with a computed name. */
function requireByName(name: string) {
  if (typeof module !== "object") throw new Error("not a CommonJS module");
  const { require: load } = module;
  return load(name);
}
