/**
 * Declares what Sojourn adds to an Express request. `sojourn`, `sojourn/express-session` and
 * `sojourn/cookie-session` each add their types under a separate name. An application sees the
 * types of the one that it imports, and importing another is no conflict.
 */
declare global {
  namespace Express {
    /** Receives a member from each entry point. */
    interface SojournRequests {}

    type SojournSession = PartOf<SojournRequests[keyof SojournRequests], "session">;

    interface Request {
      /** The visitor's session: plain properties, saved before the response leaves. */
      session: SojournSession;
    }
  }
}

/** The intersection of a union's members. */
type Combined<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never;
type PartOf<U, Name extends string> = Combined<U> extends Record<Name, infer Part> ? Part : never;

export {};
