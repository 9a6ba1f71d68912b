// Loaded before a page's program: port 3000 is some free port, which the test is told.
import cluster from "node:cluster";
import { Server } from "node:net";

const { listen } = Server.prototype;

// What a worker tells goes on to the test.
cluster.on("message", (_worker, port) => process.send?.(port));

Server.prototype.listen = function (...args) {
  const [first] = args;
  const isOurs = first === 3000 || first?.port === 3000;
  if (!isOurs) return listen.apply(this, args);
  this.once("listening", () => process.send?.(this.address().port));
  const port = typeof first === "object" ? { ...first, port: 0, host: "127.0.0.1" } : 0;
  return listen.call(this, port, ...args.slice(1));
};
