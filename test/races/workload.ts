import type { Express } from "express";
import { increment, peek, put } from "../support/express-site.ts";

/**
 * Changes that requests make at the same time. With `?together=64` a handler goes on only when that many have read the session, so that
 * all of them start from the same version of it.
 */
export function workload(app: Express): void {
  const together = meetings();
  app.post("/begin", async (req, res) => {
    for (const name of String(req.query["names"] ?? "begun").split(",")) put(req.session, name, { list: [] });
    res.json({});
  });
  app.get("/look", (req, res) => {
    res.json({ ...req.session });
  });
  app.post("/set", async (req, res) => {
    const { session } = req;
    await together(session.id, req.query["together"]);
    put(session, String(req.query["name"]), true);
    res.json({});
  });
  app.post("/push", async (req, res) => {
    const held = peek(req.session, String(req.query["name"]));
    await together(req.session.id, req.query["together"]);
    if (typeof held === "object" && held !== null && "list" in held && Array.isArray(held.list))
      held.list.push("pushed");
    res.json({});
  });
  app.post("/delete", async (req, res) => {
    const { session } = req;
    await together(session.id, req.query["together"]);
    Reflect.deleteProperty(session, String(req.query["name"]));
    res.json({});
  });
  app.post("/flash", async (req, res) => {
    const { session } = req;
    await together(session.id, req.query["together"]);
    session.flash("news", String(req.query["name"]));
    res.json({});
  });
  app.get("/messages", (req, res) => {
    res.json({ messages: req.session.flash("news") });
  });
  app.post("/count", async (req, res) => {
    const { session } = req;
    await together(session.id, req.query["together"]);
    await session.update((newest) => increment(newest));
    res.json({});
  });
}

/** Waits until as many have come as were announced. */
function meetings(): (where: string, announced: unknown) => Promise<void> {
  const waiting = new Map<string, (() => void)[]>();
  return async (where, announced) => {
    const awaited = Number(announced ?? 1);
    if (awaited <= 1) return;
    await new Promise<void>((resolve) => {
      const others = waiting.get(where) ?? [];
      others.push(resolve);
      waiting.set(where, others);
      if (others.length < awaited) return;
      waiting.delete(where);
      for (const goOn of others) goOn();
    });
  };
}
