import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type ClientHttp2Stream, connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, connect, createServer as createRelay, type Server, type Socket } from "node:net";
import { promisify } from "node:util";

/**
 * Servers on free ports, and clients that see what is on the wire: every byte of an HTTP/1.1 response, every frame of
 * an HTTP/2 stream, in order and with its time. Both protocols behind one face, so that a test is written once.
 */
export type Protocol = "http1" | "http2";
export const PROTOCOLS: readonly Protocol[] = ["http1", "http2"];

/** HTTP/2's compatibility objects are handed over as those of HTTP/1.1, which they imitate: that is what is tested. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => void;

export interface Answer {
  status: number;
  /** Status line's reason; empty with HTTP/2. */
  reason: string;
  /** Sorted `name: value` lines, names in lower case. */
  headers: string[];
  /** Trailers, likewise. */
  trailers: string[];
  body: string;
  /** Whether the response came to its end, rather than being cut off. */
  complete: boolean;
}

/** One request and what has come back so far. */
export interface Exchange {
  /** Bytes of the response that arrived (HTTP/1.1), or bytes of its HEADERS and DATA frames (HTTP/2). */
  arrived(): number;
  /** When the first of them arrived, epoch milliseconds. */
  firstAt(): number | undefined;
  /** What is known of the response by now. */
  answer(): Answer;
  /** Resolves when the response contains `text` in its body, or is over. */
  contains(text: string): Promise<void>;
  /** The whole response, or what there is of it when the connection ends. */
  finished: Promise<Answer>;
  /** Stops, or goes on, reading from the connection. */
  pause(): void;
  resume(): void;
  /** Drops the connection. */
  abort(): void;
}

export interface TestServer {
  readonly port: number;
  request(path?: string, method?: string, headers?: Record<string, string>): Promise<Exchange>;
  /** A request and its whole answer. */
  get(path?: string, method?: string, headers?: Record<string, string>): Promise<Answer>;
  /** Resolves when all that the server has sent until now has arrived. */
  fence(exchange: Exchange): Promise<void>;
  close(): Promise<void>;
}

/** Serves `handler` until `close`. */
export async function serve(protocol: Protocol, handler: Handler): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const answerOrFence: Handler = (req, res) => (req.url === FENCE ? res.end() : handler(req, res));
  const server: Server = protocol === "http1" ? createServer() : createHttp2Server();
  const events: EventEmitter = server;
  events.on("request", answerOrFence);
  const port = await listen(server, sockets);
  const relay = protocol === "http2" ? await Relay.to(port) : undefined;
  const open = new Set<Exchange>();
  const request: TestServer["request"] = async (path = "/", method = "GET", headers = {}) => {
    const exchange =
      relay === undefined
        ? await Http1Exchange.start(port, path, method, headers)
        : await Http2Exchange.start(relay, path, method, headers);
    open.add(exchange);
    return exchange;
  };
  return {
    port,
    request,
    get: async (...args) => (await request(...args)).finished,
    async fence(exchange) {
      if (exchange instanceof Http2Exchange) return exchange.ping();
      // A connection of its own: the server wrote to the other one before it answers here. Twice, for the event loop's
      // order within a turn.
      for (let i = 0; i < 2; i++) await (await Http1Exchange.start(port, FENCE, "GET", {})).finished;
    },
    async close() {
      for (const exchange of open) exchange.abort();
      for (const socket of sockets) socket.destroy();
      await Promise.all([promisify(server.close.bind(server))(), relay?.close()]);
    },
  };
}

const FENCE = "/--fence";

async function listen(server: Server, sockets: Set<Socket>): Promise<number> {
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.on("error", () => undefined).once("close", () => sockets.delete(socket)));
  });
  await promisify<number, string>(server.listen.bind(server))(0, "127.0.0.1");
  return addressOf(server).port;
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen on a port");
  return address;
}

/** What both clients share: waiting for something to have arrived. */
abstract class Arrivals {
  readonly #changed = new EventEmitter().setMaxListeners(0);
  #first: number | undefined;
  #isOver = false;
  abstract answer(): Answer;
  abstract arrived(): number;

  readonly finished: Promise<Answer> = this.until(() => this.#isOver).then(() => this.answer());

  firstAt(): number | undefined {
    return this.#first;
  }

  contains(text: string): Promise<void> {
    return this.until(() => this.#isOver || this.answer().body.includes(text));
  }

  protected async until(condition: () => boolean): Promise<void> {
    await undefined; // fields of the class that extends this one
    while (!condition()) await once(this.#changed, "change");
  }

  protected note(isOver: boolean): void {
    if (this.arrived() > 0) this.#first ??= Date.now();
    this.#isOver ||= isOver;
    this.#changed.emit("change");
  }
}

/** HTTP/1.1 over a bare socket; the connection closes after the response. */
class Http1Exchange extends Arrivals implements Exchange {
  readonly #socket: Socket;
  readonly #isHead: boolean;
  #text = "";

  static async start(port: number, path: string, method: string, headers: Record<string, string>) {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines.join("")}\r\n`);
    return new Http1Exchange(socket, method === "HEAD");
  }

  constructor(socket: Socket, isHead: boolean) {
    super();
    this.#socket = socket;
    this.#isHead = isHead;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#text += text;
      this.note(false);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => this.note(true));
  }

  arrived(): number {
    return this.#text.length;
  }

  answer(): Answer {
    return parseHttp1(this.#text, this.#isHead);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  abort(): void {
    this.#socket.destroy();
  }
}

/** Parses what there is of a response; 1xx responses before it are skipped. */
function parseHttp1(text: string, isHead: boolean): Answer {
  const headEnd = text.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = text.slice(0, headEnd < 0 ? text.length : headEnd).split("\r\n");
  const [, code = "0", reason = ""] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(statusLine) ?? [];
  const status = Number(code);
  const rest = headEnd < 0 ? "" : text.slice(headEnd + 4);
  if (status >= 100 && status < 200 && status !== 101 && headEnd >= 0) return parseHttp1(rest, isHead);
  const headers = lines.map(normalLine).sort();
  const answer = { status, reason, headers, trailers: [], body: rest, complete: headEnd >= 0 };
  if (isHead || status === 204 || status === 304) return answer;
  const length = headers.find((line) => line.startsWith("content-length: "))?.slice(16);
  if (length !== undefined) return { ...answer, complete: rest.length === Number(length) };
  if (headers.includes("transfer-encoding: chunked")) return { ...answer, ...parseChunks(rest) };
  return answer;
}

function parseChunks(text: string): Pick<Answer, "body" | "trailers" | "complete"> {
  let body = "";
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return { body, trailers: [], complete: false };
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (size === 0) {
      const trailers = text.slice(lineEnd + 2).split("\r\n");
      return { body, trailers: trailers.filter(Boolean).map(normalLine).sort(), complete: text.endsWith("\r\n\r\n") };
    }
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}

function normalLine(line: string): string {
  const colon = line.indexOf(":");
  return `${line.slice(0, colon).toLowerCase()}: ${line.slice(colon + 1).trim()}`;
}

/** HTTP/2 with a connection of its own, through a relay that sees the frames. */
class Http2Exchange extends Arrivals implements Exchange {
  readonly #stream: ClientHttp2Stream;
  readonly #relay: Relay;
  readonly #link: Link;
  #body = "";
  #status = 0;
  #headers: string[] = [];
  #trailers: string[] = [];
  #wasReset = false;
  #hasEnded = false;

  static async start(relay: Relay, path: string, method: string, headers: Record<string, string>) {
    const session = connectHttp2(`http://127.0.0.1:${relay.port}`);
    session.on("error", () => undefined);
    const link = await relay.next();
    return new Http2Exchange(relay, link, session.request({ ":path": path, ":method": method, ...headers }));
  }

  constructor(relay: Relay, link: Link, stream: ClientHttp2Stream) {
    super();
    this.#relay = relay;
    this.#link = link;
    this.#stream = stream;
    stream.setEncoding("latin1");
    stream.on("response", (headers) => {
      this.#status = headers[":status"] ?? 0;
      this.#headers = linesOf(headers);
      this.note(false);
    });
    stream.on("trailers", (headers) => {
      this.#trailers = linesOf(headers);
    });
    stream.on("data", (text: string) => {
      this.#body += text;
      this.note(false);
    });
    stream.on("error", () => {
      this.#wasReset = true;
    });
    stream.on("end", () => {
      this.#hasEnded = true;
    });
    stream.on("close", () => {
      this.note(true);
      stream.session?.close();
    });
    stream.end();
  }

  arrived(): number {
    return this.#link.frames;
  }

  answer(): Answer {
    return {
      status: this.#status,
      reason: "",
      headers: this.#headers,
      trailers: this.#trailers,
      body: this.#body,
      complete: this.#hasEnded && !this.#wasReset && this.#status !== 0 && this.#stream.rstCode === 0,
    };
  }

  /** A PING is answered behind all that was sent before. */
  async ping(): Promise<void> {
    const { session } = this.#stream;
    if (session === undefined) return;
    await new Promise<void>((resolve, reject) => {
      session.ping((error) => (error === null ? resolve() : reject(error)));
    });
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  abort(): void {
    this.#relay.cut(this.#link);
    this.#stream.session?.destroy();
  }
}

function linesOf(headers: Record<string, string | string[] | number | undefined>): string[] {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":")) continue;
    for (const item of Array.isArray(value) ? value : [value]) lines.push(`${name}: ${item}`);
  }
  return lines.sort();
}

interface Link {
  /** Bytes of the HEADERS and DATA frames that the server sent. */
  frames: number;
  sockets: Socket[];
}

/** A TCP relay that counts what the server sends (RFC 9113 §4.1: a frame's length, type, flags and stream). */
class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #links: EventEmitter;

  static async to(target: number): Promise<Relay> {
    const links = new EventEmitter();
    const server = createRelay((client) => {
      const upstream = connect(target, "127.0.0.1");
      const link: Link = { frames: 0, sockets: [client, upstream] };
      const count = frameCounter(link);
      for (const socket of link.sockets) {
        socket.setNoDelay().on("error", () => undefined);
        socket.on("close", () => link.sockets.forEach((other) => void other.destroy()));
      }
      upstream.on("data", count);
      client.pipe(upstream).pipe(client);
      links.emit("link", link);
    });
    await promisify<number, string>(server.listen.bind(server))(0, "127.0.0.1");
    return new Relay(server, links);
  }

  constructor(server: Server, links: EventEmitter) {
    this.#server = server;
    this.#links = links;
    this.port = addressOf(server).port;
  }

  /** The connection that is being made. Connections are made one at a time. */
  async next(): Promise<Link> {
    const [link] = await once(this.#links, "link");
    return link;
  }

  cut(link: Link): void {
    for (const socket of link.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    await promisify(this.#server.close.bind(this.#server))();
  }
}

function frameCounter(link: Link): (bytes: Buffer) => void {
  let pending = Buffer.alloc(0);
  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= 9) {
      const size = 9 + pending.readUIntBE(0, 3);
      if (pending.length < size) return;
      if (pending[3] === 0 || pending[3] === 1) link.frames += size;
      pending = pending.subarray(size);
    }
  };
}

/** Something that a test opens, or lets fail, when it wants to. */
export class Gate {
  readonly promise: Promise<void>;
  open: () => void = () => undefined;
  fail: (error: unknown) => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }
}
