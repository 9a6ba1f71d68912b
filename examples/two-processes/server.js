// Starts two processes of one application, and a proxy in front of them that takes turns.
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { join } from "node:path";

const processes = [];
for (const name of ["A", "B"]) {
  const child = fork(join(import.meta.dirname, "app.js"), [name], { execArgv: process.execArgv });
  child.once("exit", (code) => process.exit(code ?? 1));
  processes.push(child);
}
const ports = await Promise.all(processes.map(async (child) => (await once(child, "message"))[0]));

let turn = 0;
const proxy = createServer((req, res) => {
  const { url, method, headers } = req;
  const forwarded = { ...headers, "x-forwarded-proto": "http", "x-forwarded-for": req.socket.remoteAddress };
  const onward = request(
    { host: "127.0.0.1", port: ports[turn++ % ports.length], path: url, method, headers: forwarded },
    (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    },
  );
  onward.once("error", () => res.destroy());
  req.pipe(onward);
});
proxy.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`Two processes behind http://localhost:${proxy.address().port}`);
});

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => {
    for (const child of processes) child.disconnect();
    proxy.close();
    proxy.closeAllConnections();
  });
