import { resolve } from "node:path";
import { checkArchitecture } from "./architecture/rules.ts";
import { root } from "./package.ts";

/** `node scripts/check-architecture.ts [folder]`: prints each broken rule with its reason, and fails if there is one. */
const violations = checkArchitecture(resolve(process.argv[2] ?? root));
for (const { file, line, rule, message } of violations) console.error(`${file}:${line} [${rule}] ${message}`);
if (violations.length > 0) {
  console.error(
    `\nThe architecture's rules (scripts/architecture/floors.ts) are broken in ${violations.length} places.`,
  );
  process.exitCode = 1;
} else console.log("The architecture holds.");
