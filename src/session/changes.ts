import type { SessionFacts } from "./record.ts";
import { notSerializable, requireSerializable, step } from "./serializable.ts";

/**
 * What one request changed of a session since it loaded it, in a form that can be put over any newer state of the
 * same session: the three-way merge, one top-level property at a time.
 */
export interface Changes {
  /** New JSON text of each property that was set, `undefined` for one that was deleted. */
  texts: Map<string, string | undefined>;
  /** `null` takes it back. */
  until?: number | null;
  from?: number;
  flash?: readonly FlashStep[];
  /** Which of the state's deletions are in here. */
  asOf?: number;
  /** Properties that the application changed without having seen what is stored of them by now. */
  blind?: readonly string[];
}

/** Messages are added and taken, never overwritten, so that two requests' messages both survive. */
export type FlashStep =
  | { readonly type: string; readonly add: unknown }
  /** The JSON texts of what was taken. */
  | { readonly type: string; readonly take: readonly string[] };

/** A session's content between decoding and encoding. */
export interface Content {
  facts: SessionFacts;
  texts: ReadonlyMap<string, string>;
}

export const NOTHING: Changes = { texts: new Map() };
export const EMPTY: Content = Object.freeze({ facts: Object.freeze({}), texts: new Map<string, string>() });

/**
 * The JSON text of a property; `undefined` for the value `undefined`, which deletes it.
 * @throws SojournError NOT_SERIALIZABLE where JSON has no text for it, see `requireSerializable` for what it has the wrong one for
 */
export function textOf(holder: Readonly<Record<string, unknown>>, name: string): string | undefined {
  let text: string | undefined;
  let value: unknown;
  let cause: unknown;
  try {
    value = holder[name];
    if (value === undefined) return undefined;
    text = JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  const path = `req.session${step(name)}`;
  requireSerializable(value, path);
  throw notSerializable(path, "a getter or a toJSON() of it throws, or it has no text in JSON", cause);
}

/** `changes` put over `newest`. Neither argument is modified. */
export function merge(newest: Content, changes: Changes): Content {
  let texts = newest.texts;
  if (changes.texts.size > 0) {
    const merged = new Map(newest.texts);
    for (const [name, text] of changes.texts) {
      if (text === undefined) merged.delete(name);
      else merged.set(name, text);
    }
    texts = merged;
  }
  return { facts: mergeFacts(newest.facts, changes), texts };
}

/** The properties that `changes` put over something which another request has stored since `loaded`, and which is lost by that. */
export function overwritten({ texts, blind = [] }: Changes, loaded: Content, newest: Content): Set<string> {
  const names = new Set(blind);
  if (loaded === newest) return names;
  for (const [name, text] of texts) {
    const theirs = newest.texts.get(name);
    if (theirs !== loaded.texts.get(name) && theirs !== text) names.add(name);
  }
  return names;
}

function mergeFacts(newest: SessionFacts, changes: Changes): SessionFacts {
  if (changes.until === undefined && changes.from === undefined && changes.flash === undefined) return newest;
  const facts: SessionFacts = { ...newest };
  if (changes.until === null) delete facts.until;
  else if (changes.until !== undefined) facts.until = changes.until;
  if (changes.from !== undefined) facts.from = changes.from;
  if (changes.flash !== undefined) {
    const flash = mergeFlash(newest.flash ?? {}, changes.flash);
    if (flash === undefined) delete facts.flash;
    else facts.flash = flash;
  }
  return facts;
}

/** The messages after `steps`, by type; `undefined` for none. A taken message that is not there any more was taken by another request too. */
export function mergeFlash(
  newest: Record<string, unknown[]>,
  steps: readonly FlashStep[],
): Record<string, unknown[]> | undefined {
  // A Map, because a message type may be called anything, "__proto__" too.
  const lists = new Map<string, unknown[]>(Object.entries(newest));
  for (const step of steps) {
    const list = lists.get(step.type) ?? [];
    lists.set(step.type, "add" in step ? [...list, step.add] : without(list, step.take));
  }
  for (const [type, messages] of lists) if (messages.length === 0) lists.delete(type);
  return lists.size === 0 ? undefined : Object.fromEntries(lists);
}

function without(list: readonly unknown[], taken: readonly string[]): unknown[] {
  const texts = [...taken];
  return list.filter((message) => {
    const at = texts.indexOf(JSON.stringify(message));
    if (at >= 0) texts.splice(at, 1);
    return at < 0;
  });
}
