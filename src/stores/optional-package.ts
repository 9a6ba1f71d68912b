/**
 * Loads a package that an application may or may not have installed.
 *
 * `load` names the package in an `import()`, so that a bundler puts it into the bundle where it is installed. Where that does not work, the
 * package is required, because Jest refuses `import()`, and then imported from the folder of the program, because a bundle may have left it out.
 *
 * @param name the package
 * @param member what is wanted of it. A bundler may give a CommonJS package as `default` alone.
 * @returns `undefined` where it is not installed
 */
export async function optionalPackage<T extends object>(
  name: string,
  member: keyof T,
  load: () => Promise<T | { default: T }>,
): Promise<T | undefined> {
  const ways = [load, () => requirePackage(name), () => import(/* webpackIgnore: true */ /* @vite-ignore */ name)];
  const errors: unknown[] = [];
  for (const way of ways) {
    try {
      const loaded: T | { default: T } = await way();
      return isWrapped(loaded, member) ? loaded.default : loaded;
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.some(isMissing)) return undefined;
  throw errors[0];
}

function isWrapped<T extends object>(loaded: T | { default: T }, member: keyof T): loaded is { default: T } {
  return !(member in loaded) && "default" in loaded;
}

/** By a property of `module`, because bundlers warn of a `require()` whose argument they can't read. */
function requirePackage(name: string) {
  if (typeof module !== "object") throw new Error("not a CommonJS module");
  const { require: load } = module;
  return load(name);
}

function isMissing(error: unknown): boolean {
  if (typeof error !== "object" || error === null || !("code" in error)) return false;
  return error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND";
}
