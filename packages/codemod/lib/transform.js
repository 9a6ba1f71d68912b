import { originals, toDropIn } from "./drop-in.js";
import { takenNames } from "./handlers.js";
import { toNative } from "./native.js";
import { Source } from "./source.js";

/**
 * Turns one file.
 *
 * @param {string} text
 * @param {string} path whose ending says whether it is TypeScript
 * @param {{ native?: boolean, express4?: boolean, flashByName?: boolean, taken?: Set<string> }} options
 *   about the whole application: the version of Express, whether Passport writes messages by `req.flash`, `takenNames` of all files
 * @returns {{ text: string, changed: boolean, notes: { line: number, text: string }[] }}
 */
export function transform(text, path, options = {}) {
  const { native = false, express4 = false, flashByName = false, taken = takenNames([text]) } = options;
  if (!CONCERNED.test(text)) return { text, changed: false, notes: [] };
  const source = new Source(text, path);
  if (native) toNative(source, { express4, flashByName, taken, madeAsync: new Set() });
  else if (originals(source).length > 0) toDropIn(source);
  const result = source.result();
  return { text: result, changed: result !== text, notes: source.notesOfResult() };
}

/** Files that say none of this are not parsed. */
const CONCERNED =
  /express-session|cookie-session|connect-flash|\b(?:req|request)\b[\s\S]*(?:session|flash)|serializeUser/;
