#!/usr/bin/env node
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { takenNames } from "./lib/handlers.js";
import { transform } from "./lib/transform.js";

const HELP = `sojourn-codemod [--native] [--dry] <file or folder>…

Turns an application on express-session or cookie-session into one on Sojourn.

  (without an option)  into the drop-in: imports change, everything else stays
  --native             into sojourn itself: options, stores, logins, flash messages
  --dry                writes nothing, and says what it would do
  --help               this text

What it can't decide it marks in the code, by a comment "// sojourn-codemod: …",
and lists at the end. Commit before you run it, and run your tests afterwards.

Ends with 0, with 1 if a file could not be read, with 2 if it was called wrongly.
`;

const SOURCE = /\.[cm]?[jt]sx?$/;
const APART = new Set(["node_modules", "dist", "build", "coverage", ".git", ".next"]);

let options;
try {
  options = parseArgs({
    allowPositionals: true,
    options: { native: { type: "boolean" }, dry: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
} catch (error) {
  usage(error.message);
}
const { values, positionals } = options;
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (positionals.length === 0) usage("name the files or folders of your application");
for (const path of positionals) if (!existsSync(path)) usage(`there is no ${path}`);

const files = [...new Set(positionals.flatMap((path) => filesOf(resolve(path))))];
const texts = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));
// Passport writes messages by req.flash: then it has to stay.
const flashByName = [...texts.values()].some((text) => /(?:failure|success)Flash/.test(text));
const taken = takenNames([...texts.values()]);

const notes = [];
const problems = [];
let changed = 0;
for (const [file, text] of texts) {
  const name = relative(process.cwd(), file);
  try {
    const result = transform(text, file, {
      native: values.native,
      express4: expressOf(file) === 4,
      flashByName,
      taken,
    });
    for (const note of result.notes) notes.push(`${name}:${note.line}  ${note.text}`);
    if (!result.changed) continue;
    changed++;
    console.log(`${values.dry ? "would change" : "changed"}  ${name}`);
    if (!values.dry) writeFileSync(file, result.text);
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
}

console.log(`${files.length} files read, ${changed} ${values.dry ? "to change" : "changed"}.`);
if (notes.length > 0) console.log(`\nLook at these:\n${notes.map((note) => `  ${note}`).join("\n")}`);
if (changed > 0)
  console.log(`\nThen: npm install sojourn, run your tests, and uninstall what is not imported any more.`);
if (changed > 0 && values.native)
  console.log(`Visitors log in once more, unless you take their sessions over: accept, of sojourn/legacy.`);
if (problems.length > 0) {
  console.error(`\nNot read:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  process.exitCode = 1;
}

function filesOf(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (entry.isDirectory()) return APART.has(entry.name) ? [] : filesOf(join(path, entry.name));
      return entry.isFile() && SOURCE.test(entry.name) ? [join(path, entry.name)] : [];
    });
}

/** The major version of Express that the nearest `package.json` asks for. */
function expressOf(file) {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest)) {
      const { dependencies = {} } = JSON.parse(readFileSync(manifest, "utf8"));
      return Number(/\d+/.exec(dependencies.express ?? "")?.[0]);
    }
    if (folder === dirname(folder)) return Number.NaN;
  }
}

function usage(problem) {
  console.error(`sojourn-codemod: ${problem}\n\n${HELP}`);
  process.exit(2);
}
