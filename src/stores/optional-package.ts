/**
 * Loads a package that an application may or may not have installed.
 *
 * `load` names the package in an `import()`, so that a bundler puts it into the bundle where it is installed. Where the bundler left it out,
 * the package is looked for again when the program runs, from the bundle's own folder.
 *
 * @returns `undefined` where it is not installed
 */
export async function optionalPackage<T>(name: string, load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load();
  } catch (error) {
    try {
      return await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
    } catch (second) {
      if (isMissing(error) || isMissing(second)) return undefined;
      throw error;
    }
  }
}

function isMissing(error: unknown): boolean {
  if (typeof error !== "object" || error === null || !("code" in error)) return false;
  return error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND";
}
