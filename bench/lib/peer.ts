import { createRequire } from "node:module";

/**
 * Loads a peer, which the caller gives the shape that it uses. So the types hold before the peers are installed, and express-session's and
 * cookie-session's types, of which each says what every `req.session` is, stay out.
 */
export const load: NodeJS.Require = createRequire(import.meta.url);
