/** What is known of the whole application. */
export interface TransformOptions {
  /** Turns it into `sojourn` itself instead of the drop-in. Default `false`. */
  native?: boolean;
  /** Marks handlers that became asynchronous, because Express 4 does not handle what they reject with. Default `false`. */
  express4?: boolean;
  /** Keeps `req.flash`, by which Passport writes its messages. Default `false`. */
  flashByName?: boolean;
  /** Names of sojourn's session members that the application gives to data. Default: those that this file assigns. */
  taken?: Set<string>;
}

/** Turns the text of one file. The ending of its path says whether it is TypeScript. @throws SyntaxError for a text that can't be parsed */
export declare function transform(
  text: string,
  path: string,
  options?: TransformOptions,
): { text: string; changed: boolean; notes: { line: number; text: string }[] };
