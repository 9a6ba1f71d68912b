/**
 * What an Express request has of a session. `sojourn`, `sojourn/express-session` and `sojourn/cookie-session` each add what they give, under a
 * name of their own: an application that imports one of them sees that one's types, and importing another is no conflict.
 */
declare global {
  namespace Express {
    /** Each entry point adds to it. */
    interface SojournRequests {}

    type SojournSession = PartOf<SojournRequests[keyof SojournRequests], "session">;

    interface Request {
      /** The visitor's session: plain properties, saved before the response leaves. */
      session: SojournSession;
    }
  }
}

/** All of a union at once. */
type Combined<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never;
type PartOf<U, Name extends string> = Combined<U> extends Record<Name, infer Part> ? Part : never;

export {};
