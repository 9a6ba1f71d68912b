import { SojournError } from "../contract/errors.ts";
import { isPromise } from "../contract/time.ts";
import { type Changes, type Content, dataOf, textOf } from "./content.ts";
import type { Events } from "./events.ts";
import { requireSerializable, step } from "./serializable.ts";
import type { SchemaIssue, StandardSchema } from "./standard-schema.ts";

/** Brings the data of older versions of the application along. */
export interface Migration {
  /** The version that it starts from; it leads to the next one. Data without a version has 1. */
  readonly from: number;
  /**
   * Changes the data, or returns other data. Must not return a promise. It may run several times for
   * one session, until a request saves the result.
   */
  up(data: Record<string, unknown>): Record<string, unknown> | undefined | void;
}

/** The options on the form of the data, as an application gives them. */
export interface DataFormatOptions {
  schema?: unknown;
  migrate?: unknown;
  onSchemaError?: unknown;
}

/** Knows the form and the version of an application's data. */
export class DataFormat {
  readonly #schema: StandardSchema | undefined;
  readonly #steps: readonly Migration[];
  readonly #version: number;
  readonly #drops: boolean;
  readonly #events: Events;

  /** @throws TypeError for an option that can't work */
  constructor({ schema, migrate = [], onSchemaError = "set-aside" }: DataFormatOptions, events: Events) {
    if (schema !== undefined && !isSchema(schema)) {
      throw new TypeError(
        "schema must be a Standard Schema, version 1, such as z.object({ … }) of zod, or that of valibot or arktype",
      );
    }
    if (onSchemaError !== "set-aside" && onSchemaError !== "drop") {
      throw new TypeError('onSchemaError must be "set-aside" or "drop"');
    }
    this.#schema = schema;
    this.#steps = checkedSteps(migrate);
    this.#version = (this.#steps.at(-1)?.from ?? 0) + 1;
    this.#drops = onSchemaError === "drop";
    this.#events = events;
  }

  /**
   * Returns stored content in today's version, for two comparisons where it has that already. What
   * can't be brought there is dropped, or set aside. Never throws.
   */
  bring(handle: string, content: Content): Content {
    const { meta, encoded } = content;
    const { dataVersion: from = 1 } = meta;
    if (from === this.#version || encoded.size === 0) return content;
    try {
      return { meta: { ...meta, dataVersion: this.#version }, encoded: this.#migrated(from, encoded) };
    } catch (cause) {
      const error = new SojournError(
        "INVALID_DATA",
        `the session's data of version ${from} can't be brought to version ${this.#version}`,
        cause,
      );
      this.#events.emit("migration-failed", { handle, from, to: this.#version, error });
      if (!this.#drops) return { ...content, isSetAside: true };
      return { meta: { ...meta, dataVersion: this.#version }, encoded: new Map() };
    }
  }

  /**
   * Returns content as it is stored.
   * @param changes what the request changed; what it didn't is not checked
   * @throws SojournError INVALID_DATA
   */
  prepare(content: Content, ...changes: (Changes | undefined)[]): Content {
    const { meta, encoded } = content;
    if (this.#schema !== undefined) {
      const changed = new Set(changes.flatMap((one) => [...(one?.encoded.keys() ?? [])]));
      if (changed.size > 0) {
        requireValid(
          this.#schema,
          dataOf(encoded, () => {}),
          (name) => changed.has(name),
        );
      }
    }
    if (encoded.size === 0 || (meta.dataVersion ?? 1) === this.#version) return content;
    return { meta: { ...meta, dataVersion: this.#version }, encoded };
  }

  #migrated(from: number, encoded: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const first = this.#steps.findIndex((one) => one.from === from);
    if (first < 0) throw new Error(`there is no migration from version ${from}`);
    let data = dataOf(encoded, (name) => {
      throw new Error(`the text of ${JSON.stringify(name)} is damaged`);
    });
    for (const one of this.#steps.slice(first)) data = checkedData(one.up(data) ?? data, one.from);
    if (this.#schema !== undefined) requireValid(this.#schema, data, () => true);
    const texts = new Map<string, string>();
    for (const name of Object.keys(data)) {
      const text = textOf(data, name);
      requireSerializable(data[name], `data${step(name)}`);
      if (text !== undefined) texts.set(name, text);
    }
    return texts;
  }
}

/** @throws TypeError unless each migration begins where the one before it ends */
function checkedSteps(migrate: unknown): readonly Migration[] {
  const steps: unknown[] = Array.isArray(migrate) ? migrate : [undefined];
  let next: number | undefined;
  const checked: Migration[] = [];
  for (const one of steps) {
    if (!isMigration(one) || (next !== undefined && one.from !== next)) {
      throw new TypeError(
        "migrate must be a list of { from, up }, in order: each from is a whole number from 1, and one more than that before it",
      );
    }
    checked.push(one);
    next = one.from + 1;
  }
  return checked;
}

function isMigration(value: unknown): value is Migration {
  const { from, up } = Object(value);
  return Number.isSafeInteger(from) && from >= 1 && typeof up === "function";
}

function isSchema(value: unknown): value is StandardSchema {
  // Those of arktype are functions.
  const { version, validate } = Object(Object(value)["~standard"]);
  return version === 1 && typeof validate === "function";
}

/** @throws TypeError for data that can't be a session's */
function checkedData(data: unknown, from: number): Record<string, unknown> {
  if (isPromise(data)) {
    data.catch(() => {});
    throw new TypeError(`the migration from version ${from} must not return a promise`);
  }
  if (typeof data === "object" && data !== null && !Array.isArray(data)) return { ...data };
  throw new TypeError(`the migration from version ${from} must return an object, or change the one that it gets`);
}

/**
 * Checks data. A property that is absent is no fault, because every session begins empty.
 * @throws SojournError INVALID_DATA with the path, and never the value or the schema's own message,
 * which may show it
 * @throws TypeError for a schema that answers later
 */
function requireValid(schema: StandardSchema, data: Record<string, unknown>, isMeant: (name: string) => boolean): void {
  const result = schema["~standard"].validate(data);
  if (isPromise(result)) {
    result.catch(() => {});
    throw new TypeError(
      "schema must answer at once: leave out its asynchronous checks, and make them where you need them",
    );
  }
  for (const issue of result.issues ?? []) {
    const [property, ...rest] = keysOf(issue);
    const name = String(property);
    if (property !== undefined && !(Object.hasOwn(data, name) && isMeant(name))) continue;
    const path = property === undefined ? "" : [name, ...rest].map(stepOf).join("");
    throw new SojournError("INVALID_DATA", `req.session${path} does not match session({ schema }); nothing was saved`);
  }
}

function keysOf({ path = [] }: SchemaIssue): PropertyKey[] {
  return path.map((one) => (typeof one === "object" ? one.key : one));
}

function stepOf(key: PropertyKey): string {
  return typeof key === "string" ? step(key) : `[${String(key)}]`;
}
