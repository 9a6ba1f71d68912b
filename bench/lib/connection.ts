import { IncomingMessage, type RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Writable } from "node:stream";

/**
 * A client's connection without a socket: Node's own request and response objects, the way its HTTP server makes them, over a stream that
 * takes what is written. Parsing bytes and system calls, which no session library can change, are left out.
 */
export class Connection {
  readonly #listener: RequestListener;
  readonly #sink = new Sink();

  constructor(listener: RequestListener) {
    this.#listener = listener;
  }

  /** Sends a request; `done` hears of the response when all of it was written. One at a time. */
  send(path: string, cookie: string | undefined, done: (res: ServerResponse) => void): void {
    const sink = this.#sink;
    const req: IncomingMessage & ParserCalls = new IncomingMessage(sink as unknown as Socket);
    req.method = "GET";
    req.url = path;
    req.httpVersionMajor = 1;
    req.httpVersionMinor = 1;
    req.httpVersion = "1.1";
    const headers = cookie === undefined ? HEADERS : [...HEADERS, "Cookie", cookie];
    // What the parser does: the object with the headers is made when somebody looks at it.
    req._addHeaderLines?.(headers, headers.length);
    req.complete = true;
    req.push(null);
    const res = new ServerResponse(req);
    res.shouldKeepAlive = true;
    res.assignSocket(sink as unknown as Socket);
    res.on("finish", () => {
      res.detachSocket(sink as unknown as Socket);
      done(res);
    });
    this.#listener(req as InstanceType<typeof IncomingMessage>, res as ServerResponse & { req: IncomingMessage });
  }

  /** The same, and what came back, read from the bytes. */
  ask(path: string, cookie?: string): Promise<Answered> {
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    this.#sink.kept = [];
    this.send(path, cookie, () => {
      const text = Buffer.concat(this.#sink.kept ?? []).toString();
      this.#sink.kept = undefined;
      try {
        resolve(parse(text));
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }
}

export interface Answered {
  status: number;
  setCookies: string[];
  body: string;
}

function parse(text: string): Answered {
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const setCookies = lines.filter((line) => /^set-cookie:/i.test(line)).map((line) => line.replace(/^[^:]+: */, ""));
  return { status: Number(first.split(" ")[1]), setCookies, body: text.slice(end + 4) };
}

/** Internal to Node, and what its parser calls. */
interface ParserCalls {
  _addHeaderLines?(headers: string[], count: number): void;
}

class Sink extends Writable {
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 50_000;
  readonly encrypted = false;
  /** What was written, where somebody wants it. */
  kept: Buffer[] | undefined;

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    this.kept?.push(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk);
    done();
  }

  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], done: () => void): void {
    for (const { chunk, encoding } of chunks)
      this.kept?.push(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk);
    done();
  }
}

/** What a browser sends. */
const HEADERS = [
  ["Host", "localhost:3000"],
  ["Connection", "keep-alive"],
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
  ["Accept-Language", "en-GB,en;q=0.5"],
  ["Accept-Encoding", "gzip, deflate, br"],
].flat();
