import { type Content, EMPTY } from "./changes.ts";

/** All, nothing, or these properties. */
export type Kept = boolean | ReadonlySet<string>;

/** @throws TypeError for what is neither */
export function keepOption(keep: unknown, method: string): Kept {
  if (typeof keep === "boolean") return keep;
  if (Array.isArray(keep) && keep.every((name) => typeof name === "string")) return new Set<string>(keep);
  throw new TypeError(`${method}({ keep }): keep must be true, false or a list of property names`);
}

/** What of a session goes on in the one that takes its place. */
export function carry(content: Content, keep: Kept): Content {
  if (keep === true) return content;
  if (keep === false) return EMPTY;
  const { device: _, ...facts } = content.facts;
  return { facts, texts: new Map([...content.texts].filter(([name]) => keep.has(name))) };
}
