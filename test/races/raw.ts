import { connect } from "node:net";

/** One exchange on a bare socket, watched byte by byte. */
export interface Raw {
  /** What has arrived so far. */
  received(): string;
  /** Resolves when a text has arrived. */
  saw(text: string): Promise<void>;
  /** All of it, once the server has closed the connection. */
  readonly ended: Promise<string>;
  /** The client goes away. */
  abort(): void;
}

/** `onFirstByte` is called in the very turn in which the client gets it. */
export function exchange(port: number, lines: readonly string[], onFirstByte: () => void = () => {}): Raw {
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  let received = "";
  let waiting: { text: string; resolve: () => void }[] = [];
  const ended = Promise.withResolvers<string>();
  socket.on("data", (text: string) => {
    if (received === "") {
      try {
        onFirstByte();
      } catch (error) {
        ended.reject(error);
      }
    }
    received += text;
    for (const { text, resolve } of waiting) if (received.includes(text)) resolve();
    waiting = waiting.filter(({ text }) => !received.includes(text));
  });
  socket.on("error", (error) => ended.reject(error));
  socket.on("close", () => ended.resolve(received));
  socket.write(`${[...lines, "Host: localhost", "Connection: close"].join("\r\n")}\r\n\r\n`);
  return {
    received: () => received,
    saw: (text) =>
      received.includes(text) ? Promise.resolve() : new Promise((resolve) => waiting.push({ text, resolve })),
    ended: ended.promise,
    abort: () => socket.destroy(),
  };
}
