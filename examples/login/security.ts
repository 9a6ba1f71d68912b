import type { RequestHandler } from "express";

/** The pages need stylesheets and pictures of their own, and forms that go to one place. Nothing else may load or run. */
export function contentPolicy({ formsGoTo }: { formsGoTo: string }): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    `form-action ${formsGoTo}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

export const securityHeaders: RequestHandler = (_req, res, next) => {
  res.set({
    "Content-Security-Policy": contentPolicy({ formsGoTo: "'self'" }),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    // "same-origin" and not "no-referrer": under the latter browsers send `Origin: null` with the site's own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  });
  next();
};
