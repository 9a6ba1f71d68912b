import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "express";
import { rest } from "./steps.ts";

/** The ways to answer a request. */

const BODY = "the answer";
export type Answer = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Those that Node has, on HTTP/1.1 and HTTP/2. */
export const anywhere: Record<string, Answer> = {
  "end with nothing": (_req, res) => res.end(),
  "end with text": (_req, res) => res.end(BODY),
  "end with a buffer": (_req, res) => res.end(Buffer.from(BODY)),
  "end with a callback": (_req, res) => new Promise<void>((done) => res.end(() => done())),
  "end with text, encoding and callback": (_req, res) => new Promise<void>((done) => res.end(BODY, "utf8", done)),
  "write and end": (_req, res) => {
    res.write("the ");
    res.end("answer");
  },
  "write with a callback, then end": (_req, res) => res.write("the ", () => res.end("answer")),
  "a redirect": (_req, res) => {
    res.statusCode = 303;
    res.setHeader("Location", "/next");
    res.end();
  },
  "no content": (_req, res) => {
    res.statusCode = 204;
    res.end();
  },
  "not modified": (_req, res) => {
    res.statusCode = 304;
    res.end();
  },
  "writeHead and end": (_req, res) => {
    res.writeHead(200);
    res.end(BODY);
  },
  "writeHead with headers": (_req, res) => {
    res.writeHead(200, { "Content-Type": "text/plain", "Set-Cookie": "other=1" });
    res.end(BODY);
  },
  "flushHeaders, then end": (_req, res) => {
    res.flushHeaders();
    res.end(BODY);
  },
  "a piped stream": (_req, res) => Readable.from(["the ", "answer"]).pipe(res),
  "a pipeline": (_req, res) => pipeline(Readable.from(["the ", "answer"]), res),
  "a megabyte that waits for drain": async (_req, res) => {
    for (let written = 0; written < 16; written += 1) {
      if (!res.write("x".repeat(65_536))) await new Promise((resolve) => res.once("drain", resolve));
    }
    res.end();
  },
  "an end that comes later": async (_req, res) => {
    await rest();
    res.end(BODY);
  },
};

/** Those of HTTP/1.1 besides. */
export const onHttp1: Record<string, Answer> = {
  ...anywhere,
  "writeHead with a reason": (_req, res) => res.writeHead(200, "Fine", { "Content-Type": "text/plain" }).end(BODY),
  "writeHead with a flat list": (_req, res) =>
    res.writeHead(200, ["Content-Type", "text/plain", "Set-Cookie", "other=1"]).end(BODY),
  "a length that is known": (_req, res) => {
    res.setHeader("Content-Length", BODY.length);
    res.write(BODY);
    res.end();
  },
};

/** Those of Express besides. */
export const onExpress: Record<string, (req: Request, res: Response) => unknown> = {
  ...onHttp1,
  send: (_req, res) => res.send(BODY),
  json: (_req, res) => res.json({ answer: true }),
  jsonp: (_req, res) => res.jsonp({ answer: true }),
  redirect: (_req, res) => res.redirect("/next"),
  sendStatus: (_req, res) => res.sendStatus(202),
  sendFile: (_req, res) => res.sendFile(join(import.meta.dirname, "raw.ts")),
  "a cookie of its own": (_req, res) => res.cookie("other", "1").send(BODY),
};

export type Ways = Readonly<Record<string, Answer>> | typeof onExpress;

/** Each way as an answer to each method. */
export function everyWay(ways: Ways): { way: string; method: "GET" | "HEAD" }[] {
  return Object.keys(ways).flatMap((way) => [
    { way, method: "GET" },
    { way, method: "HEAD" },
  ]);
}
