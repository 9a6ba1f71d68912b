// Repeats one property of `express-request.ts` in a file that is a script, because it imports and
// exports nothing. Compilers read scripts before the `declare global` of modules, and the first
// declaration of a property counts. So `req.session` has the type of `sojourn` even where
// `@types/express-session` or `@types/cookie-session` is imported above it.
declare namespace Express {
  interface Request {
    session: SojournSession;
  }
}
