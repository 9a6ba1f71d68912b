import { readFileSync } from "node:fs";
import { Converter } from "typedoc";

/** Names each module as applications import it: "sojourn/redis", not "stores/redis". */
export function load(app) {
  const { name, exports } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  const names = new Map(
    Object.entries(exports).map(([path, entry]) => [
      entry["sojourn-source"]?.replace(/^\.\/src\/|(\/index)?\.ts$/g, ""),
      name + path.slice(1),
    ]),
  );
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children ?? []) module.name = names.get(module.name) ?? module.name;
  });
}
