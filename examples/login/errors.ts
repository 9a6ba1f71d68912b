import type { ErrorRequestHandler } from "express";

/** Where to send someone back to who has to enter the password again: a form that was sent can't be sent again. */
const AFTER_CONFIRMING = "/confirm?returnTo=/account";

// Touches no session, which may be what failed. Tells the visitor what to do, and nothing about the inside.
export const showError: ErrorRequestHandler = (error, req, res, next) => {
  if (res.headersSent) return next(error);
  if (error?.code === "NOT_FRESH") return res.redirect(303, AFTER_CONFIRMING);
  const status = error?.status >= 400 && error?.status < 500 ? error.status : error?.status === 503 ? 503 : 500;
  if (status >= 500) console.error(error);
  if (status === 503) res.set("Retry-After", "1");
  res.status(status).set("Cache-Control", "no-store").render("error", { status, code: error?.code, path: req.path });
};
