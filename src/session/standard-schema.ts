/**
 * Is a schema of any library that implements Standard Schema, version 1
 * (https://standardschema.dev), such as zod, valibot and arktype.
 *
 * @typeParam Input - what the schema accepts
 */
export interface StandardSchema<Input = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    /** Returns the value, or what is wrong with it. */
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>;
    /** Exists for the compiler alone. */
    readonly types?: { readonly input: Input; readonly output: unknown } | undefined;
  };
}

/** Is the outcome of a schema: `issues` is absent if the value matches. */
export type SchemaResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** Describes one place where a value does not match its schema. */
export interface SchemaIssue {
  readonly message: string;
  /** The keys that lead to it. Absent or empty: the whole value. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * Selects what a schema accepts, to declare it as the data of all sessions.
 *
 * @example
 * import { type InferData, session } from "sojourn";
 * import { z } from "zod";
 *
 * const schema = z.object({ cart: z.array(z.string()).optional() });
 * const sessions = session({ schema });
 *
 * export type Shop = InferData<typeof schema>; // { cart?: string[] | undefined }
 */
export type InferData<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["input"];
