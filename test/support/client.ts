import { connect, type Socket } from "node:net";

/**
 * A client of HTTP/1.1 on bare sockets: it sees what is on the wire, and costs so little that tens of thousands of requests are no
 * burden. Connections are kept and used again; requests at the same time have one each.
 */

export interface Sent {
  method?: string;
  /** The session's cookie. */
  token?: string | undefined;
  /** Who the server should say is calling. */
  as?: string;
}

export interface Reply {
  status: number;
  /** Names in lower case. `Set-Cookie` is not among them. */
  headers: Map<string, string>;
  setCookie: string[];
  text: string;
  /** What it does to the client's cookie: nothing, delete it, or set this token. */
  cookie: "kept" | "cleared" | { token: string };
  /** The body as JSON. */
  json(): Record<string, unknown>;
}

export class Client {
  readonly #port: number;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();

  constructor(port: number) {
    this.#port = port;
  }

  async send(path: string, { method = "GET", token, as }: Sent = {}): Promise<Reply> {
    let head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n`;
    if (token !== undefined) head += `Cookie: sid=${token}\r\n`;
    if (as !== undefined) head += `X-Caller: ${as}\r\n`;
    if (method === "POST") head += "Content-Length: 0\r\n";
    const connection = this.#idle.pop() ?? this.#connect();
    const reply = parseReply(await connection.exchange(`${head}\r\n`));
    if (reply.headers.get("connection") === "close") this.#drop(connection);
    else this.#idle.push(connection);
    return reply;
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  #connect(): Connection {
    const connection = new Connection(this.#port);
    this.#all.add(connection);
    return connection;
  }

  #drop(connection: Connection): void {
    this.#all.delete(connection);
    connection.close();
  }
}

/** One request at a time, and only responses that say how long they are. */
class Connection {
  readonly #socket: Socket;
  #received = "";
  #waiting: { resolve(text: string): void; reject(error: Error): void } | undefined = undefined;

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1").setNoDelay(true).setEncoding("utf8");
    this.#socket.on("data", (text: string) => {
      this.#received += text;
      const end = this.#received.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#received)?.[1];
      if (length === undefined) this.#fail(new Error("a response without a length"));
      else if (Buffer.byteLength(this.#received.slice(end + 4)) >= Number(length)) this.#succeed();
    });
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the server closed the connection without an answer")));
  }

  exchange(request: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #succeed(): void {
    const waiting = this.#waiting;
    const text = this.#received;
    this.#waiting = undefined;
    this.#received = "";
    waiting?.resolve(text);
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

function parseReply(received: string): Reply {
  const end = received.indexOf("\r\n\r\n");
  const [status = "", ...lines] = received.slice(0, end).split("\r\n");
  const headers = new Map<string, string>();
  const setCookie: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "set-cookie") setCookie.push(value);
    else headers.set(name, value);
  }
  const text = received.slice(end + 4);
  return {
    status: Number(status.split(" ")[1]),
    headers,
    setCookie,
    text,
    cookie: cookieOf(setCookie),
    json: () => JSON.parse(text),
  };
}

/** @throws if a response sets the cookie more than once */
function cookieOf(setCookie: readonly string[]): Reply["cookie"] {
  const lines = setCookie.filter((line) => line.startsWith("sid="));
  const [line] = lines;
  if (line === undefined) return "kept";
  if (lines.length > 1) throw new Error("one response set the session's cookie twice");
  const token = line.slice("sid=".length, line.indexOf(";"));
  return token === "" ? "cleared" : { token };
}

/** The token that a reply sets. */
export function tokenOf(reply: Reply): string {
  if (typeof reply.cookie === "string")
    throw new Error(`expected a token, but the cookie was ${reply.cookie}: ${reply.text}`);
  return reply.cookie.token;
}

/** The handle in a token. */
export function handleOf(token: string): string {
  return token.slice(0, token.indexOf("."));
}
